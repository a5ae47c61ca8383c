"""How good what was found is: rings and alerts beside the truth of a stream, and beside two baselines."""
