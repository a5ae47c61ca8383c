"""What a ring looks like: rules as Cypher files, how they are loaded, checked and run."""
