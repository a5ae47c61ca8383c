"""The sub-commands, one module each; :mod:`ringwatch.cli` puts them together."""
