"""Build, training frame and batch scoring for growing data: the embedded engine, and JVM Spark as a server."""

import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import click

from benchmarks.harness import process_session
from benchmarks.harness.jvm_spark import ConnectServer, available, connect_server
from benchmarks.harness.measure import Usage, measure, mebibytes, tool
from benchmarks.harness.project import LANDING, copied_project
from benchmarks.scale import COMMAND, FRAME_CODE
from lakehouse import console
from lakehouse.options.choices import OneOf

# A customer has ten orders: 100,000 to 10 million.
SIZES = (10_000, 100_000, 1_000_000)
SAIL, JVM = "Sail", "JVM Spark"
PERIOD = ("--from", "2021-01-01", "--until", "2025-01-01")
TRAIN = ("--use-case", "churn", "--families", "logistic_regression", "--max-evals", "1", "--parallelism", "1")
SCORE = ("--use-case", "churn", "--version", "challenger", "--input", "gold.churn_labels", "--output", "gold.scores")
HEAP = "4g"  # of the JVM; the default of 1 GiB is too little for ten million rows
EVERY = 0.2  # seconds between two looks at the memory of the server


@dataclass(frozen=True)
class Engine:
    """An engine of a benchmark.

    Attributes:
        server: the running server; None for the engine inside each process.
    """

    name: str
    server: ConnectServer | None

    def variables(self) -> dict[str, str]:
        warehouse = {"LAKEHOUSE_WAREHOUSE": "warehouse_" + self.name.split(maxsplit=1)[0].lower()}
        return warehouse | ({"SPARK_REMOTE": self.server.remote, "DBT_TARGET": "spark"} if self.server else {})

    def measure(self, command: Sequence[str], project: Path, environment: Mapping[str, str]) -> Usage:
        """Run a command; time and memory of the server are part of its usage."""
        if self.server is None:
            return measure(command, project, {**environment, **self.variables()})
        before = process_session.processor_seconds(self.server.session)
        with _peak_of(self.server.session) as peak:
            usage = measure(command, project, {**environment, **self.variables()})
        computing = usage.computing + process_session.processor_seconds(self.server.session) - before
        return replace(usage, computing=computing, peak=usage.peak + max(peak))


@click.command()
@click.option("--customers", type=click.IntRange(1_000), multiple=True, default=SIZES, show_default=True)
@click.option("--engine", type=OneOf([SAIL, JVM]), multiple=True, default=(SAIL, JVM), show_default=True)
def main(customers: tuple[int, ...], engine: tuple[str, ...]) -> None:
    """Build, read the training frame and score every row, in both engines, with ten orders for each customer."""
    if JVM in engine and not available():
        console.stage(f"{JVM} is left out, because there is no java on the PATH")
        engine = tuple(each for each in engine if each != JVM)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        registry = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        for count in customers:
            project = Path(folder) / str(count)
            environment = copied_project(project) | registry
            _run("simulation.run", "--customers", str(count), "--output", str(LANDING), *PERIOD,
                 project=project, environment=environment)  # fmt: skip
            for name in engine:
                console.stage(f"{count:,} customers on {name}")
                with connect_server({"spark.driver.memory": HEAP}) if name == JVM else nullcontext() as server:
                    for step, usage, size in _steps(Engine(name, server), project, environment):
                        console.detail(f"{step}: {', '.join(usage.cells)}  {size}")
                        rows.append([f"{count * 10:,}", name, step, *usage.cells, size])
    console.table(["orders", "engine", "step", "time", "processor time", "peak memory", "rows"], rows)


def _steps(engine: Engine, project: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, Usage, str]]:
    """Run every step; yield its name, its usage and the rows of its result."""
    build = engine.measure((tool("dbt"), *COMMAND), project, environment)
    yield "build", build, mebibytes(sum(file.stat().st_size for file in (project / engine.variables()[
        "LAKEHOUSE_WAREHOUSE"]).rglob("*.parquet")))  # fmt: skip
    frame = engine.measure((sys.executable, "-c", FRAME_CODE), project, environment)
    yield "training frame", frame, f"{int(frame.output.split()[-3]):,}"
    if not (project.parent / "mlflow.db").exists():  # one version scores every size
        _run("training.run", *TRAIN, project=project, environment={**environment, **engine.variables()})
    score = engine.measure((sys.executable, "-m", "training.score", *SCORE), project, environment)
    (line,) = (line for line in score.output.splitlines() if "rows with a prediction" in line)
    yield "batch scoring", score, line.split()[1]


def _run(*command: str, project: Path, environment: Mapping[str, str]) -> None:
    measure((sys.executable, "-m", *command), project, environment)


@contextmanager
def _peak_of(session: int) -> Iterator[list[int]]:
    """Watch the resident memory of a session, and yield the list to which each look is added."""
    looks, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            looks.append(process_session.resident_bytes(session))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield looks
    finally:
        ended.set()
        watcher.join()


if __name__ == "__main__":
    console.run_command(main)
