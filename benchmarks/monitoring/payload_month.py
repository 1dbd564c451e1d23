"""Time and memory of counting a month of payload rows: 13 inputs, predictions, one slice, 30 windows of a day."""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from benchmarks.harness.measure import measure
from deployment.monitoring import payload
from deployment.monitoring.counted import Counted
from deployment.monitoring.counting import CountPlan, SliceColumn, count
from deployment.monitoring.windows import micros_of
from lakehouse import console
from lakehouse.session import open_session
from lakehouse.settings import PROJECT
from training.population.bins import CategoryBins, ColumnBins
from training.population.placement import number_bins

START, DAYS = datetime(2026, 11, 1, tzinfo=UTC), 30
NUMBERS, FLAGS, DISTINCT, CHUNK = 6, 3, 50_000, 500_000
JOBS = ("clerk", "nurse", "cook", "driver")
DAY = 86_400_000_000


@click.command()
@click.option("--rows", type=click.IntRange(1_000), default=10_000_000, show_default=True)
@click.option("--count-in", type=click.Path(path_type=Path), hidden=True, help="Only count the table in a folder.")
def main(rows: int, count_in: Path | None) -> None:
    """Write so many rows of a month, and count them in a process of its own."""
    if count_in is not None:
        _count(count_in)
        return
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "payload"
        _write(table, rows)
        size = sum(file.stat().st_size for file in table.rglob("*.parquet"))
        command = [sys.executable, "-m", "benchmarks.monitoring.payload_month", "--count-in", str(table)]
        usage = measure(command, PROJECT, os.environ)
    console.table(
        ["payload rows", "files", "counts", "time", "processor time", "peak memory"],
        [[f"{rows:,}", f"{size / 2**20:,.0f} MiB", usage.output.strip().splitlines()[-1], *usage.cells]],
    )


def _count(folder: Path) -> None:
    rows = open_session().read.format("delta").load(str(folder))
    counted = count(payload.exchanges(rows, str(folder), START), _plan()).collect()
    traffic = Counted.of(counted).traffic(0)
    assert traffic.records > 0
    console.verbatim(f"{len(counted):,}")


def _plan() -> CountPlan:
    draw = np.random.default_rng(0)
    inputs: dict[str, ColumnBins] = {f"n{at}": number_bins(draw.normal(size=5_000)) for at in range(NUMBERS)}
    jobs = CategoryBins(JOBS, len(JOBS))
    inputs |= {f"c{at}": jobs for at in range(4)} | {f"f{at}": CategoryBins((False, True), 2) for at in range(FLAGS)}
    first = micros_of(START)
    scores = number_bins(draw.uniform(size=5_000), 100, [0.5])
    now = first + (DAYS + 1) * DAY
    return CountPlan(first, DAY, DAYS, now, inputs, {"c0": SliceColumn("c0", jobs)}, "probability", scores)


def _write(folder: Path, rows: int) -> None:
    """One record a request, drawn from many different ones."""
    draw = np.random.default_rng(1)
    requests, responses = [], []
    for _ in range(DISTINCT):
        record: dict[str, object] = {f"n{at}": float(draw.normal()) for at in range(NUMBERS)}
        record |= {f"c{at}": JOBS[int(draw.integers(4))] for at in range(4)}
        record |= {f"f{at}": bool(draw.integers(2)) for at in range(FLAGS)}
        requests.append(json.dumps({"dataframe_records": [record]}))
        responses.append(json.dumps({"predictions": [{"label": 0, "probability": float(draw.uniform())}]}))
    first = np.datetime64(START.replace(tzinfo=None), "us")
    for begin in range(0, rows, CHUNK):
        size = min(CHUNK, rows - begin)
        times = first + np.sort(draw.integers(DAYS * DAY * begin // rows, DAYS * DAY * (begin + size) // rows, size))
        chosen = pa.array(draw.integers(0, DISTINCT, size))
        table = {
            "databricks_request_id": pa.array([f"{begin + number}" for number in range(size)]),
            "request_date": pa.array(times.astype("datetime64[D]")),
            "client_request_id": pa.nulls(size, pa.string()),
            "request_time": pa.array(times, pa.timestamp("us", "UTC")),
            "status_code": pa.array(np.full(size, 200, np.int32)),
            "sampling_fraction": pa.array(np.ones(size)),
            "execution_duration_ms": pa.array(draw.integers(1, 9, size)),
            "request": pa.array(requests).take(chosen),
            "response": pa.array(responses).take(chosen),
            "served_entity_id": pa.array(np.full(size, "people-1")),
        }
        write_deltalake(folder, pa.table(table), mode="append")


if __name__ == "__main__":
    console.run_command(main)
