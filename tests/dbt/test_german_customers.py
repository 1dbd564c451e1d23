"""Gold tables of German customers: incremental builds of successive deliveries against one build of all rows."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import TableName, Warehouse
from scoring.contract import check
from scoring.encoder import Encoder
from scoring.encodings import index_tables
from simulation.run import Sample, deliver
from tests.checkout import Checkout
from training.feature_store.local import LocalFeatureStore

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
# No order is known before the first cut, and no quarter is settled before the second.
CUTS = [
    BEGIN.replace(2021, 3),
    BEGIN.replace(2023, 4, 15),
    BEGIN.replace(2024, 2, 10),
    BEGIN.replace(2024, 5, 1),
    BEGIN.replace(2024, 8, 15, 13),
]
TABLES = {
    "gold.customer_activity_features": ["customer_id", "as_of"],
    "gold.customer_profile_features": ["customer_id", "as_of"],
    "gold.churn_labels": ["customer_id", "as_of"],
    "gold.next_quarter_revenue_labels": ["customer_id", "as_of"],
    "gold.kommune_index": ["kommune"],
    "staging.stg_orders": ["order_id", "known_at"],
    "staging.stg_customers": ["customer_id", "known_at"],
    "staging.stg_contacts": ["contact_id"],
    "staging.customer_quarters": ["customer_id", "quarter"],
}
BUILD = ("dbt", "build", "--select", "tag:german_customers")


def rows(checkout: Checkout, name: str) -> list[dict[str, Any]]:
    table = Warehouse(checkout.root / "warehouse").open(TableName.parse(name)).to_pyarrow_table()
    return table.sort_by([(key, "ascending") for key in TABLES[name]]).to_pylist()  # type: ignore[no-any-return]


def landing(checkout: Checkout) -> Path:
    folder = checkout.variables.get("LAKEHOUSE_LANDING", checkout.root / "dbt_project" / "landing")
    return Path(folder) / "german_customers"


def checkout_without_customers(folder: Path) -> Checkout:
    checkout = Checkout.below(folder)
    shutil.rmtree(landing(checkout))
    return checkout


@pytest.fixture(scope="module")
def step_by_step(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Checkout built after each of five deliveries."""
    checkout = checkout_without_customers(tmp_path_factory.mktemp("steps"))
    for begin, end in zip([BEGIN, *CUTS], CUTS, strict=False):
        deliver(Sample(1_000, 4), landing(checkout), begin, end)
        checkout.run(*BUILD)
    return checkout


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Checkout built once, after a single delivery of the same rows."""
    folder = tmp_path_factory.mktemp("once")
    checkout = checkout_without_customers(folder)
    deliver(Sample(1_000, 4), folder / "landing" / "german_customers", BEGIN, CUTS[-1])
    checkout.type_line(
        "LAKEHOUSE_LANDING=FOLDER dbt build --select tag:german_customers", {"FOLDER": str(folder / "landing")}
    )
    return replace(checkout, variables={**checkout.variables, "LAKEHOUSE_LANDING": str(folder / "landing")})


def test_the_simulation_of_many_customers_writes_three_kinds_of_rows(tmp_path: Path) -> None:
    """A thousand customers in place of the million of the page."""
    Checkout.at(tmp_path).root.mkdir()
    Checkout.at(tmp_path).type_line(
        "python -m simulation.run --customers 1000000 --output FOLDER/german_customers",
        {"1000000": "1000", "FOLDER": str(tmp_path)},
    )
    made = {file.parent.name for file in (tmp_path / "german_customers").rglob("*.parquet")}
    assert made == {"customers", "contacts", "orders"}


@pytest.fixture(scope="module")
def store(step_by_step: Checkout) -> Iterator[LocalFeatureStore]:
    from lakehouse.session import new_session

    session = new_session()
    yield LocalFeatureStore(lambda: session, Warehouse(step_by_step.root / "warehouse"))


@pytest.mark.parametrize("table", TABLES)
def test_incremental_runs_and_a_rebuild_give_the_same_rows(
    table: str, step_by_step: Checkout, at_once: Checkout
) -> None:
    assert rows(step_by_step, table) == rows(at_once, table)
    assert rows(at_once, table)


@pytest.mark.parametrize("name", ["gold.customer_activity_features", "gold.churn_labels", "gold.kommune_index"])
def test_a_written_row_never_changes(name: str, step_by_step: Checkout) -> None:
    """Late orders arrive in every delivery, and earlier rows stay unchanged."""
    table, warehouse = TableName.parse(name), Warehouse(step_by_step.root / "warehouse")
    versions = [warehouse.open(table, version) for version in range(warehouse.open(table).version() + 1)]
    written = [{tuple(row.values()) for row in log.to_pyarrow_table().to_pylist()} for log in versions]
    assert all(before <= after for before, after in pairwise(written))
    assert written[-1]


def test_activity_features_equal_a_naive_count(at_once: Checkout) -> None:
    accepted = [row for row in rows(at_once, "staging.stg_orders") if row["refused_because"] is None]
    late = {row["customer_id"] for row in accepted if row["known_at"] - row["ordered_at"] > timedelta(days=1)}
    of_customer: dict[int, list[dict[str, Any]]] = {}
    for row in accepted:
        of_customer.setdefault(row["customer_id"], []).append(row)
    checked = 0
    for row in rows(at_once, "gold.customer_activity_features"):
        if row["customer_id"] not in late or row["customer_id"] % 5:
            continue
        for days in (7, 30, 90):
            inside = [
                order["amount_cents"]
                for order in of_customer[row["customer_id"]]
                if row["as_of"] - timedelta(days=days) <= order["ordered_at"] < row["as_of"]
                and order["known_at"] < row["as_of"]
            ]
            assert row[f"orders_{days}d"] == len(inside)
            assert row[f"revenue_{days}d"] == sum(inside) / 100
        checked += 1
    assert checked > 100


def test_request_encodings_equal_the_gold_table(store: LocalFeatureStore, step_by_step: Checkout) -> None:
    """Python encodes a record, as of its arrival, to the row written by SQL."""
    table = store.table("gold.customer_profile_features")
    vocabularies = {name: store.vocabulary(name)[0] for name in index_tables(table.encodings)}
    encoder = Encoder(table.encodings, vocabularies, table.select(()))
    gold = {(row["customer_id"], row["as_of"]): row for row in rows(step_by_step, table.name)}
    customers = rows(step_by_step, "staging.stg_customers")
    records = [{**row, "age": age(row["birth_date"], row["known_at"])} for row in customers]
    records = [{name: row[name] for name in ("age", "state", "kommune", "channel")} for row in records]
    check(records, encoder)
    encoded = encoder.features_of(records)
    expected = [gold[row["customer_id"], row["known_at"]] for row in customers]
    for name in encoder.features:
        np.testing.assert_array_equal(encoded[name], [row[name] for row in expected], err_msg=name)
    assert len(vocabularies["gold.kommune_index"]) == 11_871


def age(birth: date | None, at: datetime) -> int | None:
    if birth is None:
        return None
    return at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))


def test_states_are_encoded_in_sixteen_columns(store: LocalFeatureStore) -> None:
    names = [feature.name for feature in store.table("gold.customer_profile_features").features]
    assert len([name for name in names if name.startswith("state_")]) == 16
    assert "state_baden_wuerttemberg" in names


def test_a_kommune_keeps_its_integer_when_the_list_changes(step_by_step: Checkout, tmp_path: Path) -> None:
    checkout = Checkout.below(tmp_path)
    checkout.run("dbt", "run", "--select", "+kommune_index")
    before = {row["kommune"]: row["kommune_index"] for row in rows(checkout, "gold.kommune_index")}
    file = landing(checkout) / "kommunen.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([lines[0], "1;Neustadt;Hessen;900", *lines[2:]]) + "\n", encoding="utf-8")
    checkout.run("dbt", "run", "--select", "+kommune_index", "--full-refresh")
    after = {row["kommune"]: row["kommune_index"] for row in rows(checkout, "gold.kommune_index")}
    assert after == before | {"1": 11_871}


def damaged(orders: pa.Table, fault: str) -> pa.Table:
    if fault == "a column is missing":
        return orders.drop_columns(["amount"])
    columns = {name: orders[name] for name in orders.column_names}
    if fault == "a column has another type":
        columns["amount"] = columns["amount"].cast(pa.string())
    if fault == "rows are from the future":
        columns["known_at"] = pc.add(columns["known_at"], pa.scalar(timedelta(days=100 * 365)))
    return pa.table(columns)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("a column is missing", "amount is missing"),
        ("a column has another type", "amount is string instead of double"),
        ("rows are older than loaded ones", "are already loaded"),
        ("rows are from the future", "which is after now"),
        ("the file is truncated", "cannot be read"),
    ],
)
def test_a_bad_delivery_is_reported_and_changes_no_table(fault: str, message: str, at_once: Checkout) -> None:
    folder = landing(at_once) / "orders"
    good = next(folder.glob("*.parquet"))
    bad = folder / "20990101-20990201-00000.parquet"
    if fault == "the file is truncated":
        bad.write_bytes(good.read_bytes()[:1_000])
    else:
        pq.write_table(damaged(pq.read_table(good), fault), bad)
    before = {name: rows(at_once, name) for name in TABLES}
    try:
        output = at_once.run("dbt", "run", "--select", "tag:german_customers", exits=1)
    finally:
        bad.unlink()
    assert message in output
    assert "Traceback" not in output
    assert {name: rows(at_once, name) for name in TABLES} == before


def test_a_delivery_of_a_sample_with_another_seed_is_refused(at_once: Checkout) -> None:
    with pytest.raises(LakehouseError, match="contains data of another simulation"):
        deliver(Sample(1_000, 5), landing(at_once), CUTS[-1], CUTS[-1] + timedelta(days=1))
