"""One self-contained page per training run: how the version was found, how good it is, what it was made from."""

from training.report.publication import TrainedRun, write

__all__ = ["TrainedRun", "write"]
