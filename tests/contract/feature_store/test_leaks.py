"""No frame sees the future: random histories in many time zones, compared with a naive reference and the rule.

Every row has a unique value, so that a feature in a frame identifies its row.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.session import open_session
from tests.contract.feature_store.homes import DatabricksHome, Declared, Home, LocalHome
from tests.contract.feature_store.unity_catalog import Workspace, vendor_client
from training.feature_store.errors import DuplicateKey
from training.feature_store.tables import FeatureLookup, Spine

SPINE = Spine("gold.labels", ("client",), "at", "label")
# Around the night in which Berlin's clocks go back: 01:30 there is two moments.
NIGHT = datetime(2020, 10, 24, 21, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "+14:00"]
DRAWN = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Event:
    """One feature row with the times from which it is true and known; a plan is known earlier."""

    client: int
    true: datetime
    known: datetime

    def counts(self, client: int, at: datetime, days: int | None) -> bool:
        young = days is None or at - self.true <= timedelta(days)
        return self.client == client and self.true <= at and self.known <= at and young


@pytest.fixture(params=["duckdb", "sail", "databricks"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    if request.param == "databricks":
        return DatabricksHome(Workspace(vendor_client(monkeypatch)))
    return LocalHome(open_session(), tmp_path, joins_in_engine=request.param == "sail")


def naive(events: Sequence[Event], client: int, at: datetime, days: int | None) -> int | None:
    """Index of the newest event that is true and known at the time, if it is not too old."""
    known = [event for event in events if event.counts(client, at, None)]
    newest = max(known, key=lambda event: (event.true, event.known), default=None)
    return events.index(newest) if newest and newest.counts(client, at, days) else None


def write(home: Home, name: str, events: Sequence[Event], zone: str, *, late: bool = True, first: int = 0) -> None:
    """Write the events as a feature table with one feature `name`, the index of the event."""
    times = pa.timestamp("us", zone)
    columns = {
        "client": pa.array([event.client for event in events], pa.int64()),
        "true_at": pa.array([event.true for event in events], times),
        "seen_at": pa.array([event.known for event in events], times),
        name: pa.array(range(first, first + len(events)), pa.int64()),
    }
    rows = pa.table(columns if late else {name: column for name, column in columns.items() if name != "seen_at"})
    home.write(f"gold.{name}", rows, Declared(("client",), "true_at", "seen_at" if late else None))


def write_spine(home: Home, spine: Sequence[tuple[int, datetime]], zone: str) -> None:
    clients, times = zip(*spine, strict=True)
    at = pa.array(times, pa.timestamp("us", zone))
    home.write(
        "gold.labels", pa.table({"client": clients, "at": at, "label": pa.array([0] * len(spine), pa.int32())})
    )


def joined(home: Home, *lookups: FeatureLookup) -> list[dict[str, Any]]:
    frame, _ = home.store.training_frame(SPINE, lookups)
    rows: list[dict[str, Any]] = frame.to_arrow().to_pylist()
    return rows


moments = st.integers(0, 16).map(lambda half_hours: NIGHT + half_hours * timedelta(minutes=30))
clients, zones = st.integers(1, 3), st.sampled_from(ZONES)
events = st.builds(Event, clients, moments, moments)
histories = st.lists(events, min_size=1, max_size=14, unique=True)
spines = st.lists(st.tuples(clients, moments), min_size=1, max_size=10)


@DRAWN
@given(
    tables=st.tuples(histories, histories),
    spine=spines,
    clocks=st.tuples(zones, zones, zones),
    days=st.none() | st.just(1),
)
def test_features_are_the_newest_true_and_known_ones_at_the_time(
    home: Home,
    tables: tuple[list[Event], list[Event]],
    spine: list[tuple[int, datetime]],
    clocks: tuple[str, str, str],
    days: int | None,
) -> None:
    """Two tables in different time zones, one of them with a known-at column."""
    late, promptly = tables
    prompt = list(dict.fromkeys(Event(event.client, event.true, event.true) for event in promptly))
    write(home, "late", late, clocks[0])
    write(home, "prompt", prompt, clocks[1], late=False)
    write_spine(home, spine, clocks[2])
    found = joined(home, FeatureLookup("gold.late", ("late",), days), FeatureLookup("gold.prompt", ("prompt",)))
    assert [(row["client"], row["at"]) for row in found] == sorted(spine, key=lambda row: (row[1], row[0]))
    for row in found:
        for name, history, lookback in (("late", late, days), ("prompt", prompt, None)):
            if row[name] is not None:
                assert history[row[name]].counts(row["client"], row["at"], lookback)
            assert row[name] == naive(history, row["client"], row["at"], lookback)


futures = st.tuples(clients, st.integers(1, 10**10), st.integers(0, 16), st.booleans())
PLANTED = 10**6


@DRAWN
@given(history=histories, spine=spines, planted=st.lists(futures, min_size=1, max_size=8, unique=True), zone=zones)
def test_rows_from_the_future_change_nothing(
    home: Home,
    history: list[Event],
    spine: list[tuple[int, datetime]],
    planted: list[tuple[int, int, int, bool]],
    zone: str,
) -> None:
    """Rows that are true, or become known, at least a microsecond after the last label."""
    write_spine(home, spine, zone)
    write(home, "late", history, zone)
    before = joined(home, FeatureLookup("gold.late", ("late",)))
    last = max(at for _, at in spine)
    future = []
    for client, microseconds, half_hours, plan in planted:
        later, early = last + timedelta(microseconds=microseconds), NIGHT + half_hours * timedelta(minutes=30)
        future.append(Event(client, later, early) if plan else Event(client, early, later))
    future = [event for event in dict.fromkeys(future) if event not in history]
    write(home, "late", [*future, *history], zone, first=PLANTED)
    after = joined(home, FeatureLookup("gold.late", ("late",)))
    moved = PLANTED + len(future)
    assert after == [row | {"late": None if row["late"] is None else row["late"] + moved} for row in before]


@DRAWN
@given(history=st.lists(events, min_size=1, max_size=6), zone=zones, late=st.booleans())
def test_only_duplicate_keys_and_times_are_refused(home: Home, history: list[Event], zone: str, late: bool) -> None:
    name = "late" if late else "prompt"
    write_spine(home, [(1, NIGHT), (1, NIGHT), (2, NIGHT)], zone)
    write(home, name, history, zone, late=late)
    keys = [(event.client, event.true, event.known if late else None) for event in history]
    if len(set(keys)) == len(keys):
        assert [row["client"] for row in joined(home, FeatureLookup(f"gold.{name}", (name,)))] == [1, 1, 2]
    else:
        with pytest.raises(
            DuplicateKey, match=rf"gold\.{name} has \d+ rows with the same key and timestamp \(client \d"
        ):
            joined(home, FeatureLookup(f"gold.{name}", (name,)))


@pytest.fixture(params=["America/New_York", "Asia/Kolkata"])
def machine_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_the_time_zone_of_the_machine_does_not_matter(home: Home, machine_zone: str) -> None:
    """Label times without a zone, and dates, are UTC on every machine."""
    midnight = datetime(2020, 10, 25, tzinfo=UTC)
    known = [Event(1, midnight + timedelta(microseconds=late), midnight) for late in (-1, 0, 1)]
    write(home, "late", known, machine_zone)
    for kind, at in ((pa.timestamp("us"), midnight.replace(tzinfo=None)), (pa.date32(), midnight.date())):
        labels = pa.table({"client": [1], "at": pa.array([at], kind), "label": pa.array([0], pa.int32())})
        home.write("gold.labels", labels)
        assert [row["late"] for row in joined(home, FeatureLookup("gold.late", ("late",)))] == [1]
