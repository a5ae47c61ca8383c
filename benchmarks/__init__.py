"""The figures in docs/measured.md, each reproducible by one command."""
