"""A small version to monitor: one number, one category and one flag, with a population and matching traffic."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from deployment.monitoring.counted import Counted
from deployment.monitoring.counting import BatchCounter, CountPlan
from deployment.monitoring.monitored_run import count_plan
from deployment.monitoring.windows import Windows, micros_of
from training.population.bins import CategoryBins, NumberBins, tally
from training.population.placement import number_bins
from training.population.population import CountedColumn, CountedSlice, Population
from training.use_case.monitoring import MonitoringPlan

START, LENGTH = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
JOBS = ("clerk", "nurse", "cook")
FLAGS = CategoryBins((False, True), 2)
JOB_BINS = CategoryBins(JOBS, 3)
Record = dict[str, Any]


def records(draw: np.random.Generator, count: int, shift: float = 0.0) -> list[Record]:
    """Records; `age` moves by `shift` standard deviations."""
    ages = draw.normal(40 + 10 * shift, 10, count)
    jobs, flags = draw.choice(JOBS, count, p=[0.5, 0.3, 0.2]), draw.integers(0, 2, count)
    return [
        {"age": float(age), "job": str(job), "owner": bool(flag)}
        for age, job, flag in zip(ages, jobs, flags, strict=True)
    ]


def score(record: Record) -> float:
    """The probability that the version predicts."""
    return float(1 / (1 + np.exp(-(record["age"] - 40) / 10)))


def population(rows: int = 5_000, seed: int = 0) -> Population:
    """The population of `records`, with labels drawn by `score` and the slice `job`."""
    draw = np.random.default_rng(seed)
    sample = records(draw, rows)
    scores = np.asarray([score(each) for each in sample])
    labels = draw.uniform(size=rows) < scores
    bins: Mapping[str, NumberBins | CategoryBins] = {
        "age": number_bins(np.asarray([each["age"] for each in sample])),
        "job": JOB_BINS,
        "owner": FLAGS,
    }
    found = {name: each.index([record[name] for record in sample]) for name, each in bins.items()}
    counts = {name: tally(bins[name], *found[name]) for name in bins}
    score_bins = number_bins(scores, 100, [0.5])
    placed = score_bins.index_array(scores)
    nowhere = np.zeros(rows, dtype=np.bool_)
    jobs = found["job"][0]
    within = {
        name: np.stack([tally(each, found[name][0][jobs == at], nowhere[jobs == at]) for at in range(3)])
        for name, each in bins.items()
    }
    predicted = np.stack([tally(score_bins, placed[jobs == at], nowhere[jobs == at]) for at in range(3)])
    outcomes = np.bincount(labels * score_bins.size + placed, minlength=2 * score_bins.size)
    return Population(
        {name: CountedColumn(each, counts[name], merged=name == "job") for name, each in bins.items()},
        {"job": CountedSlice("job", JOB_BINS, within, predicted)},
        "probability",
        CountedColumn(score_bins, tally(score_bins, placed, nowhere)),
        outcomes.reshape(2, -1).astype(np.float64),
        0.5,
        (0, 1),
    )


def plan(of: Population, windows: int = 3, **changes: Any) -> CountPlan:
    """Count days from `START` on."""
    period = Windows(START, LENGTH, windows)
    declared = MonitoringPlan(slices=tuple(of.slices), max_p99_ms=100.0)
    return replace(count_plan(of, declared, period, period.end, frozenset({"people-1"})), **changes)


def payload_row(sent: Sequence[Record], at: datetime = START, **changes: Any) -> dict[str, Any]:
    """A row as `payload.exchanges` reads it."""
    responses = [{"label": int(score(each) >= 0.5), "probability": score(each)} for each in sent]
    row = {
        "at": micros_of(at),
        "status": 200,
        "duration_ms": 3.0,
        "sampling": 1.0,
        "request": json.dumps({"dataframe_records": list(sent)}),
        "response": json.dumps({"predictions": responses}),
        "served": "people-1",
    }
    return row | changes


SCHEMA = pa.schema(
    [
        ("at", pa.int64()), ("status", pa.int32()), ("duration_ms", pa.float64()), ("sampling", pa.float64()),
        ("request", pa.string()), ("response", pa.string()), ("served", pa.string()),
    ]
)  # fmt: skip


def counted(rows: Sequence[Mapping[str, Any]], how: CountPlan) -> Counted:
    """The counts of rows, without Spark."""
    counter = BatchCounter(how)
    counter.add(pa.RecordBatch.from_pylist([dict(row) for row in rows], SCHEMA))
    return Counted.of(counter.result().to_pylist())


def day_of(draw: np.random.Generator, day: int, count: int = 1_000, shift: float = 0.0) -> Iterator[dict[str, Any]]:
    """A day of requests, each with ten records."""
    sent = records(draw, count, shift)
    for number in range(0, count, 10):
        yield payload_row(sent[number : number + 10], START + day * LENGTH + timedelta(seconds=number))
