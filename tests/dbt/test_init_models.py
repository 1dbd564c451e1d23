"""Models that `init` writes, built in one run: values of every kind arrive in the gold tables."""

import random
import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.checkout import Checkout
from training.init.proposing.proposal import Wishes, propose
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table
from training.init.writing.files import planned_files, write_files

KINDS = ["it's", "a \\ b", "100 %", "ünï"]
START = datetime(2024, 1, 1, 8, 30)  # noqa: DTZ001
ROWS = 120


def odd_csv(folder: Path) -> str:
    """Categories with signs, ISO times with zones, codes with leading zeros, few whole numbers to predict."""
    lines = ["shop visit,Zip Code,kind,plus,vip,at time,born on,weight,age,since,quiet days,grade"]
    for row in range(ROWS):
        moment = f"{START + timedelta(hours=row):%Y-%m-%dT%H:%M:%S}+02:00"
        born = "" if row % 5 == 0 else f"{date(1980, 1, 1) + timedelta(days=row)}"
        vip = ["yes", "no", "", "no"][row % 4]
        weight = "n/a" if row % 7 == 0 else f"{row / 4}"
        lines.append(
            f"v{row},{1000 + row % 40:05},{KINDS[row % 4]},{'+-'[row % 2]}x,{vip},{moment},"
            f"{born},{weight},{20 + row % 50},{1 + row % 28}. {'März' if row % 2 else 'Okt.'} 2020,"
            f"{999 if row % 6 == 0 else row % 10},{row % 3 + 1}"
        )
    path = folder / "odd visits.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def grouped_parquet(folder: Path) -> str:
    """An identifier that repeats, without a time: its rows share a fold."""
    drawn = random.Random(3)  # noqa: S311
    rows = [
        {
            "patient_id": row % 30,
            "dose": drawn.random(),
            "big": 2**53 + row * 2,
            "effect": drawn.random(),
        }
        for row in range(ROWS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "grouped.parquet")
    return str(folder / "grouped.parquet")


def delta_table(folder: Path) -> str:
    """A Delta table with a text of two values as the target."""
    rows = [
        {
            "item_id": f"i{row}",
            "size": row % 9,
            "made": date(2024, 1, 1) + timedelta(days=row // 4),
            "ok": "AB"[row % 2],
        }
        for row in range(ROWS)
    ]
    write_deltalake(str(folder / "items"), pa.Table.from_pylist(rows))
    return str(folder / "items")


def sqlite_table(folder: Path) -> str:
    """A table whose rows have a number to predict and a missing label."""
    connection = sqlite3.connect(folder / "orders.db")
    connection.execute("create table orders (id integer primary key, region text, value real)")
    rows = [(row, f"r{row % 3}", None if row == 0 else row / 3) for row in range(ROWS)]
    connection.executemany("insert into orders values (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return f"sqlite:///{folder / 'orders.db'}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("written")
    checkout = Checkout.below(folder)
    given = [
        ("visits", odd_csv(folder), Wishes("grade", missing=("quiet days=999",)), Habits()),
        ("doses", grouped_parquet(folder), Wishes("effect"), Habits()),
        ("items", delta_table(folder), Wishes("ok", key=("item_id",)), Habits()),
        ("sales", sqlite_table(folder), Wishes("value", rows=40), Habits(table="orders")),
    ]
    for name, source, wishes, habits in given:
        workspace = folder / f"workspace_{name}"
        workspace.mkdir()
        proposal = propose(name, open_table(source, habits, workspace, "300MB"), wishes)
        write_files(planned_files(proposal, {}), checkout.root)
    selected = [f"+{name}_{table}" for name, *_ in given for table in ("features", "labels")]
    output = checkout.run("dbt", "build", "--select", *selected)
    # Of visits for staging and features, of sales and doses for features, of items for features and labels.
    assert "6 unit tests" in output
    return checkout


def rows_of(checkout: Checkout, table: str, *key: str) -> list[dict[str, Any]]:
    rows = DeltaTable(str(checkout.root / "warehouse" / "gold" / table)).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: [row[column] for column in key])


def test_values_of_a_text_file_arrive(checkout: Checkout) -> None:
    rows = {row["shop_visit"]: row for row in rows_of(checkout, "visits_features", "shop_visit")}
    assert len(rows) == ROWS
    seventh = rows["v7"]
    assert f"{seventh['at_time']:%Y-%m-%d %H:%M}" == "2024-01-01 13:30"  # 15:30 in its zone
    kinds = [seventh[f"kind_{name}"] for name in ("it_s", "a_b", "100", "uen")]
    assert kinds == [0, 0, 0, 1]
    assert (seventh["vip_false"], seventh["vip_true"]) == (1, 0)
    assert (seventh["weight"], rows["v8"]["weight"]) == (None, 2.0)
    born = date(1980, 1, 1) + timedelta(days=7)
    assert seventh["born_on_days"] == (date(2024, 1, 1) - born).days
    assert rows["v5"]["born_on_days"] is None
    assert (rows["v6"]["quiet_days"], seventh["quiet_days"]) == (None, 7)
    assert (rows["v29"]["age_cohort"], rows["v30"]["age_cohort"]) == (2, 3)  # 49 and 50 years
    assert seventh["since_days"] == (date(2024, 1, 1) - date(2020, 3, 8)).days
    index = {row["zip_code"]: row["zip_code_index"] for row in rows_of(checkout, "visits_zip_code_index", "zip_code")}
    assert len(index) == 40
    assert seventh["zip_code_index"] == index["01007"]
    labels = {row["shop_visit"]: row["grade"] for row in rows_of(checkout, "visits_labels", "shop_visit")}
    assert labels["v7"] == 2


def test_rows_of_a_group_share_a_fold(checkout: Checkout) -> None:
    labels = rows_of(checkout, "doses_labels", "row_id")
    folds: dict[int, set[str]] = {}
    for row in labels:
        folds.setdefault((row["row_id"] - 1) % 30, set()).add(row["fold"])
    assert all(len(found) == 1 for found in folds.values())
    assert {fold for found in folds.values() for fold in found} == {"holdout", "fold_0", "fold_1", "fold_2"}
    raw = DeltaTable(str(checkout.root / "warehouse" / "staging" / "raw_doses")).to_pyarrow_table()
    assert raw.column("big").to_pylist()[1] == 2**53 + 2
    assert "big" not in rows_of(checkout, "doses_features", "row_id")[0]  # beyond 1e15


def test_a_delta_table_is_read_where_it_is(checkout: Checkout) -> None:
    labels = {row["item_id"]: row["ok"] for row in rows_of(checkout, "items_labels", "item_id")}
    assert sorted(set(labels.values())) == [0, 1]
    assert labels["i1"] != labels["i2"]
    declared = (checkout.root / "dbt_project/models/staging/items/raw_items.yml").read_text(encoding="utf-8")
    assert f"path: {checkout.root.parent / 'items'}" in declared


def test_a_sample_of_the_rows_with_a_label_is_learned_from(checkout: Checkout) -> None:
    assert len(rows_of(checkout, "sales_features", "id")) == ROWS
    labels = rows_of(checkout, "sales_labels", "id")
    assert 20 < len(labels) < 60  # one of three rows, by a hash of the key
    assert all(label["value"] == pytest.approx(label["id"] / 3) for label in labels)
    assert 0 not in {label["id"] for label in labels}
