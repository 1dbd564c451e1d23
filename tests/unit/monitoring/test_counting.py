"""Rows of a payload table as counts: formats, rows that do not parse, clocks, versions, slices."""

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.monitoring.counted import Counted
from deployment.monitoring.counting import PREDICTION, BatchCounter
from deployment.monitoring.unpacking import REASONS
from deployment.monitoring.windows import micros_of
from tests.unit.monitoring.samples import (
    LENGTH,
    SCHEMA,
    START,
    counted,
    payload_row,
    plan,
    population,
    records,
    score,
)

POPULATION = population(500)
SENT = records(np.random.default_rng(1), 4)
AGES = POPULATION.inputs["age"].bins


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": SENT},
        {"dataframe_split": {"columns": list(SENT[0]), "data": [list(each.values()) for each in SENT]}},
        {"instances": SENT},
        {"inputs": {name: [each[name] for each in SENT] for name in SENT[0]}},
        {"dataframe_records": SENT, "client_request_id": "a"},
    ],
    ids=["records", "split", "instances", "inputs", "with an id"],
)
def test_every_request_format_gives_the_same_counts(body: object) -> None:
    found = counted([payload_row(SENT, request=json.dumps(body))], plan(POPULATION))
    assert found.traffic(0).records == 4
    expected = np.bincount(AGES.index([each["age"] for each in SENT])[0], minlength=AGES.size)
    assert np.array_equal(found.column(0, "age", AGES.size), expected)
    assert found.column(0, PREDICTION, 200).sum() == 4


@pytest.mark.parametrize(
    ("changes", "reason", "records_read"),
    [
        ({"request": None}, 0, 0),
        ({"request": "{"}, 1, 0),
        ({"request": json.dumps({"instances": [[1.0], [2.0]]})}, 2, 0),
        ({"request": json.dumps([1])}, 2, 0),
        ({"response": None}, 3, 4),
        ({"response": json.dumps({"predictions": [{"probability": 0.1}]})}, 3, 4),
        ({"response": json.dumps({"predictions": [1, 2, 3, 4]})}, 3, 4),
        ({"response": json.dumps({"predictions": [{"score": 0.1}] * 4})}, 3, 4),
    ],
)
def test_a_row_that_does_not_parse_is_counted_with_its_reason(
    changes: dict[str, Any], reason: int, records_read: int
) -> None:
    found = counted([payload_row(SENT, **changes), payload_row(SENT)], plan(POPULATION))
    assert found.traffic(0).left_out == {REASONS[reason]: 1}
    assert found.traffic(0).requests == 2
    assert found.traffic(0).records == 4 + records_read
    assert found.column(0, PREDICTION, 200).sum() == 4


def test_a_refused_request_counts_its_inputs_and_has_no_predictions() -> None:
    refused = payload_row(SENT, status=400, response=json.dumps({"error_code": "BAD_REQUEST"}))
    found = counted([refused], plan(POPULATION))
    assert found.traffic(0).refused == 1
    assert found.traffic(0).records == 4
    assert found.traffic(0).left_out == {}
    assert found.column(0, PREDICTION, 200).sum() == 0


def test_null_unknown_redacted_and_unsent_values_are_told_apart() -> None:
    sent = [
        {"age": None, "job": None, "owner": True},
        {"age": "old", "job": "pilot", "owner": 1},
        {"age": "[redacted]", "job": "[redacted]", "owner": False},
        {"owner": True},
        {"age": True, "job": ["cook"], "owner": None},
    ]
    found = counted(
        [payload_row(SENT, request=json.dumps({"dataframe_records": sent}), status=400)], plan(POPULATION)
    )
    assert found.column(0, "age", AGES.size + 3).tolist()[AGES.size :] == [1, 2, 0]
    assert found.column(0, "job", 6).tolist() == [0, 0, 0, 1, 2, 0]
    assert found.column(0, "owner", 5).tolist() == [1, 2, 1, 1, 0]


def test_values_outside_the_range_count_twice_in_their_bin_and_outside() -> None:
    found = counted([payload_row([{**SENT[0], "age": 900.0}, {**SENT[0], "age": -900.0}])], plan(POPULATION))
    ages = found.column(0, "age", AGES.size + 3)
    assert (ages[0], ages[AGES.size - 1], ages[-1]) == (1, 1, 2)


def test_a_clock_that_is_ahead_is_counted_and_its_rows_are_in_no_window() -> None:
    ahead = payload_row(SENT, START + 3 * LENGTH + timedelta(hours=5))
    found = counted([payload_row(SENT), ahead], plan(POPULATION))
    assert found.future == 1
    assert sum(found.traffic(day).requests for day in range(3)) == 1
    # A clock ahead by less than the rest of the window is in a window that has not ended.
    running = counted([payload_row(SENT, START + LENGTH)], plan(POPULATION, windows=1, now=plan(POPULATION).now))
    assert (running.future, running.traffic(0).requests) == (0, 0)


def test_rows_of_other_versions_are_counted_apart_and_rows_without_one_belong_to_the_endpoint() -> None:
    rows = [payload_row(SENT), payload_row(SENT, served="people-2"), payload_row(SENT, served=None, status=503)]
    found = counted(rows, plan(POPULATION))
    assert found.other_version == 1
    assert found.traffic(0).requests == 2
    assert found.traffic(0).failed == 1


