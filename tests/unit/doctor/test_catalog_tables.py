"""Feature tables of Unity Catalog as its REST API describes them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from databricks.sdk.errors import NotFound, PermissionDenied
from databricks.sdk.service.catalog import TableInfo

from deployment.commands.doctor.catalog_tables import check_catalog_tables
from deployment.commands.doctor.finding import Severity
from lakehouse.settings import Settings
from training.catalogue.promises import Promise, record

SETTINGS = replace(Settings.from_environment({}), catalog="prod", name_prefix="dev_")
FULL = "prod.dev_gold.people"
KEY = {"name": "k", "child_columns": ["id", "seen_at"], "timeseries_columns": ["seen_at"]}
COLUMNS = [
    {"name": "id", "nullable": False},
    {"name": "seen_at", "nullable": False},
    {"name": "age", "nullable": True},
]
WHOLE: dict[str, Any] = {
    "columns": COLUMNS,
    "properties": {"delta.enableChangeDataFeed": "true"},
    "table_constraints": [{"primary_key_constraint": KEY}],
}


def worst(described: Mapping[str, Any] | Exception, folder: Path) -> list[tuple[str, str | None]]:
    """Messages and remedies for a table of this description, without the last line."""

    def get(full: str) -> TableInfo:
        assert full == FULL
        if isinstance(described, Exception):
            raise described
        return TableInfo.from_dict(dict(described))

    promises = folder / "promises.json"
    record({"gold.people": Promise(("id", "seen_at"), {"age": "int"})}, promises)
    client: Any = SimpleNamespace(tables=SimpleNamespace(get=get))
    *findings, last = check_catalog_tables(client, SETTINGS, promises)
    kept = 0 if findings else 1
    assert last.message == f"{kept} of 1 feature tables of prod have their key, NOT NULL and change data feed."
    assert all(each.severity is not Severity.OK for each in findings)
    return [(each.message, each.remedy) for each in findings]


BUILD = "dbt build --target databricks --select +people"


@pytest.mark.parametrize(
    ("described", "message", "remedy"),
    [
        (NotFound("no"), f"{FULL} is not built.", BUILD),
        (PermissionDenied("no SELECT"), f"{FULL} cannot be read: no SELECT.", f"Ask for SELECT on {FULL}."),
        (WHOLE | {"table_constraints": []}, f"{FULL} has no primary key, so that it is no feature table.", BUILD),
        (
            WHOLE | {"table_constraints": [{"primary_key_constraint": KEY | {"child_columns": ["id"]}}]},
            f"{FULL} has the primary key id, and id, seen_at is recorded.",
            "python -m training.features --check",
        ),
        (
            WHOLE | {"table_constraints": [{"primary_key_constraint": KEY | {"timeseries_columns": []}}]},
            f"{FULL} has no TIMESERIES column in its primary key, so that lookups ignore the time.",
            BUILD,
        ),
        (
            WHOLE | {"columns": [{"name": "id"}, *COLUMNS[1:]]},
            f"{FULL} may have NULL in its key columns id.",
            BUILD,
        ),
        (WHOLE | {"columns": COLUMNS[:2]}, f"{FULL} lacks the recorded columns age.", BUILD + " --full-refresh"),
        (
            WHOLE | {"properties": {}},
            f"{FULL} has no change data feed, which an online table needs (training.publish --online).",
            BUILD,
        ),
    ],
)
def test_a_table_that_breaks_its_contract_is_named_with_the_next_command(
    described: Mapping[str, Any] | Exception, message: str, remedy: str, tmp_path: Path
) -> None:
    assert worst(described, tmp_path) == [(message, remedy)]


def test_a_table_that_keeps_its_contract_is_counted(tmp_path: Path) -> None:
    assert worst(WHOLE, tmp_path) == []
