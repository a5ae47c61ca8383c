"""The hot path: transactions in, ring alerts out, each exactly once."""
