"""Time, memory and size of each step of the feature layer for a growing number of customers."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.harness.measure import Usage, measure, mebibytes, tool
from benchmarks.harness.project import LANDING, copied_project
from benchmarks.harness.targets import BUILD, FRAME, GENERATE, INCREMENT, PUBLISH, StepResult, check_targets
from lakehouse import console

# With the second size, the training frame has a million rows.
SIZES = (100_000, 325_000, 1_000_000, 5_000_000)
# Orders run until the end of 2024; 1 % of them become known in its last week.
BEGIN, CUT, END = "2021-01-01", "2024-12-25", "2025-01-01"
# As in the schedule: unit tests only matter when a model changes.
COMMAND = ("--quiet", "build", "--exclude-resource-type", "unit_test", "--select", "tag:german_customers")
FRAME_CODE = """
from lakehouse.settings import Settings
from training.frame.build import load_frame
from training.feature_store.home import open_store
from training.use_case.use_case import load

frame = load_frame(load("churn"), open_store(Settings.from_environment()))
x = frame.x
size = x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
print(*x.shape, size)
"""


@click.command()
@click.option("--customers", type=click.IntRange(1_000), multiple=True, default=SIZES, show_default=True)
def main(customers: tuple[int, ...]) -> None:
    """Generate, build, build 1 % more, assemble the frame and publish, each step in its own process."""
    measured, rows = list[StepResult](), []
    for count in customers:
        console.stage(f"{count:,} customers")
        with tempfile.TemporaryDirectory() as folder:
            for step, size in _steps(Path(folder) / "project", count):
                console.detail(f"{step.step}: {', '.join(step.usage.cells)}  {size}")
                measured.append(step)
                rows.append([f"{count:,}", step.step, *step.usage.cells, size])
    console.table(["customers", "step", "time", "processor time", "peak memory", "size"], rows)
    checks = [[target, value, "yes" if met else "no"] for target, value, met in check_targets(measured)]
    console.table(["target", "measured", "met"], checks)


def _steps(project: Path, customers: int) -> Iterator[tuple[StepResult, str]]:
    """Run every step at one size; yield its measurement and the formatted size of its result."""
    environment = copied_project(project)

    def run(*command: str) -> Usage:
        return measure(command, project, environment)

    def deliver(begin: str, end: str) -> Usage:
        options = ("--output", str(LANDING), "--from", begin, "--until", end)
        return run(sys.executable, "-m", "simulation.run", "--customers", str(customers), *options)

    def files(step: str, usage: Usage, folder: Path) -> tuple[StepResult, str]:
        # Count blocks instead of lengths, because the file of the online tables is sparse.
        size = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
        return StepResult(customers, step, usage, size=size), mebibytes(size)

    yield files(GENERATE, deliver(BEGIN, CUT), project / LANDING)
    yield files(BUILD, run(tool("dbt"), *COMMAND), project / "warehouse")
    deliver(CUT, END)
    yield files(INCREMENT, run(tool("dbt"), *COMMAND), project / "warehouse")
    frame = run(sys.executable, "-c", FRAME_CODE)
    rows, columns, size = map(int, frame.output.split()[-3:])
    yield StepResult(customers, FRAME, frame, rows, size), f"{rows:,} x {columns:,}, {mebibytes(size)}"
    online = run(sys.executable, "-m", "training.publish", "--online")
    yield files(PUBLISH, online, project / "warehouse" / ".online")


if __name__ == "__main__":
    console.run_command(main)
