"""The comparison: every system on every split of every set, one after the other; results are appended to a file."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.measure import ProcessFailed, Usage, measure, tool
from benchmarks.quality.ranking import summary
from benchmarks.quality.sets import FOLDER, SETS, Terms, export, train_and_test
from lakehouse import console
from lakehouse.options.choices import OneOf
from lakehouse.settings import PROJECT
from training.evaluation.metrics import METRICS

OURS, BOOSTER = "ours", "booster"  # the second is the best single booster of our search
PEERS: Mapping[str, Sequence[str]] = {
    "flaml": ("flaml[automl]==2.7.0", "pyarrow==24.0.0"),
    "autogluon": ("autogluon.tabular[catboost,lightgbm,xgboost]==1.6.3", "pyarrow==24.0.0"),
}
SYSTEMS = (OURS, *PEERS)
Result = dict[str, Any]


@click.command()
@click.option("--seconds", type=click.FloatRange(5), default=60, show_default=True, help="Wall time of each system.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.IntRange(0),
    default=range(5),
    help="Number of a random split of each set; default: 0 to 4.",
)
@click.option("--sets", "names", multiple=True, type=OneOf(list(SETS)), help="Sets to measure; default: all.")
@click.option("--systems", multiple=True, type=OneOf(SYSTEMS), help="Systems to measure; default: all.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Cores of each system.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Start no run after so many; repeat to continue."
)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=FOLDER / "results.jsonl",
    help="File of the results; runs that succeeded are not repeated.",
)
def main(  # noqa: PLR0913, PLR0917  (one for each option)
    seconds: float,
    splits: tuple[int, ...],
    names: tuple[str, ...],
    systems: tuple[str, ...],
    jobs: int,
    minutes: float | None,
    results: Path,
) -> None:
    """Train each system for equal wall time on public sets, and compare ranks and normalised scores on test rows."""
    from training.budget import Budget

    budget = Budget.of(None if minutes is None else minutes * 60)
    results.parent.mkdir(parents=True, exist_ok=True)
    names, systems = names or tuple(SETS), systems or SYSTEMS
    export(names, FOLDER)
    done = {_key(each) for each in read(results) if each["value"] is not None}
    # All sets of a split come before the next split: a run that is cut short has every set.
    runs = [(split, name, system) for split in splits for name in names for system in systems]
    for split, name, system in runs:
        if (name, split, system, seconds) in done:
            continue
        if not budget.allows(seconds):
            console.detail("time is up: the same command continues")
            break
        found = run(name, system, Terms(SETS[name].task, seconds, jobs, split), FOLDER)
        with results.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in found)
        for each in found:
            outcome = each["error"] or f"{each['metric']} {each['value']:.4f} in {each['wall']:.0f} s"
            console.detail(f"{name}, split {split}, {each['system']}: {outcome}")
    print_results([each for each in read(results) if each["seconds"] == seconds and each["set"] in names], systems)


def run(name: str, system: str, terms: Terms, folder: Path) -> list[Result]:
    """The results of one system on one split; our search also gives its best single booster."""
    train, test = train_and_test(name, folder, terms.split)
    shared = {"set": name, "split": terms.split, "seconds": terms.seconds, "metric": terms.metric}
    with tempfile.TemporaryDirectory() as place:
        train.to_parquet(Path(place) / "train.parquet")
        test.drop(columns="target").to_parquet(Path(place) / "test.parquet")
        try:
            usage, files = _train(system, Path(place), terms)
        except ProcessFailed as err:
            return [{**shared, "system": system, "value": None, "error": str(err)[-300:], "wall": 0, "computing": 0}]
        measured = {"wall": usage.seconds, "computing": usage.computing, "error": None}
        found = []
        for label, file in files.items():
            predicted = np.load(file)
            if predicted.ndim == 2 and predicted.shape[1] == 2:
                predicted = predicted[:, 1]
            elif predicted.ndim == 2:
                predicted = predicted / predicted.sum(axis=1, keepdims=True)  # a peer's are in single precision
            value = METRICS[terms.metric].function(test["target"].to_numpy(), predicted, 0.5)
            found.append({**shared, **measured, "system": label, "value": float(value)})
        return found


def _train(system: str, place: Path, terms: Terms) -> tuple[Usage, dict[str, Path]]:
    """Usage of a training, and the files of its predictions of the test rows."""
    if system == OURS:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.quality.ours", str(place), *terms.arguments]
        usage = measure(command, PROJECT, os.environ)
        return usage, {label: path for label in (OURS, BOOSTER) if (path := place / f"{label}.npy").exists()}
    packages = [word for package in PEERS[system] for word in ("--with", package)]
    script = str(PROJECT / "benchmarks" / "harness" / "automl_peer.py")
    command = [tool("uv"), "run", "--quiet", "--no-project", *packages, "python", "-W", "ignore", script, system]
    return measure([*command, str(place), *terms.arguments], PROJECT, os.environ), {system: place / "predicted.npy"}


def read(results: Path) -> list[Result]:
    """The results of the file; a line that a killed run left incomplete is skipped."""
    found = []
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                console.detail(f"{results} has an incomplete line, which is skipped: {line[:60]}")
    return found


def print_results(results: Iterable[Result], systems: Sequence[str]) -> None:
    """Print the mean of each set over its splits, then mean rank and mean normalised score."""
    results = [each for each in results if each["value"] is not None]
    columns = [*systems, BOOSTER]
    by_run: dict[str, dict[str, float]] = {}
    for each in results:
        loss = METRICS[each["metric"]].loss(each["value"])
        by_run.setdefault(f"{each['set']}/{each['split']}", {})[each["system"]] = loss
    rows = []
    for name in dict.fromkeys(each["set"] for each in results):
        of_set = [each for each in results if each["set"] == name]
        means = {column: [each["value"] for each in of_set if each["system"] == column] for column in columns}
        cells = [f"{np.mean(values):.4f}" if values else "-" for values in means.values()]
        rows.append([name, SETS[name].task, of_set[0]["metric"], *cells, _never_worse(by_run, name)])
    console.table(["set", "task", "metric", *columns, "ours at least the booster"], rows)
    ranked = [[system, *cells] for system, cells in summary(by_run, systems).items()]
    console.table(["system", "mean rank [95 %]", "mean normalised score [95 %]"], ranked)


def _never_worse(by_run: Mapping[str, Mapping[str, float]], name: str) -> str:
    """Splits of the set on which our model is at least as good as the best single booster of its search."""
    pairs = [
        each[OURS] <= each[BOOSTER]
        for key, each in by_run.items()
        if key.startswith(f"{name}/") and {OURS, BOOSTER} <= each.keys()
    ]
    return f"{sum(pairs)} of {len(pairs)}"


def _key(result: Result) -> tuple[str, int, str, float]:
    return result["set"], result["split"], result["system"], result["seconds"]
