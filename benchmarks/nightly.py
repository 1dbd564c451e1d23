"""Time, files and bytes of thirty nightly increments of the German customers, with and without maintenance."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import mean

import click

from benchmarks.harness.measure import measure, mebibytes, tool
from benchmarks.harness.project import LANDING, copied_project
from benchmarks.scale import BEGIN, COMMAND
from lakehouse import console
from lakehouse.options.choices import OneOf

FIRST_NIGHT = date(2024, 11, 1)  # the months before it are the first delivery
MAINTENANCE = (sys.executable, "-m", "training.maintenance", "--retain", "0")


@dataclass(frozen=True)
class Night:
    """Processor seconds of the steps of one night, and the warehouse after it.

    Attributes:
        build, publish, maintain: processor seconds of each step; maintain is 0 without maintenance.
        files: data files of the warehouse.
        log: files of the Delta logs.
        size: bytes of all files, without the online tables.
    """

    build: float
    publish: float
    maintain: float
    files: int
    log: int
    size: int

    @property
    def cells(self) -> list[str]:
        seconds = [f"{value:.1f} s" for value in (self.build, self.publish, self.maintain)]
        return [*seconds, f"{self.files:,}", f"{self.log:,}", mebibytes(self.size)]


@click.command()
@click.option("--customers", type=click.IntRange(1_000), default=20_000, show_default=True)
@click.option("--nights", type=click.IntRange(2), default=30, show_default=True)
@click.option("--maintenance", type=OneOf(["with", "without", "both"]), default="both", show_default=True)
def main(customers: int, nights: int, maintenance: str) -> None:
    """Deliver one day each night; build, publish and maintain, each step in its own process."""
    rows = []
    for kind in ("without", "with") if maintenance == "both" else (maintenance,):
        console.stage(f"{nights} nights of {customers:,} customers, {kind} maintenance")
        with tempfile.TemporaryDirectory() as folder:
            schedule = _nights(Path(folder) / "project", customers, nights, maintained=kind == "with")
            measured = list(_shown(schedule))
        third = max(nights // 3, 1)
        for title, part in (("first build", measured[:1]), (f"nights 1 to {third}", measured[1 : third + 1])):
            rows.append([kind, title, *_average(part).cells])
        rows.append([kind, f"nights {nights - third + 1} to {nights}", *_average(measured[-third:]).cells])
        rows.append([kind, f"night {nights}", *measured[-1].cells])
    console.table(["maintenance", "", "build", "publish", "maintain", "data files", "log files", "size"], rows)


def _shown(nights: Iterator[Night]) -> Iterator[Night]:
    for number, night in enumerate(nights):
        console.detail(f"night {number}: {', '.join(night.cells)}")
        yield night


def _average(nights: Sequence[Night]) -> Night:
    build, publish, maintain, files, log, size = (mean(each) for each in zip(*map(astuple, nights), strict=True))
    return Night(build, publish, maintain, round(files), round(log), round(size))


def _nights(project: Path, customers: int, nights: int, *, maintained: bool) -> Iterator[Night]:
    """Yield the first build and each night after it."""
    environment = copied_project(project)

    def run(*command: str) -> float:
        return measure(command, project, environment).computing

    run(tool("mlflow"), "db", "upgrade", f"sqlite:///{project}/mlflow.db")  # the registry, without versions
    begin = date.fromisoformat(BEGIN)
    for night in range(nights + 1):
        end = FIRST_NIGHT + timedelta(days=night)
        options = ("--output", str(LANDING), "--from", f"{begin}", "--until", f"{end}")
        run(sys.executable, "-m", "simulation.run", "--customers", str(customers), *options)
        begin = end
        build = run(tool("dbt"), *COMMAND)
        publish = run(sys.executable, "-m", "training.publish", "--online")
        maintain = run(*MAINTENANCE) if maintained else 0.0
        yield Night(build, publish, maintain, *_counted(project / "warehouse"))


def _counted(warehouse: Path) -> tuple[int, int, int]:
    """Data files, log files, and bytes of the tables."""
    files = [file for file in warehouse.rglob("*") if file.is_file() and ".online" not in file.parts]
    log = [file for file in files if file.parent.name == "_delta_log"]
    return len(files) - len(log), len(log), sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    console.run_command(main)
