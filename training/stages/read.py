"""Stage 1: read the point-in-time frame, and split off the holdout."""

from datetime import UTC, datetime

from lakehouse import console
from lakehouse.settings import Settings
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.constants import format_constants
from training.frame.splits import Split, training_split
from training.use_case.use_case import UseCase


def read(use_case: UseCase, settings: Settings) -> Split:
    """Read the point-in-time frame, and split it into training rows and holdout."""
    console.stage(f"Reading features of {use_case.name} as of each label timestamp")
    frame = load_frame(use_case, open_store(settings), now=datetime.now(UTC))
    data = training_split(frame, use_case.split)
    sources = ", ".join(f"{table} v{version}" for table, version in sorted(frame.sources.items()))
    console.detail(f"{len(frame):,} rows x {frame.x.shape[1]} columns from {sources}")
    for table, count in frame.left_out.items():
        console.detail(f"{count:,} rows have no match in {table} and are dropped")
    if constant := data.training.constant:
        console.detail(f"constant on all training rows, left out of the model: {format_constants(constant)}")
    for name, rows in (("training", data.training), ("holdout", data.holdout)):
        span = f"{rows.first:%Y-%m-%d} to {rows.last:%Y-%m-%d}"
        console.detail(f"{name:<9}{len(rows):>7,} rows  {span}  {rows.outcome}")
    return data
