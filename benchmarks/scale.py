"""What each step of the feature layer takes as the customers grow: time, memory, size."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.measure import Usage, measure, mebibytes, tool
from lakehouse import console
from lakehouse.settings import PROJECT
from simulation.run import SAMPLE, TABLES

SIZES = (100_000, 1_000_000, 5_000_000)
COPIED = ("dbt_project", "dbt_project.yml", "profiles.yml", "lakehouse", "training", "simulation")
LANDING = Path("dbt_project/landing/german_customers")
# 1 % of the orders become known between the last two.
BEGIN, CUT, END = "2021-01-01", "2025-01-17", "2025-02-01"
BUILD = ("--quiet", "build", "--select", "tag:german_customers")
FRAME = """
from lakehouse.settings import Settings
from training.dataset import load_frame
from training.feature_store.home import open_store
from training.use_case import load

frame = load_frame(load("churn"), open_store(Settings.from_environment()))
x = frame.x
size = x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
print(f"{x.shape[0]:,} x {x.shape[1]:,}", size)
"""


@click.command()
@click.option("--customers", type=click.IntRange(1_000), multiple=True, default=SIZES, show_default=True)
def main(customers: tuple[int, ...]) -> None:
    """Generate, build, build 1 % more, join and assemble; every step a process of its own."""
    rows = []
    for count in customers:
        console.stage(f"{count:,} customers")
        with tempfile.TemporaryDirectory() as folder:
            for step, usage, size in _steps(Path(folder) / "project", count):
                console.detail(f"{step}: {', '.join(usage.cells)}  {size}")
                rows.append([f"{count:,}", step, *usage.cells, size])
    console.table(["customers", "step", "time", "cores' time", "peak memory", "size"], rows)


def _steps(project: Path, customers: int) -> Iterator[tuple[str, Usage, str]]:
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

    yield "generate", deliver(BEGIN, CUT), _size(project / LANDING)
    yield "dbt build", run(tool("dbt"), *BUILD), _size(project / "warehouse")
    deliver(CUT, END)
    yield "dbt build, 1 % more", run(tool("dbt"), *BUILD), _size(project / "warehouse")
    frame = run(sys.executable, "-c", FRAME)
    shape, _, size = frame.output.strip().rpartition(" ")
    yield "frame and CSR", frame, f"{shape}, {mebibytes(int(size))}"
    yield "publish --online", run(sys.executable, "-m", "training.publish", "--online"), ""


def _size(folder: Path) -> str:
    return mebibytes(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


if __name__ == "__main__":
    console.run_command(main)
