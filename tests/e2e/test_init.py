"""From a file to an answering endpoint, for files of five kinds: `init`, `promote`, `serve`, one request."""

import json
import random
import signal
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import DeltaTable

from tests.checkout import Checkout, ended

# A few seconds of one cheap family: the tests are about the way there.
BRIEFLY = ("--minutes", "0.05", "--families", "logistic_regression")
ROWS = 240
Record = dict[str, Any]


def records() -> list[Record]:
    """Customers whose churn depends on age and revenue, with missing values, a category and a date."""
    drawn = random.Random(7)  # noqa: S311
    made = []
    for row in range(ROWS):
        age, revenue = drawn.randint(18, 80), round(drawn.gauss(900, 300), 2)
        chance = 1 / (1 + 2.7 ** ((age - 50) / 10 + (revenue - 900) / 300))
        made.append(
            {
                "customer_no": f"{row + 1:05}",
                "signed_on": date(2022, 1, 1) + timedelta(days=row),
                "age": age if row % 12 else None,
                "revenue": revenue,
                "city": drawn.choice(["Köln", "Bonn", "Ulm"]),
                "shop": f"shop {drawn.randint(1, 40):02}",
                "active": drawn.random() < 0.5,
                "churned": "ja" if drawn.random() < chance else "nein",
            }
        )
    return made


