"""How good learned scores are on public data: sets, splits, and one table."""
