"""`training.maintenance` in Unity Catalog: OPTIMIZE and VACUUM whose time covers the oldest needed version."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from lakehouse.home import DATABRICKS
from lakehouse.settings import Settings
from training.feature_store.databricks import NotInWorkspace
from training.feature_store.unity_catalog import UnityCatalog
from training.retention.databricks import FILES, LOG, DatabricksMaintenance
from training.retention.home import open_maintenance
from training.retention.maintain import RetentionTooShort, TablesNotMaintained, maintain

WEEK = timedelta(days=7)


@dataclass
class WorkspaceTable:
    """A table of the stand-in: the age of each version, and the versions whose files are left."""

    ages: Mapping[int, timedelta]
    properties: dict[str, str] = field(default_factory=dict)
    optimized: int = 0
    readable: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.readable = set(self.ages)

    def vacuum(self, hours: int) -> None:
        """Delete files that were removed before the time, as Delta does: not below the table's own retention."""
        own = re.fullmatch(r"interval (\d+) hours", self.properties.get(FILES, "interval 168 hours"))
        assert own is not None
        if hours < int(own[1]):
            raise AnalysisException(f"Are you sure you would like to vacuum files with such a low retention? {hours}")
        for version, successor in pairwise(sorted(self.ages)):
            if self.ages[successor] > timedelta(hours=hours):
                self.readable.discard(version)


@dataclass
class Workspace:
    """A workspace that takes exactly the statements of the command, and does what they are documented to do."""

    tables: dict[str, WorkspaceTable]
    statements: list[str] = field(default_factory=list)

    def sql(self, statement: str) -> Any:
        return SimpleNamespace(collect=lambda: self._answer(statement))

    def _answer(self, statement: str) -> list[Row]:
        listed = (
            "SELECT table_schema, table_name FROM `main`.information_schema.tables WHERE table_schema IN "
            "('gold', 'staging') AND data_source_format = 'DELTA' ORDER BY table_schema, table_name"
        )
        if statement == listed:
            names = (name.split(".") for name in sorted(self.tables))
            return [Row(table_schema=schema, table_name=table) for schema, table in names]
        found = re.fullmatch(r"([A-Z ]+) `main`\.`(\w+)`\.`(\w+)`(?: (.+))?", statement)
        assert found, f"Unity Catalog was asked something else: {statement}"
        verb, schema, name, rest = found.groups()
        table = self.tables.get(f"{schema}.{name}")
        if table is None:
            raise AnalysisException(f"[TABLE_OR_VIEW_NOT_FOUND] {schema}.{name}")
        if verb == "DESCRIBE HISTORY":
            now = datetime.now(UTC).replace(tzinfo=None)
            return [Row(version=version, timestamp=now - age) for version, age in table.ages.items()]
        if verb == "DESCRIBE DETAIL":
            return [Row(numFiles=1 if table.optimized else 40, sizeInBytes=2_000_000)]
        if verb == "SHOW TBLPROPERTIES":
            return [Row(key=key, value=value) for key, value in table.properties.items()]
        self.statements.append(f"{verb} {schema}.{name} {rest or ''}".rstrip())
        if verb == "OPTIMIZE":
            table.optimized += 1
        elif verb == "ALTER TABLE":
            pairs = re.fullmatch(r"SET TBLPROPERTIES \((.+)\)", rest)
            assert pairs
            table.properties |= dict(re.findall(r"'([^']+)' = '([^']+)'", pairs[1]))
        else:
            hours = re.fullmatch(r"RETAIN (\d+) HOURS", rest)
            assert (verb, bool(hours)) == ("VACUUM", True)
            table.vacuum(int(cast(Any, hours)[1]))
        return []


def days(*ages: float) -> dict[int, timedelta]:
    return {version: timedelta(days=age) for version, age in enumerate(ages)}


def properties(log: int, files: int) -> str:
    return f"('{LOG}' = 'interval {log} hours', '{FILES}' = 'interval {files} hours')"


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = Workspace(
        {
            "gold.features": WorkspaceTable(days(100, 80, 35, 20, 9, 3, 0.1)),
            "gold.labels": WorkspaceTable(days(100, 50, 9, 3, 0.1)),
            "staging.raw": WorkspaceTable(days(100, 9, 8, 0.1)),
        }
    )
    catalog = UnityCatalog(cast(SparkSession, workspace), "main")
    monkeypatch.setattr("training.retention.maintain.open_maintenance", lambda _: DatabricksMaintenance(catalog))
    needed = {
        "gold.features": {2: ("version 1 of churn",), 4: ("version 2 of churn",)},
        "gold.labels": {3: ("version 2 of churn",), 77: ("version 1 of churn",)},
    }
    monkeypatch.setattr("training.retention.maintain.needed_versions", lambda *_: needed)
    return workspace


@pytest.fixture
def settings() -> Iterator[Settings]:
    yield Settings.from_environment({"FEATURE_STORE": "databricks"})


def test_vacuum_reaches_back_to_the_oldest_needed_version(
    workspace: Workspace, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    maintain(settings, (), WEEK, dry_run=False)
    output = capsys.readouterr().out
    assert {name: sorted(table.readable) for name, table in workspace.tables.items()} == {
        "gold.features": [1, 2, 3, 4, 5, 6],
        "gold.labels": [1, 2, 3, 4],
        "staging.raw": [2, 3],
    }
    assert workspace.statements == [
        f"ALTER TABLE gold.features SET TBLPROPERTIES {properties(log=1440, files=1440)}",
        "OPTIMIZE gold.features",
        "VACUUM gold.features RETAIN 1440 HOURS",
        f"ALTER TABLE gold.labels SET TBLPROPERTIES {properties(log=720, files=720)}",
        "OPTIMIZE gold.labels",
        "VACUUM gold.labels RETAIN 720 HOURS",
        f"ALTER TABLE staging.raw SET TBLPROPERTIES {properties(log=720, files=168)}",
        "OPTIMIZE staging.raw",
        "VACUUM staging.raw RETAIN 168 HOURS",
    ]
    assert "gold.features v2 is kept for version 1 of churn" in output
    assert "gold.labels v77 was already lost; it was read by version 1 of churn" in output


def test_the_properties_change_only_with_the_retention(workspace: Workspace, settings: Settings) -> None:
    maintain(settings, ("gold.features",), WEEK, dry_run=False)
    workspace.statements.clear()
    maintain(settings, ("gold.features",), WEEK, dry_run=False)
    assert workspace.statements == ["OPTIMIZE gold.features", "VACUUM gold.features RETAIN 1440 HOURS"]


def test_a_dry_run_changes_nothing(
    workspace: Workspace, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    maintain(settings, (), WEEK, dry_run=True)
    assert workspace.statements == []
    assert "RETAIN 1440 HOURS" in capsys.readouterr().out


def test_a_table_that_fails_is_named_and_blocks_no_other(workspace: Workspace, settings: Settings) -> None:
    with pytest.raises(TablesNotMaintained, match=r"1 table not maintained:\n  gold\.gone: .*NOT_FOUND"):
        maintain(settings, ("gold.gone", "staging.raw"), WEEK, dry_run=False)
    assert workspace.tables["staging.raw"].optimized == 1


def test_less_than_the_platform_keeps_is_refused(workspace: Workspace, settings: Settings) -> None:
    with pytest.raises(RetentionTooShort, match="at least 7"):
        maintain(settings, (), timedelta(days=6), dry_run=False)
    assert workspace.statements == []


def test_it_runs_only_inside_a_workspace(settings: Settings) -> None:
    assert settings.home is DATABRICKS
    with pytest.raises(NotInWorkspace):
        open_maintenance(settings)
