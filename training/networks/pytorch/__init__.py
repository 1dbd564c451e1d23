"""Networks in PyTorch, and how they are fitted; importing these modules needs the extra `torch`."""
