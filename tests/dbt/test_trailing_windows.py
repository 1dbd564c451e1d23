"""Trailing windows of the model `customer_activity_features`, compared with a reference that sums day by day."""

import runpy
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.settings import PROJECT

MODEL = PROJECT / "dbt_project/models/gold/german_customers/customer_activity_features.py"
MODULE = runpy.run_path(str(MODEL), run_name="customer_activity_features")
Events, changes = MODULE["Events"], MODULE["changes"]
WINDOWS = {"orders": (2, 5), "revenue": (5,)}
Event = tuple[int, int, int, int, int]  # entity, day, known, orders, revenue

events = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(0, 8), st.integers(0, 1), st.integers(0, 3)),
    max_size=12,
)


def as_arrays(rows: list[Event]) -> Any:
    columns = np.asarray(rows, dtype=np.int64).reshape(-1, 5).T
    return Events(columns[0], columns[1], columns[2], {"orders": columns[3], "revenue": columns[4]})


def late(rows: list[Event]) -> list[Event]:
    """Interpret the third number of an event as its delay in days."""
    return [(entity, day, day + delay, *values) for entity, day, delay, *values in rows]  # type: ignore[misc]


def state(rows: list[Event], entity: int, as_of: int) -> tuple[int, ...]:
    def total(place: int, length: int) -> int:
        return sum(
            row[place] for row in rows if row[0] == entity and as_of - length <= row[1] < as_of and row[2] < as_of
        )

    return total(3, 2), total(3, 5), total(4, 5)


def naive(rows: list[Event], begin: int, end: int) -> dict[tuple[int, int], tuple[int, ...]]:
    found = {}
    for entity in {row[0] for row in rows}:
        empty = {max(row[1], row[2]) + 1 for row in rows if row[0] == entity and not any(row[3:])}
        for as_of in range(50):
            if state(rows, entity, as_of) != state(rows, entity, as_of - 1) or as_of in empty:
                found[entity, as_of] = state(rows, entity, as_of)
    return {key: sums for key, sums in found.items() if begin < key[1] <= end}


def as_rows(found: Any) -> dict[tuple[int, int], tuple[int, ...]]:
    sums = zip(found.sums["orders", 2], found.sums["orders", 5], found.sums["revenue", 5], strict=True)
    keys = zip(found.entity.tolist(), found.as_of.tolist(), strict=True)
    return {key: tuple(map(int, each)) for key, each in zip(keys, sums, strict=True)}


@given(events)
def test_every_change_and_nothing_else_is_a_row(rows: list[Event]) -> None:
    assert as_rows(changes(as_arrays(late(rows)), WINDOWS, -1, 100)) == naive(late(rows), -1, 100)


@given(events, st.integers(0, 30))
def test_incremental_runs_equal_a_rebuild(rows: list[Event], cut: int) -> None:
    known = [row for row in late(rows) if row[2] <= cut]
    recent = [row for row in late(rows) if row[2] >= cut - 5]
    first = as_rows(changes(as_arrays(known), WINDOWS, -1, cut))
    second = as_rows(changes(as_arrays(recent), WINDOWS, cut, 100))
    assert first | second == as_rows(changes(as_arrays(late(rows)), WINDOWS, -1, 100))
    assert not first.keys() & second.keys()


def test_an_event_that_arrives_after_its_window_changes_nothing() -> None:
    found = changes(as_arrays([(1, 0, 9, 1, 5)]), WINDOWS, -1, 100)
    assert len(found.entity) == 0


def test_rows_are_sorted_by_entity_and_day() -> None:
    found = changes(as_arrays([(2, 3, 3, 1, 1), (1, 9, 9, 1, 1), (1, 2, 2, 1, 1)]), WINDOWS, -1, 100)
    keys = list(zip(found.entity.tolist(), found.as_of.tolist(), strict=True))
    assert keys == sorted(keys)
