"""The tables of findings and actions in both homes: a warehouse folder, and a catalog on the embedded engine."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException

from deployment.monitoring.counted import Counted, WindowTraffic
from deployment.monitoring.decision import MonitoringDecision
from deployment.monitoring.findings import ComparedWindow, Comparison
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.findings_table import (
    CatalogFindings,
    FindingsNotWritten,
    FindingsTable,
    FolderFindings,
    FollowUpBusy,
)
from deployment.monitoring.windows import Windows
from lakehouse.session import new_session
from lakehouse.tables.warehouse import Warehouse
from training.use_case.monitoring import ActionTable

START, DAY = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
TRAFFIC = WindowTraffic(100, 100.0, 100, (0, 0, 100, 0, 0, 0), 0, np.zeros(0), {})
DRIFT = Comparison("drift", "age", "", 500, 7000, 0.2, 0.0, 1e-9, 0.1, 0.3, found=True, confirmed=True)
TABLE = ActionTable()


def run_of(use_case: str = "people", windows: int = 2, *, empty: bool = False) -> MonitoredRun:
    compared = tuple(
        ComparedWindow(number, TRAFFIC, () if empty else (DRIFT,), tested=not empty) for number in range(windows)
    )
    decision = MonitoringDecision("alert", windows - 1, ((DRIFT, "alert"),))
    return MonitoredRun(
        use_case,
        2,
        "logs.people_payload",
        START + 9 * DAY,
        Windows(START, DAY, windows),
        Counted(),
        compared,
        decision,
    )


@dataclass(frozen=True)
class Home:
    """A home with its tables in a folder."""

    tables: FindingsTable
    folder: Path

    def findings(self) -> list[dict[str, Any]]:
        return list(DeltaTable(self.folder / "findings").to_pyarrow_table().sort_by("window_start").to_pylist())


@pytest.fixture(params=["folder", "catalog"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    folder = tmp_path / "monitoring"
    if request.param == "folder":
        return Home(FolderFindings(Warehouse(tmp_path)), folder)
    session = new_session()
    # On the embedded engine a table needs a place; Unity Catalog has one for each schema.
    session.sql(f"CREATE SCHEMA `{session.catalog.currentCatalog()}`.`me_monitoring` LOCATION '{folder}'").collect()
    return Home(CatalogFindings(session, session.catalog.currentCatalog(), "me_monitoring"), folder)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_actions_are_read_as_they_were_recorded_with_times_in_utc(home: Home) -> None:
    assert home.tables.actions("people", 2) == []
    row = {
        "use_case": "people", "version": 2, "action": "retrain", "window_start": START, "at": START + DAY,
        "reason": "it's drift", "outcome": "started",
    }  # fmt: skip
    home.tables.record(row)
    home.tables.record({**row, "version": 3})
    home.tables.record({**row, "use_case": "others"})
    assert home.tables.actions("people", 2) == [row]
    (found,) = home.tables.actions("people", 2)
    assert found["at"] > START  # a time without a zone could not be compared


def test_of_two_runs_at_the_same_time_one_starts_an_action(home: Home) -> None:
    first = {
        "use_case": "people", "version": 2, "action": "retrain", "window_start": START, "at": START + DAY,
        "reason": "it's drift", "outcome": "started",
    }  # fmt: skip
    second = {**first, "at": START + DAY + timedelta(microseconds=1)}
    with home.tables.lock("people") as is_alone:
        assert home.tables.claim(first)
        if is_alone:  # a folder excludes the other run
            with pytest.raises(FollowUpBusy, match="being followed up by process"), home.tables.lock("people"):
                pass
            with home.tables.lock("others"):
                pass
        else:  # a catalog lets it in, where it finds the action claimed
            assert not home.tables.claim(second)
    assert home.tables.actions("people", 2) == [first]
    assert home.tables.claim({**second, "window_start": START + DAY})
    assert home.tables.claim({**second, "outcome": "started again"})


def test_a_run_replaces_the_rows_of_its_windows_and_no_others(home: Home) -> None:
    home.tables.replace(run_of(empty=True), TABLE)  # a night without traffic
    assert home.findings() == []
    home.tables.replace(run_of(), TABLE)
    home.tables.replace(run_of("others"), TABLE)
    before = home.findings()
    assert len(before) == 4
    assert {row["window_start"] for row in before} == {START, START + DAY}
    home.tables.replace(run_of(), TABLE)
    key = ("use_case", "window_start")
    assert sorted(tuple(row[name] for name in key) for row in home.findings()) == sorted(
        tuple(row[name] for name in key) for row in before
    )
    home.tables.replace(run_of(windows=1, empty=True), TABLE)  # its first window has no finding any more
    assert [row["window_start"] for row in home.findings() if row["use_case"] != "others"] == [START + DAY]


def test_runs_at_the_same_time_keep_the_rows_of_each(tmp_path: Path) -> None:
    tables = FolderFindings(Warehouse(tmp_path))
    failures: list[Exception] = []

    def write(use_case: str) -> None:
        try:
            tables.replace(run_of(use_case), TABLE)
        except FindingsNotWritten as err:
            failures.append(err)

    names = ["people", "people", "others", "more"]
    threads = [Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    rows = DeltaTable(tmp_path / "monitoring/findings").to_pyarrow_table().to_pylist()
    assert sorted(row["use_case"] for row in rows) == ["more", "more", "others", "others", "people", "people"]


def test_a_catalog_without_rights_is_reported_with_the_table_and_the_next_step() -> None:
    class NoRights:
        """A session of somebody who may not use the schema."""

        catalog: Any = property(lambda self: self)

        def refuse(self, _statement: str) -> Any:
            raise PySparkException("[INSUFFICIENT_PERMISSIONS] no USE SCHEMA.\n\nJVM stacktrace: ...")

        sql = tableExists = refuse  # noqa: N815

    session: Any = NoRights()
    tables = CatalogFindings(session, "main", "monitoring")
    reason = r"\[INSUFFICIENT_PERMISSIONS\] no USE SCHEMA\n  "
    with pytest.raises(FindingsNotWritten, match=rf"main\.monitoring\.findings cannot be written: {reason}"):
        tables.replace(run_of(), TABLE)
    with pytest.raises(FindingsNotWritten, match=rf"main\.monitoring\.actions cannot be read, .*: {reason}"):
        tables.actions("people", 2)
