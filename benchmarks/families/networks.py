"""Neural networks beside linear models and boosted trees, each at the default of its space, on the same rows.

RealMLP of pytabkit is the peer, with its own defaults, in an environment of its own. Needs the extras torch and
tensorflow; the rows of a use case also need its tables.
"""

from collections.abc import Sequence
from dataclasses import replace

import click
import numpy as np
import pandas as pd

from benchmarks.families.entry import Contest, Entry, blended, default_of, entry, table
from benchmarks.families.realmlp import realmlp
from benchmarks.harness.measure import ProcessFailed
from benchmarks.quality.ours import frame_of, use_case_of
from benchmarks.quality.sets import FOLDER, SETS, Terms, export, train_and_test
from lakehouse import console
from lakehouse.options.choices import OneOf
from lakehouse.settings import Settings
from scoring.hooks import Record
from scoring.scorer import ResponseFormat
from scoring.tasks import TASKS
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.constants import without_constants
from training.frame.drawing import sample
from training.frame.frame import TrainingFrame
from training.frame.splits import folds, training_split
from training.models import FAMILIES
from training.models.extras import require_extras
from training.search.blending import BlendRefused
from training.use_case.use_case import load

LINEAR = ("logistic_regression", "ridge")
TREES = ("lightgbm", "xgboost", "catboost")
NETWORKS = ("mlp", "ft_transformer", "keras_mlp")
BLEND, BLEND_WITH_NETWORKS, PEER = "blend without networks", "blend of all", "RealMLP (pytabkit)"
FOLDS = 3  # of a public set
LONG = 128  # epochs; the default limit is 32
LONGER = f"mlp, {LONG} epochs"
REFERENCE = "catboost"
REQUESTS = 50


@click.command()
@click.option("--rows", "name", default="term_deposit", show_default=True, help=f"A use case, or one of {[*SETS]}.")
@click.option("--most", default=5_000, show_default=True, help="Training rows: the newest, or drawn at random.")
@click.option("--network", "networks", multiple=True, type=OneOf([*NETWORKS]), help="Networks; default: all.")
@click.option("--longer/--no-longer", default=True, show_default=True, help=f"Fit {LONGER} too.")
@click.option("--peer/--no-peer", default=True, show_default=True, help="Fit RealMLP too.")
def main(name: str, most: int, networks: Sequence[str], longer: bool, peer: bool) -> None:
    """Fit every family that predicts the labels of the rows, two blends and the peer; print what each gains."""
    networks = networks or NETWORKS
    require_extras(networks)
    contest = _of_set(name, most) if name in SETS else _of_use_case(name, most)
    console.detail(f"{name}: {len(contest.training):,} training rows, {len(contest.holdout):,} in the holdout")
    entries: list[Entry] = []
    for family in (*LINEAR, *TREES, *networks):
        if contest.training.task in FAMILIES[family].tasks:
            console.stage(family)
            entries.append(entry(family, default_of(family), contest))
    without = [each for each in entries if each.name not in NETWORKS]
    blends = [*_blend(BLEND, without, contest), *_blend(BLEND_WITH_NETWORKS, entries, contest)]
    if longer:
        console.stage(LONGER)
        entries.append(entry(LONGER, default_of("mlp", max_epochs=LONG), contest))
    entries += blends
    if peer:
        entries += peers(contest)
    console.stage(f"{name}: {contest.metric}")
    console.table(*table(contest, entries, REFERENCE))
    if len(blends) > 1:
        console.table(*table(contest, blends, blends[0].name))


def peers(contest: Contest) -> list[Entry]:
    """RealMLP; none if it fails, after the reason is printed: the other models are fitted by then."""
    console.stage(PEER)
    try:
        return [realmlp(PEER, contest)]
    except ProcessFailed as err:
        console.detail(f"skipped: {err}")
        return []


def _blend(name: str, entries: Sequence[Entry], contest: Contest) -> list[Entry]:
    """The blend of the entries; none if one of them alone is better on the folds."""
    console.stage(name)
    try:
        return [blended(name, entries, contest)]
    except BlendRefused as err:
        console.detail(str(err))
        return []


def _of_use_case(name: str, most: int) -> Contest:
    """The newest rows before the holdout of a use case, with the folds of its split."""
    use_case = load(name)
    data = training_split(load_frame(use_case, open_store(Settings.from_environment())), use_case.split)
    training = without_constants(newest(data.training, most))
    seed = use_case.search.seed
    return Contest(
        training,
        data.holdout,
        use_case.search.metric,
        use_case.response_format,
        [use_case.golden_request],
        list(folds(training, use_case.split, seed)),
        seed,
    )


def _of_set(name: str, most: int) -> Contest:
    """The first random split of a public set; its rows have no time."""
    task = SETS[name].task
    export([name], FOLDER)
    train, test = train_and_test(name, FOLDER, 0)
    training = frame_of(train, train, task)
    training = without_constants(training.rows(sample(training, most, 0)))
    holdout = replace(frame_of(test, train, task), classes=training.classes)
    classes = ResponseFormat(TASKS[task].fields, 0.5, TASKS[task], training.classes)
    use_case = use_case_of(Terms(task, 60, 1, 0))
    plan = use_case.split.model_copy(update={"folds": FOLDS})
    parts = list(folds(training, plan, 0))
    return Contest(training, holdout, use_case.search.metric, classes, requests_of(test), parts)


def newest(frame: TrainingFrame, most: int) -> TrainingFrame:
    """The last rows of a frame, which is in order of time."""
    return frame.rows(np.arange(max(0, len(frame) - most), len(frame)))


def requests_of(test: pd.DataFrame) -> Sequence[Record]:
    """Rows without a missing value as requests: numbers as floats, all else as it is."""
    whole = test.drop(columns="target").dropna().head(REQUESTS)
    names = [str(column) for column in whole.columns]
    numbers = {column for column in names if pd.api.types.is_numeric_dtype(whole[column])}
    return [
        {column: float(row[column]) if column in numbers else str(row[column]) for column in names}
        for _, row in whole.iterrows()
    ]


if __name__ == "__main__":
    console.run_command(main)
