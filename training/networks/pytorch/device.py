"""The device that PyTorch computes on: a GPU where there is one. The only place that chooses it."""

import torch


def device() -> torch.device:
    """The first GPU of this machine, or its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
