"""Fits of single series: how many one processor second does on each engine, and what very many of them would take."""

import os
from collections.abc import Iterator
from time import process_time

import click
import numpy as np
import pyarrow as pa

from benchmarks.harness.jvm_spark import connect_server
from benchmarks.harness.process_session import processor_seconds
from lakehouse import console
from lakehouse.session import new_session
from training.forecasts.series_fits import METHODS, fit_series

SEASON, HORIZON, DAYS, MANY = 7, 14, 56, 100_000
COLUMNS = "series string, " + ", ".join(f"{method} array<double>" for method in METHODS)


@click.command()
@click.option("--series", "count", default=500, show_default=True, help="Series of each round.")
@click.option("--rounds", default=3, show_default=True)
def main(count: int, rounds: int) -> None:
    """Fit all three methods on each series, in this process and in tasks of JVM Spark; the median of the rounds."""
    draw = np.random.default_rng(0)
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(DAYS) / SEASON)
    histories = [(f"series {number}", (draw.gamma(2, 50, DAYS) * season).tolist()) for number in range(count)]
    _here(histories[:1])  # imports the library
    here = [_here(histories) for _ in range(rounds)]
    with connect_server({}) as server:
        _on_spark(server.remote, histories[:8])  # starts the workers
        there = []
        for _ in range(rounds):
            before = processor_seconds(server.session)
            _on_spark(server.remote, histories)
            there.append(processor_seconds(server.session) - before)
    rows = []
    for name, seconds in (("this process", here), ("tasks of JVM Spark", there)):
        rate = count / float(np.median(seconds))
        rows.append([name, f"{rate:.1f}", f"{MANY / rate / 60:.0f} min"])
    console.table(["fitted in", "series for a processor second", f"{MANY:,} series on one core"], rows)


def _here(histories: list[tuple[str, list[float]]]) -> float:
    """Processor seconds of the fits."""
    begin = process_time()
    for name, history in histories:
        fit_series(name, np.asarray(history), SEASON, HORIZON)
    return process_time() - begin


def _on_spark(remote: str, histories: list[tuple[str, list[float]]]) -> None:
    driver = os.getpid()

    def fitted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from training.forecasts.series_fits import fitted_batches

        return fitted_batches(batches, ("series",), SEASON, HORIZON, driver)

    session = new_session(remote)
    try:
        table = session.createDataFrame(histories, "series string, history array<double>")
        found = table.repartition(8).mapInArrow(fitted, COLUMNS).toArrow()
        if found.num_rows != len(histories):
            raise ValueError(f"{found.num_rows} of {len(histories)} series have a forecast")
    finally:
        session.stop()


if __name__ == "__main__":
    console.run_command(main)
