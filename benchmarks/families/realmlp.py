"""RealMLP of pytabkit as an entry: fitted in an environment of its own, on the numbers that our networks read."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer

from benchmarks.families.entry import Contest, Entry
from benchmarks.harness.measure import measure, tool
from lakehouse.settings import PROJECT
from scoring.estimators.early_stopping import VALIDATION_SHARE, first_validation_row
from training.frame.drawing import draw_rows
from training.frame.frame import TrainingFrame

PACKAGES = ("pytabkit==1.8.0", "torch==2.15.0", "pyarrow==24.0.0")
ENVIRONMENT = PROJECT / "build" / "realmlp"
SCRIPT = PROJECT / "benchmarks" / "harness" / "realmlp_peer.py"


def realmlp(name: str, contest: Contest) -> Entry:
    """Fit the peer on the training rows, validated on the rows that stop our networks, and refitted on all."""
    python = _python()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table_of(contest.training, contest.training).assign(target=contest.training.y).to_parquet(
            folder / "train.parquet"
        )
        table_of(contest.holdout, contest.training).to_parquet(folder / "test.parquet")
        np.save(folder / "validation.npy", validation_rows(contest.training, contest.seed))
        command = [str(python), "-W", "ignore", str(SCRIPT), str(folder), contest.training.task.name]
        usage = measure([*command, str(contest.seed)], PROJECT, {**os.environ, "OMP_NUM_THREADS": "1"})
        measured = json.loads(usage.output.splitlines()[-1])
        predicted = np.load(folder / "predicted.npy")
    return Entry(name, predicted, (), measured["seconds"], measured["microseconds"], "pytabkit")


def table_of(frame: TrainingFrame, training: TrainingFrame) -> pd.DataFrame:
    """The dense features of a frame; category indices are texts, so that the peer embeds them.

    The peer refuses missing numbers, so each is the median of its column in the training rows, and one more column
    says where it was missing, as for our networks.
    """
    encoder = training.encoder
    columns = np.asarray(encoder.number_features, dtype=object)
    imputer = SimpleImputer(strategy="median", add_indicator=True).fit(encoder.dense(training.features))
    values = pd.DataFrame(
        imputer.transform(encoder.dense(frame.features)), columns=imputer.get_feature_names_out(columns)
    )
    for at in encoder.categories():
        values[columns[at]] = values[columns[at]].astype(np.int64).astype(str)
    return values


def validation_rows(frame: TrainingFrame, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Indices of the rows that stop our networks: the last ones in time, or drawn at random."""
    if frame.in_time:
        return np.arange(first_validation_row(len(frame)), len(frame))
    return np.flatnonzero(draw_rows(frame, VALIDATION_SHARE, seed))


def _python() -> Path:
    """The interpreter of the peer's environment, which is made if it is missing."""
    python, uv = ENVIRONMENT / "bin" / "python", tool("uv")
    if not python.exists():
        measure([uv, "venv", "--python", tool("python"), str(ENVIRONMENT)], PROJECT, os.environ)
        trimmed = ["--override", str(PROJECT / "resources" / "torch.overrides")]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), *trimmed, *PACKAGES]
        measure(install, PROJECT, os.environ)
    return python
