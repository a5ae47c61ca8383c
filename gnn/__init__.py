"""The slow path: history becomes tensors, models learn from it, and their scores go back into the graph."""
