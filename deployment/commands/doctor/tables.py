"""Gold tables of a local warehouse: readable, with the recorded keys and features, NOT NULL and change data feed."""

import json
from collections.abc import Iterator
from pathlib import Path

from deltalake import DeltaTable

from deployment.commands.doctor.finding import Finding, FindingArea, sentence
from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import TableName, Warehouse
from lakehouse.wording import number_of
from training.catalogue.promises import Promise, recorded

_AREA = FindingArea("tables")
KEYS, TIMESTAMP, KNOWN_AT = (
    "feature_table.primary_keys", "feature_table.timestamp_column", "feature_table.known_at_column",
)  # fmt: skip


def check_tables(warehouse: Warehouse, promises_file: Path) -> list[Finding]:
    """Every table can be read, and the recorded feature tables keep their contracts."""
    findings, opened = list[Finding](), dict[str, DeltaTable]()
    for name in warehouse.tables():
        try:
            opened[str(name)] = warehouse.open(name)
        except LakehouseError as err:
            remedy = f"Write it again: dbt build --full-refresh --select {name.table}"
            findings.append(_AREA.error(sentence(err), remedy))
    promises = recorded(promises_file)
    findings += [each for name, promise in promises.items() for each in _check_contract(name, promise, opened)]
    kept = sum(name in opened for name in promises)
    noun = "feature table is" if len(promises) == 1 else "feature tables are"
    return [
        *findings,
        _AREA.ok(f"{number_of('table', len(opened))} can be read; {kept} of {len(promises)} promised {noun} built."),
    ]


def list_unchecked() -> list[Finding]:
    """The contracts that only Unity Catalog shows."""
    return [
        _AREA.unchecked(
            "Not checked without the network: keys, NOT NULL and change data feed of the tables in Unity Catalog.",
            "python -m deployment.run doctor --target databricks --online",
        )
    ]


def _check_contract(name: str, promise: Promise, opened: dict[str, DeltaTable]) -> Iterator[Finding]:
    build = f"dbt build --select +{TableName.parse(name).table}"
    if name not in opened:
        yield _AREA.warning(f"The feature table {name} is not built.", build)
        return
    table = opened[name]
    nullable = {field.name: field.nullable for field in table.schema().fields}
    properties = table.metadata().configuration
    if KEYS not in properties:
        yield _AREA.error(f"{name} declares no key, so that it is no feature table.", build + " --full-refresh")
        return
    key = tuple(json.loads(properties[KEYS]))
    times = [properties[time] for time in (KNOWN_AT, TIMESTAMP) if time in properties]
    if set(promise.key) != {*key, *times}:
        message = f"The key of {name} is {', '.join((*key, *times))}, and {', '.join(promise.key)} is recorded."
        yield _AREA.error(message, "python -m training.features --check")
    if missing := [column for column in (*promise.key, *promise.features) if column not in nullable]:
        yield _AREA.error(f"{name} lacks the recorded columns {', '.join(missing)}.", build + " --full-refresh")
    if loose := [column for column in promise.key if nullable.get(column)]:
        yield _AREA.error(f"The key columns {', '.join(loose)} of {name} may be NULL.", build + " --full-refresh")
