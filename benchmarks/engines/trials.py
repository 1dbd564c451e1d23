"""Cost of a trial for each executor: searches whose trials take a fixed time, with two trials at once."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

import click

from benchmarks.harness import process_session
from benchmarks.harness.jvm_spark import available, connect_server
from lakehouse import console
from lakehouse.settings import PROJECT, Settings
from training.search import running
from training.search.trial import Trial, TrialSpec
from training.use_case.search import SearchPlan

SECONDS, TRIALS, ROUNDS, PARALLELISM = (0.0, 1.0, 5.0), 8, 3, 2
WARM_UP = 2  # trials that start the workers
# Name of a row: executor, and whether it needs a server of JVM Spark.
EXECUTORS: Mapping[str, tuple[str, bool]] = {
    "in_process": ("in_process", False),
    "processes": ("processes", False),
    "spark_connect, Sail": ("spark_connect", False),
    "spark_connect, JVM Spark": ("spark_connect", True),
    "spark_trials, JVM Spark": ("spark_trials", False),
}


@dataclass(frozen=True)
class Timed:
    """An attempt that waits for a time and computes nothing, so that other work on the machine matters little."""

    seconds: float

    def __call__(self, spec: TrialSpec) -> Trial:
        time.sleep(self.seconds)
        metrics = {"roc_auc": 1 / (1 + spec.number)}
        return Trial(spec.number, spec.candidate, metrics, (metrics,), timedelta(seconds=self.seconds))


@click.command()
@click.option("--seconds", type=click.FloatRange(0), multiple=True, default=SECONDS, show_default=True)
@click.option("--trials", type=click.IntRange(2), default=TRIALS, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True)
def main(seconds: tuple[float, ...], trials: int, rounds: int) -> None:
    """Run searches with each executor, two trials at once; medians of alternating rounds."""
    measured: dict[tuple[str, float], list[tuple[float, float]]] = {}
    names = [name for name in EXECUTORS if available() or "JVM" not in name]
    for number in range(rounds):
        for name in names:
            console.stage(f"round {number + 1} of {rounds}: {name}")
            for length, used in _round(name, seconds, trials):
                measured.setdefault((name, length), []).append(used)
                console.detail(f"{length:g} s: {used[0]:.2f} s, processor time {used[1]:.2f} s per trial")
    serial = {length: _middle(measured["in_process", length])[0] for length in seconds}
    rows = []
    for name in names:
        for length in seconds:
            wall, computing = _middle(measured[name, length])
            ideal = length / (1 if name == "in_process" else PARALLELISM)
            gain = serial[length] / wall
            rows.append([name, f"{length:g} s", f"{wall:.2f} s", f"{wall - ideal:.2f} s", f"{computing:.2f} s",
                         f"{gain:.2f} x"])  # fmt: skip
    console.table(
        ["executor", "trial", "wall per trial", "overhead", "processor time", "speed-up over in_process"], rows
    )


def _round(name: str, seconds: Sequence[float], trials: int) -> list[tuple[float, tuple[float, float]]]:
    """Wall and processor time per trial for each length, in a process of its own: a JVM stays with its process."""
    executor, on_server = EXECUTORS[name]
    with connect_server({}) if on_server else nullcontext() as server:
        environment = {key: value for key, value in os.environ.items() if key != "SPARK_REMOTE"}
        environment |= {"SPARK_MASTER": f"local[{PARALLELISM}]"} | ({"SPARK_REMOTE": server.remote} if server else {})
        arguments = (executor, trials, server.session if server else None, list(seconds))
        done = subprocess.run(
            [sys.executable, "-c", f"from benchmarks.engines.trials import report\nreport(*{arguments!r})"],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            start_new_session=True,
        )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("measured ")]
    return [(float(length), (float(wall), float(computing))) for _, length, wall, computing in lines]


def report(executor: str, trials: int, server: int | None, seconds: Sequence[float]) -> None:
    """Print wall and processor time per trial of one executor for each length, after a warm-up.

    Args:
        server: session of a server's processes, whose processor time counts as well.
    """

    def computing() -> float:
        own = process_session.processor_seconds(os.getsid(0))
        return own if server is None else own + process_session.processor_seconds(server)

    plan = SearchPlan.model_validate(
        {
            "families": ["knn"],
            "space": {"knn": {"n_neighbors": [1, 500]}},
            "method": "random",
            "max_evals": WARM_UP,
            "blend": 0,
            "executor": executor,
            "parallelism": 1 if executor == "in_process" else PARALLELISM,
        }
    )
    settings = Settings.from_environment()
    running.run_plan(plan, Timed(0), lambda _: None, settings)
    for length in seconds:
        begin, before = time.monotonic(), computing()
        running.run_plan(plan.model_copy(update={"max_evals": trials}), Timed(length), lambda _: None, settings)
        wall = time.monotonic() - begin
        sys.stdout.write(f"measured {length} {wall / trials} {(computing() - before) / trials}\n")


def _middle(used: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return median(wall for wall, _ in used), median(computing for _, computing in used)


if __name__ == "__main__":
    console.run_command(main)
