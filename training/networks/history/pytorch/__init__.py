"""Networks over the history of a series, in PyTorch."""
