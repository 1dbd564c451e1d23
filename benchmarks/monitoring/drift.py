"""False alarms and delay of detection: `monitor`'s comparison beside Evidently's defaults, on the same windows."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.harness.measure import tool
from benchmarks.monitoring.scenarios import DRIFTS, QUIET, Sample, WindowSeries
from deployment.monitoring.comparison import compare
from deployment.monitoring.counted import Counted
from deployment.monitoring.counting import ALL
from deployment.monitoring.findings import confirm
from lakehouse import console
from lakehouse.arrays import Floats, Mask
from training.population.bins import CategoryBins, ColumnBins, NumberBins, tally
from training.population.placement import number_bins
from training.population.population import CountedColumn, CountedSlice, Population
from training.use_case.monitoring import MonitoringPlan

EVIDENTLY = ("evidently==0.7.23", "pandas<3", "numpy<2.4", "scipy<1.16")
SEGMENT = "c0"  # the category that divides the rows
PLAN = MonitoringPlan(slices=(SEGMENT,))
CATEGORY = CategoryBins(("0", "1", "2", "3"), 4)
Flags = list[tuple[bool, bool]]  # of each window: a finding or drifted column; an action or drifted window


@click.command()
@click.option("--series", type=click.IntRange(1), default=20, show_default=True, help="Series of 20 windows each.")
@click.option("--evidently/--no-evidently", default=True, show_default=True, help="Also ask Evidently.")
def main(series: int, evidently: bool) -> None:
    """Compare windows of 1,000 rows with a reference of 10,000; drift begins at window 10 of 20."""
    rows, quiet = [], {"monitor": Flags(), "Evidently": Flags()}
    for number, (name, drift) in enumerate(DRIFTS.items()):
        drawn = [WindowSeries.drawn(drift, 1000 * number + seed) for seed in range(series)]
        found = {"monitor": [ours(each) for each in drawn]}
        if evidently:
            found["Evidently"] = peers(drawn)
        for who, flags in found.items():
            for each in flags:
                quiet[who] += each if name == "none" else each[:QUIET]
            if name != "none":
                rows.append([name, who, *_delays(flags)])
    console.stage(f"Delay of detection, {series} series each, in windows from the first drifted one (which is 1)")
    console.table(["drift", "by", "first finding", "of series", "first action", "of series"], rows)
    console.stage("False alarms in windows without drift")
    shares = [
        [who, f"{len(flags):,}", *(f"{np.mean([flag[at] for flag in flags]):.2%}" for at in (0, 1))]
        for who, flags in quiet.items()
        if flags
    ]
    console.table(["by", "windows", "with a finding", "with an action"], shares)
    console.detail("Evidently: finding = a drifted column, action = half of the columns drifted (its rule)")


def ours(series: WindowSeries) -> Flags:
    """Findings and actions of `monitor`; every finding alerts."""
    population = _population(series.reference)
    windows = [compare(0, Counted(_counts(each, population)), population, PLAN) for each in series.windows]
    return [(bool(each.findings), any(one.confirmed for one in each.findings)) for each in confirm(windows)]


def peers(series: Sequence[WindowSeries]) -> list[Flags]:
    """Evidently's results for the same windows, computed in an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, each in enumerate(series):
            files.append(str(Path(folder) / f"{number}.npz"))
            np.savez(
                files[-1],
                reference_numbers=each.reference.numbers,
                reference_categories=each.reference.categories,
                numbers=np.stack([window.numbers for window in each.windows]),
                categories=np.stack([window.categories for window in each.windows]),
            )
        installed = [argument for package in EVIDENTLY for argument in ("--with", package)]
        script = str(Path(__file__).with_name("evidently_windows.py"))
        command = [tool("uv"), "run", "--quiet", "--no-project", "--python", "3.11", *installed, "python", script]
        output = subprocess.run([*command, *files], capture_output=True, text=True, check=True).stdout
    return [[(any_, half) for any_, half in each] for each in json.loads(output.strip().splitlines()[-1])]


def _delays(flags: Sequence[Flags]) -> list[str]:
    cells = []
    for at in (0, 1):
        delays = [next((n + 1 for n, flag in enumerate(each[QUIET:]) if flag[at]), None) for each in flags]
        seen = [delay for delay in delays if delay is not None]
        cells += [f"{np.median(seen):g}" if seen else "never", f"{len(seen)} of {len(flags)}"]
    return cells


def _bins(reference: Sample) -> dict[str, ColumnBins]:
    numbers: dict[str, ColumnBins] = {
        f"n{at}": number_bins(reference.numbers[:, at]) for at in range(reference.numbers.shape[1])
    }
    return numbers | {f"c{at}": CATEGORY for at in range(reference.categories.shape[1])}


def _columns(sample: Sample, bins: dict[str, ColumnBins], chosen: Mask) -> dict[str, Floats]:
    counts = {}
    for name, each in bins.items():
        at = int(name[1:])
        outside = np.zeros(int(chosen.sum()), dtype=np.bool_)
        if isinstance(each, NumberBins):
            values = sample.numbers[chosen, at]
            indices, outside = each.index_array(values), (values < each.low) | (values > each.high)
        else:
            indices = sample.categories[chosen, at]
        counts[name] = tally(each, indices, outside)
    return counts


def _population(reference: Sample) -> Population:
    bins, everyone = _bins(reference), np.ones(len(reference.numbers), dtype=np.bool_)
    counts = _columns(reference, bins, everyone)
    for each in counts.values():
        each[-1] = 0
    within = [_columns(reference, bins, reference.categories[:, 0] == at) for at in range(CATEGORY.size)]
    inputs = {name: np.stack([each[name] for each in within]) for name in bins}
    columns = {name: CountedColumn(each, counts[name]) for name, each in bins.items()}
    return Population(columns, {SEGMENT: CountedSlice(SEGMENT, CATEGORY, inputs)})


def _counts(window: Sample, population: Population) -> dict[tuple[int, str], dict[str, dict[int, float]]]:
    bins = {name: column.bins for name, column in population.inputs.items()}
    chosen = {ALL: np.ones(len(window.numbers), dtype=np.bool_)}
    chosen |= {f"{SEGMENT}={value}": window.categories[:, 0] == at for at, value in enumerate(CATEGORY.labels())}
    return {
        (0, slice_): {name: dict(enumerate(counts.tolist())) for name, counts in _columns(window, bins, rows).items()}
        for slice_, rows in chosen.items()
    }


if __name__ == "__main__":
    console.run_command(main)
