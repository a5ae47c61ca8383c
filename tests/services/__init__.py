"""Real Kafka and Neo4j for tests and benchmarks: Maven Central artifacts, on loopback, in temporary folders."""
