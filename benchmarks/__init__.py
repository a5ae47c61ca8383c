"""The figures in the README, each reproducible by one command."""