def test_slices_add_up_to_the_window_and_sampling_to_the_volume() -> None:
    sent = records(np.random.default_rng(2), 300)
    found = counted([payload_row(sent, sampling=0.25)], plan(POPULATION))
    assert found.traffic(0).volume == 4
    assert found.slices(0) == ["job=clerk", "job=cook", "job=nurse"]
    within = sum(found.column(0, "age", AGES.size, slice_) for slice_ in found.slices(0))
    assert np.array_equal(within, found.column(0, "age", AGES.size))
    predicted = sum(found.column(0, PREDICTION, 200, slice_).sum() for slice_ in found.slices(0))
    assert predicted == 300


def test_latency_has_quantiles_and_counts_slow_requests() -> None:
    rows = [payload_row(SENT, duration_ms=float(each)) for each in [1] * 98 + [150, 900]]
    traffic = counted(rows, plan(POPULATION)).traffic(0)
    assert traffic.slow == 2
    assert 0.9 < traffic.quantile(0.5) < 1.3
    assert 140 < traffic.quantile(0.99) < 180
    assert np.isnan(counted([], plan(POPULATION)).traffic(0).quantile(0.5))


def test_counts_of_partitions_add_up() -> None:
    rows = [payload_row(SENT), payload_row(SENT, START + LENGTH), payload_row(SENT[:2])]
    together = counted(rows, plan(POPULATION)).counts
    apart = [counted([row], plan(POPULATION)).counts for row in rows]
    for place, columns in together.items():
        for name, bins in columns.items():
            for at, value in bins.items():
                assert sum(each.get(place, {}).get(name, {}).get(at, 0) for each in apart) == value


def test_the_score_of_a_record_is_its_prediction() -> None:
    found = counted([payload_row(SENT[:1])], plan(POPULATION))
    assert POPULATION.prediction is not None
    expected = POPULATION.prediction.bins.index([score(SENT[0])])[0]
    assert np.flatnonzero(found.column(0, PREDICTION, 200)).tolist() == expected.tolist()


def test_no_finite_number_is_an_unknown_value() -> None:
    assert AGES.index([10**400, float("nan"), float("inf"), True, "7"])[0].tolist() == [-2] * 5


DAYS = st.floats(-2, 6).map(lambda days: micros_of(START + days * LENGTH))
BODIES = st.sampled_from(
    [None, "", "{", "[]", "7", '{"instances": [[1]]}', json.dumps({"dataframe_records": SENT}), '{"inputs": {}}']
)
ANSWERS = st.sampled_from(
    [
        None,
        "{",
        '{"predictions": 4}',
        '{"predictions": [1, 2, 3, 4]}',
        json.dumps({"predictions": [{"probability": each} for each in (None, "much", 0.5, [1])]}),
    ]
)
LOGGED = st.fixed_dictionaries(
    {
        "at": st.none() | DAYS | st.sampled_from([-(2**63), 2**63 - 1]),
        "status": st.none() | st.sampled_from([0, 200, 204, 302, 404, 500, 999, -1]),
        "duration_ms": st.none() | st.sampled_from([3.0, 0.0, -5.0, float("nan"), float("inf"), 1e300]),
        "sampling": st.none() | st.sampled_from([1.0, 0.5, 0.0, -1.0, float("nan")]),
        "request": BODIES,
        "response": ANSWERS,
        "served": st.sampled_from([None, "people-1", "people-2"]),
    }
)


@given(st.lists(LOGGED, max_size=12))
def test_each_row_that_is_read_counts_in_one_place_and_each_of_its_values_too(rows: list[dict[str, Any]]) -> None:
    found = counted(rows, plan(POPULATION))
    assert sum(found.rows(3).values()) == len(rows)
    assert found.without_time == sum(row["at"] is None for row in rows)
    for day in range(3):
        traffic = found.traffic(day)
        assert sum(traffic.statuses) == traffic.requests
        assert traffic.timed <= traffic.requests
        assert traffic.volume >= traffic.requests
        for name, column in POPULATION.inputs.items():  # every record sends every field
            counts = found.column(day, name, column.bins.size + 2)
            assert counts.sum() == traffic.records


def test_a_body_that_is_no_utf8_is_no_json_and_does_not_end_the_run() -> None:
    whole = pa.RecordBatch.from_pylist([payload_row(SENT), payload_row(SENT)], SCHEMA)
    broken = pa.array([b"\xff{", None], pa.binary())
    text = pa.StringArray.from_buffers(2, *broken.buffers()[1:], broken.buffers()[0])
    counter = BatchCounter(plan(POPULATION))
    counter.add(whole.set_column(SCHEMA.get_field_index("request"), "request", text))
    left_out = Counted.of(counter.result().to_pylist()).traffic(0).left_out
    assert left_out == {REASONS[1]: 1, REASONS[0]: 1}


def test_a_request_without_a_duration_does_not_count_as_a_fast_one() -> None:
    rows = [payload_row(SENT, duration_ms=None if number < 60 else 400.0) for number in range(100)]
    traffic = counted(rows, plan(POPULATION)).traffic(0)
    assert (traffic.requests, traffic.timed, traffic.slow) == (100, 40, 40)
    assert traffic.quantile(0.5) > 390
