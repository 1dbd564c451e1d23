"""What each step of the feature layer takes as the customers grow: time, memory, size."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.harness.measure import Usage, measure, mebibytes, tool
from benchmarks.harness.targets import BUILD, FRAME, GENERATE, INCREMENT, PUBLISH, Measured, verdicts
from lakehouse import console
from lakehouse.settings import PROJECT
from simulation.run import SAMPLE, TABLES

# Of the second, the frame has a million rows.
SIZES = (100_000, 325_000, 1_000_000, 5_000_000)
COPIED = ("dbt_project", "dbt_project.yml", "profiles.yml", "lakehouse", "training", "simulation")
LANDING = Path("dbt_project/landing/german_customers")
# Orders grow until the end of 2024: 1 % of them become known in its last week.
BEGIN, CUT, END = "2021-01-01", "2024-12-25", "2025-01-01"
# As scheduled: unit tests are for who changes a model.
COMMAND = ("--quiet", "build", "--exclude-resource-type", "unit_test", "--select", "tag:german_customers")
FRAME_CODE = """
from lakehouse.settings import Settings
from training.frame.build import load_frame
from training.feature_store.home import open_store
from training.use_case import load

frame = load_frame(load("churn"), open_store(Settings.from_environment()))
x = frame.x
size = x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
print(*x.shape, size)
"""


@click.command()
@click.option("--customers", type=click.IntRange(1_000), multiple=True, default=SIZES, show_default=True)
def main(customers: tuple[int, ...]) -> None:
    """Generate, build, build 1 % more, join and assemble; every step a process of its own."""
    measured, rows = list[Measured](), []
    for count in customers:
        console.stage(f"{count:,} customers")
        with tempfile.TemporaryDirectory() as folder:
            for step, left in _steps(Path(folder) / "project", count):
                console.detail(f"{step.step}: {', '.join(step.usage.cells)}  {left}")
                measured.append(step)
                rows.append([f"{count:,}", step.step, *step.usage.cells, left])
    console.table(["customers", "step", "time", "cores' time", "peak memory", "size"], rows)
    held = [[target, found, "yes" if kept else "no"] for target, found, kept in verdicts(measured)]
    console.table(["target", "found", "kept"], held)


def _steps(project: Path, customers: int) -> Iterator[tuple[Measured, str]]:
    """Every step at one size, and what it has left, in words."""
    project.mkdir()
    for name in COPIED:
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, project / name)
    for table in TABLES:
        shutil.rmtree(project / LANDING / table)
    (project / LANDING / SAMPLE).unlink()
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"SPARK_REMOTE", "LAKEHOUSE_WAREHOUSE"}},
        "PYTHONPATH": os.pathsep.join([str(project), str(project / "dbt_project" / "adapter")]),
    }

    def run(*command: str) -> Usage:
        return measure(command, project, environment)

    def deliver(begin: str, end: str) -> Usage:
        places = ("--output", str(LANDING), "--from", begin, "--until", end)
        return run(sys.executable, "-m", "simulation.run", "--customers", str(customers), *places)

    def files(step: str, usage: Usage, folder: Path) -> tuple[Measured, str]:
        # Blocks, and not lengths: the file of the online tables is sparse.
        size = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
        return Measured(customers, step, usage, size=size), mebibytes(size)

    yield files(GENERATE, deliver(BEGIN, CUT), project / LANDING)
    yield files(BUILD, run(tool("dbt"), *COMMAND), project / "warehouse")
    deliver(CUT, END)
    yield files(INCREMENT, run(tool("dbt"), *COMMAND), project / "warehouse")
    frame = run(sys.executable, "-c", FRAME_CODE)
    rows, columns, size = map(int, frame.output.split()[-3:])
    yield Measured(customers, FRAME, frame, rows, size), f"{rows:,} x {columns:,}, {mebibytes(size)}"
    online = run(sys.executable, "-m", "training.publish", "--online")
    yield files(PUBLISH, online, project / "warehouse" / ".online")


if __name__ == "__main__":
    console.run_command(main)
