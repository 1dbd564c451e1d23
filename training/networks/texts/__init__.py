"""Networks over texts: transformers trained from scratch, or from a pretrained checkpoint."""
