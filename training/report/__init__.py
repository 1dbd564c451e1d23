"""The report of a training run: one self-contained HTML page on search, performance, explanations and data."""

from training.report.publication import TrainedRun, write

__all__ = ["TrainedRun", "write"]