def german_csv(path: Path) -> list[str]:
    """As a German Excel exports it: cp1252, semicolons, decimal comma, dates with dots, a preamble and a sum."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "ja" if value else "nein"
        if isinstance(value, float):
            return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
        return f"{value:%d.%m.%Y}" if isinstance(value, date) else "k.A." if value is None else str(value)

    rows = records()
    lines = [";".join(rows[0]), *(";".join(map(text, row.values())) for row in rows)]
    path.with_suffix(".csv").write_bytes("\n".join(["Kunden 2022", "", *lines, "Summe;;;9,9"]).encode("cp1252"))
    return [str(path.with_suffix(".csv"))]


def parquet_folder(path: Path) -> list[str]:
    """Two Parquet files in a folder, with times and a nested column."""
    path.mkdir()
    for part, rows in enumerate((records()[:100], records()[100:])):
        for row in rows:
            row["signed_on"] = datetime.combine(row["signed_on"], datetime.min.time())
        table = pa.Table.from_pylist(rows).append_column("tags", pa.array([[1, 2]] * len(rows)))
        pq.write_table(table, path / f"part-{part}.parquet")
    return [str(path)]


def json_lines(path: Path) -> list[str]:
    """A JSON object a line, with an object and a list in it."""
    nested = ({**row, "account": {"visits": int(row["customer_no"]) % 5}, "tags": ["a"]} for row in records())
    rows = (json.dumps(row, default=str, ensure_ascii=False) for row in nested)
    path.with_suffix(".jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return [str(path.with_suffix(".jsonl"))]


def workbook(path: Path) -> list[str]:
    """The second sheet of a workbook."""
    book = openpyxl.Workbook()
    book.active["A1"] = "Nothing here"
    sheet = book.create_sheet("Customers")
    sheet.append(list(records()[0]))
    for row in records():
        sheet.append(list(row.values()))
    book.save(path.with_suffix(".xlsx"))
    return [str(path.with_suffix(".xlsx")), "--table", "Customers"]


def database(path: Path) -> list[str]:
    """A table of an SQLite database."""
    with sqlite3.connect(path.with_suffix(".db")) as connection:
        connection.execute(
            "create table customers (customer_no text primary key, signed_on date, age integer, revenue real, "
            "city text, shop text, active boolean, churned text)"
        )
        rows = [[str(value) if isinstance(value, date) else value for value in row.values()] for row in records()]
        connection.executemany("insert into customers values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    return [str(path.with_suffix(".db")), "--table", "customers"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    fresh = Checkout.below(tmp_path_factory.mktemp("init"))
    yield fresh
    fresh.run("deployment.run", "stop")


def answer(checkout: Checkout, name: str, record: Record) -> Record:
    """The endpoint's prediction for a record, as `ask` asks for it but without its start."""
    token = (checkout.root / ".serving" / "token").read_text(encoding="utf-8").strip()
    request = urllib.request.Request(
        f"{checkout.variables['MODEL_SERVER']}/serving-endpoints/{name.replace('_', '-')}/invocations",
        json.dumps({"dataframe_records": [record]}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        predicted: Record = json.load(response)["predictions"][0]
    return predicted


@pytest.mark.parametrize("make", [german_csv, parquet_folder, json_lines, workbook, database])
def test_a_file_becomes_an_answering_endpoint(
    checkout: Checkout, tmp_path: Path, make: Callable[[Path], list[str]]
) -> None:
    name = make.__name__
    source = make(tmp_path / "customers")
    command = ("training.init", *source, "--target", "churned", "--name", name, *BRIEFLY)
    printed = checkout.run(*command)
    assert "version 1 is the challenger" in printed
    assert f"reports/{name}/version-1.html" in printed
    roles = {line.split()[0]: line.split()[2] for line in printed.splitlines() if len(line.split()) > 3}
    assert (roles["customer_no"], roles["signed_on"], roles["churned"]) == ("key", "time", "target")
    assert (roles["age"], roles["city"], roles["shop"]) == ("number", "one_hot", "category_index")
    assert roles["active"] == "flag"
    file = checkout.root / "training" / "use_cases" / f"{name}.yml"
    # The gate is no matter here: a model of three seconds and 240 rows may be poor.
    file.write_text(file.read_text(encoding="utf-8").replace("minimum: 0.55", "minimum: 0.05"), encoding="utf-8")
    checkout.run("deployment.run", "promote", "--use-case", name)
    checkout.run("deployment.run", "serve", "--use-case", name, "--detach")
    request = yaml.safe_load(file.read_text(encoding="utf-8"))["golden_request"]
    assert 0 < answer(checkout, name, request)["probability"] < 1
    assert 0 < answer(checkout, name, {**request, "age": None})["probability"] < 1


def test_a_signal_that_stops_init_leaves_no_file_behind(checkout: Checkout, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    stopped = Checkout(checkout.root, {**checkout.variables, "TMPDIR": str(temporary)})
    before = {path for path in checkout.root.rglob("*") if "__pycache__" not in path.parts}
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n" + "".join(f"{row},{row % 2}\n" for row in range(300_000)), encoding="utf-8")
    with ended(stopped.start("training.init", str(rows), "--target", "b")) as process:
        deadline = time.monotonic() + 120
        while not list(temporary.glob("init-*/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "Interrupted by SIGTERM." in output
    assert "Traceback" not in output
    assert not list(temporary.glob("init-*"))
    assert {path for path in checkout.root.rglob("*") if "__pycache__" not in path.parts} == before


def test_a_null_has_one_answer_over_http_and_in_batch_and_is_null_in_the_feature_table(
    checkout: Checkout, tmp_path: Path
) -> None:
    name = "missing_ages"
    briefly = ("--minutes", "0.05", "--families", "lightgbm")
    checkout.run("training.init", *json_lines(tmp_path / "ages"), "--target", "churned", "--name", name, *briefly)
    gold = checkout.root / "warehouse" / "gold"
    ages = DeltaTable(str(gold / f"{name}_features")).to_pyarrow_table()["age"]
    assert ages.null_count == ROWS / 12
    file = checkout.root / "training" / "use_cases" / f"{name}.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("minimum: 0.55", "minimum: 0.05"), encoding="utf-8")
    checkout.run("deployment.run", "promote", "--use-case", name)
    checkout.run("deployment.run", "serve", "--use-case", name, "--detach")
    checkout.run("training.score", "--use-case", name, "--input", f"gold.{name}_labels", "--output", "gold.answers")
    scored = {row["customer_no"]: row for row in DeltaTable(str(gold / "answers")).to_pyarrow_table().to_pylist()}
    fields = yaml.safe_load(file.read_text(encoding="utf-8"))["golden_request"]
    staged = DeltaTable(str(checkout.root / "warehouse" / "staging" / f"stg_{name}")).to_pyarrow_table().to_pylist()
    without = [row for row in staged if row["age"] is None]
    assert len(without) == ROWS / 12
    for row in [*without, *staged[:4]]:
        answered = answer(checkout, name, {field: row[field] for field in fields})
        assert answered["probability"] == scored[row["customer_no"]]["probability"]
