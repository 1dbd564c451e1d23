"""Roles of columns: key, time, group, task, kinds of features, what is left out, and leaks."""

import csv
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from training.init.errors import InitRefused
from training.init.proposing.proposal import Proposal, Wishes, propose
from training.init.proposing.shown import show
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table

ROWS = 300
Column = Callable[[int, random.Random], Any]
START = date(2023, 1, 1)


def churned(row: int, drawn: random.Random) -> str:
    return "yes" if drawn.random() < 0.3 else "no"


USUAL: dict[str, Column] = {
    "customer_id": lambda row, _: f"C{row:04}",
    "age": lambda row, drawn: drawn.randint(18, 90),
    "churned": churned,
}


def proposal(folder: Path, columns: dict[str, Column], target: str = "churned", **wishes: Any) -> Proposal:
    drawn = random.Random(1)  # noqa: S311
    rows: list[Sequence[Any]] = [[make(row, drawn) for make in columns.values()] for row in range(ROWS)]
    path = folder / "data.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([list(columns), *rows])
    given = open_table(str(path), Habits(), Path(tempfile.mkdtemp(dir=folder)), "300MB")
    return propose("data", given, Wishes(target, **wishes))


def roles(found: Proposal) -> dict[str, str]:
    return {role.name: role.role for role in found.roles}


def reasons(found: Proposal) -> dict[str, str]:
    return {role.name: role.why for role in found.roles}


def nested_json(folder: Path, **wishes: Any) -> Proposal:
    """A proposal for JSON lines with an object, a list, and a value that is an object in one row."""
    drawn = random.Random(1)  # noqa: S311
    made = [
        {"id": f"C{row:04}",
         "buyer": {"age": drawn.randint(18, 90), "address": {"city": drawn.choice(["Bonn", "Ulm"])}},
         "tags": ["a"], "extra": "no" if row else {"x": 1},
         "churned": churned(row, drawn)}
        for row in range(ROWS)
    ]  # fmt: skip
    path = folder / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, made)), encoding="utf-8")
    given = open_table(str(path), Habits(), Path(tempfile.mkdtemp(dir=folder)), "300MB")
    return propose("data", given, Wishes(**{"target": "churned", **wishes}))


def test_fields_of_objects_in_json_are_columns_under_both_names(tmp_path: Path) -> None:
    found = nested_json(tmp_path, exclude=("buyer.age",))
    assert roles(found) == {
        "id": "key", "buyer_age": "out", "buyer_address_city": "one_hot", "churned": "target",
    }  # fmt: skip
    (note,) = found.table.notes
    assert note.startswith("not read: tags (lists or maps), extra (objects or lists in some rows alone); write")


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"target": "tags"}, "--target names 'tags', which is not read, because it has lists or maps\n  Write what"),
        ({"key": ("extra",)}, "--key names 'extra', which is not read, because it has objects"),
        ({"target": "buyer"}, "'buyer', which is an object\n  Name a field: buyer.age, buyer.address.city."),
    ],
)
def test_an_option_that_names_an_object_or_a_list_is_refused(
    tmp_path: Path, wishes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InitRefused) as refused:
        nested_json(tmp_path, **wishes)
    assert said in str(refused.value)


def test_each_kind_of_column_gets_its_role(tmp_path: Path) -> None:
    found = proposal(
        tmp_path,
        {
            "row": lambda row, _: row,
            "zip_code": lambda row, drawn: 10_000 + drawn.randint(0, 60),
            "age": lambda row, drawn: drawn.randint(18, 90) if row % 10 else "",
            "city": lambda row, drawn: drawn.choice(["Bonn", "Köln", ""]),
            "member": lambda row, drawn: drawn.choice(["yes", "no"]),
            "vip": lambda row, drawn: drawn.choice(["yes", "no", ""]),
            "plus": lambda row, drawn: drawn.choice(["+", "++"]),
            "country": lambda row, _: "DE",
            "empty": lambda row, _: "",
            "note": lambda row, drawn: f"A long text about the customer of row {row} and the calls",
            "street": lambda row, drawn: f"street {drawn.randint(0, 100_000)}",
            "age_months": lambda row, _: "",
            "churned": churned,
        },
    )
    assert roles(found) == {
        "row_value": "out", "zip_code": "category_index", "age": "number", "city": "one_hot", "member": "flag",
        "vip": "one_hot", "plus": "category_index", "country": "out", "empty": "out", "note": "out", "street": "out",
        "age_months": "out", "churned": "target",
    } | ({"row_value": "key"})  # fmt: skip
    why = reasons(found)
    assert why["row_value"].startswith("first column")
    assert "10.0% missing stay NULL (`missing: keep`)" in why["age"]
    assert "free text" in why["note"] or "own in every row" in why["note"]
    assert why["country"] == "one value in every row"
    assert found.split == {"by": "stratified", "holdout": 0.2, "folds": 3}


def test_equal_and_proportional_columns_are_left_out(tmp_path: Path) -> None:
    ages: dict[int, int] = {}

    def age(row: int, drawn: random.Random) -> int:
        return ages.setdefault(row, drawn.randint(18, 90))

    found = proposal(
        tmp_path,
        {**USUAL, "age": age, "age_2": lambda row, _: ages[row], "age_in_months": lambda row, _: ages[row] * 12},
    )
    assert roles(found)["age"] == "number"
    assert reasons(found)["age_2"] == "equals age in every row"
    assert reasons(found)["age_in_months"] == "in proportion to age"


def test_a_column_that_gives_the_label_away_is_left_out_with_the_reason(tmp_path: Path) -> None:
    labels: dict[int, str] = {}

    def label(row: int, drawn: random.Random) -> str:
        return labels.setdefault(row, churned(row, drawn))

    columns: dict[str, Column] = {
        **USUAL,
        "churned": label,
        "signed_on": lambda row, _: START + timedelta(days=row),
        "status": lambda row, _: "gone" if labels[row] == "yes" else "here",
        "score": lambda row, drawn: (10 if labels[row] == "yes" else 0) + drawn.random(),
        "complaint": lambda row, drawn: drawn.choice(["a", "b"]) if labels[row] == "yes" else "",
        "left_on": lambda row, _: START + timedelta(days=row + 3) if row % 2 else "",
        "born_on": lambda row, drawn: START - timedelta(days=drawn.randint(7_000, 20_000)),
        "call_duration": lambda row, drawn: drawn.randint(10, 900),
    }
    found = proposal(tmp_path, columns, time="signed_on")
    why = reasons(found)
    assert why["status"] == "leak: Cramér's V with the target is 1.00"
    assert why["score"] == "leak: alone it predicts the target with ROC AUC 1.000"
    assert why["complaint"].startswith("leak: filled only where the target is yes (")
    assert why["left_on"] == "leak: in 150 rows it is after signed_on, the time of the label"
    assert roles(found)["born_on"] == "days"
    assert roles(found)["call_duration"] == "number"
    kept = proposal(tmp_path, columns, time="signed_on", keep=("score",), exclude=("age",))
    assert roles(kept)["score"] == "number"
    assert "--keep, though leak" in reasons(kept)["score"]
    assert roles(kept)["age"] == "out"


def test_key_time_and_group(tmp_path: Path) -> None:
    by_day: dict[str, Column] = {
        "customer_id": lambda row, _: row % 30,
        "ordered_on": lambda row, _: START + timedelta(days=row // 30),
        "age": USUAL["age"],
        "churned": churned,
    }
    repeated = proposal(tmp_path, by_day)
    assert repeated.identity.key == ("customer_id",)  # one row for each customer and day
    assert repeated.identity.time == "ordered_on"
    assert repeated.split["by"] == "time"
    without_time = proposal(tmp_path, by_day, time="none")
    assert (without_time.identity.key, without_time.identity.group) == ((), "customer_id")
    assert without_time.split == {"by": "column", "column": "fold"}
    with pytest.raises(InitRefused, match="the key customer_id repeats"):
        proposal(tmp_path, by_day, time="none", key=("customer_id",))
    with pytest.raises(InitRefused, match="the time age has the type bigint"):
        proposal(tmp_path, by_day, time="age")


def test_two_columns_of_times_are_asked_about(tmp_path: Path) -> None:
    columns: dict[str, Column] = {
        **USUAL,
        "ordered_on": lambda row, drawn: START + timedelta(days=drawn.randint(0, 300)),
        "paid_on": lambda row, drawn: START + timedelta(days=drawn.randint(0, 300)),
    }
    with pytest.raises(InitRefused, match=r"several columns may be the time.*\n.*--time ordered_on"):
        proposal(tmp_path, columns)


@pytest.mark.parametrize(
    ("make", "task", "why"),
    [
        (lambda row, drawn: drawn.choice([0, 1]), "binary", "two values; 1 is label 1"),
        (lambda row, drawn: "x" if row % 5 else "y", "binary", "two values; y is label 1"),
        (lambda row, drawn: drawn.choice("abc"), "multiclass", "3 texts"),
        (lambda row, drawn: drawn.choice([1, 2, 3]), "multiclass", "3 whole numbers, 1 to 3, taken as classes"),
        (lambda row, drawn: drawn.randint(1, 9), "regression", "9 whole numbers, 1 to 9, taken as a number"),
        (lambda row, drawn: drawn.random(), "regression", "300 different numbers"),
    ],
)
def test_the_task_follows_from_the_target(tmp_path: Path, make: Column, task: str, why: str) -> None:
    found = proposal(tmp_path, {**USUAL, "churned": make})
    assert str(found.target.task) == task
    assert found.target.why == why
    few = task != "binary" and "whole" in why
    assert bool(found.target.change) == few  # both are said


@pytest.mark.parametrize(
    ("target", "make", "problem"),
    [
        ("churn", churned, "the file has no such column. Did you mean 'churned'?"),
        ("churned", lambda row, drawn: "yes", "has one value in every row: yes"),
        ("churned", lambda row, drawn: "", "has no value"),
        ("churned", lambda row, drawn: f"name {row}", "is text with 300 different values in 300 rows"),
        ("churned", lambda row, drawn: row, "has a value of its own in every row"),
        ("churned", lambda row, drawn: START + timedelta(days=row), "is a date"),
        ("churned", lambda row, drawn: "c" if row < 3 else "ab"[row % 2], "too few rows of a class: c in 3 rows"),
        ("churned", lambda row, drawn: "yes" if row < 20 else "no" if row < 30 else "", "30 rows with a value"),
    ],
)
def test_a_target_that_is_no_label_is_refused(tmp_path: Path, target: str, make: Column, problem: str) -> None:
    with pytest.raises(InitRefused, match=problem.replace("?", r"\?").replace(".", r"\.")):
        proposal(tmp_path, {**USUAL, "churned": make}, target)


def test_a_table_without_features_is_refused_with_the_reasons(tmp_path: Path) -> None:
    columns = {"customer_id": USUAL["customer_id"], "country": lambda row, _: "DE", "churned": churned}
    with pytest.raises(InitRefused, match="no column to learn from: country: one value in every row"):
        proposal(tmp_path, columns)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"key": ("churned",)}, "--target and --key both name the column churned"),
        ({"time": "churned"}, "--target and --time both name the column churned"),
        ({"group": "churned"}, "--target and --group both name the column churned"),
        ({"exclude": ("churned",)}, "--target and --exclude both name the column churned"),
        ({"key": ("customer_id",), "group": "customer_id"}, "--key and --group both name the column customer_id"),
        ({"time": "age", "exclude": ("age",)}, "--time and --exclude both name the column age"),
    ],
)
def test_one_column_with_two_roles_is_refused(tmp_path: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InitRefused, match=problem):
        proposal(tmp_path, USUAL, **options)


def test_the_table_names_a_column_as_in_the_file_where_sql_needs_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"": lambda row, _: row, "timestamp": lambda row, drawn: drawn.randint(0, 99), "HouseAge": USUAL["age"]}
    show(proposal(tmp_path, {**columns, "churned": churned}))
    shown = capsys.readouterr()
    for name in ("unnamed (no name) ", "timestamp_value (timestamp) ", "house_age  "):
        assert name in shown.out + shown.err


def test_dates_that_cannot_be_read_are_no_categories(tmp_path: Path) -> None:
    born: Column = lambda row, drawn: f"{drawn.randint(1, 28):02}.{drawn.randint(1, 12):02}.{drawn.randint(40, 99)}"  # noqa: E731
    found = proposal(tmp_path, {**USUAL, "born": born})
    assert roles(found)["born"] == "out"
    assert "some may be before" in reasons(found)["born"]


def test_rows_of_a_repeated_customer_stay_together_without_id_in_the_name(tmp_path: Path) -> None:
    columns = {"order_no": lambda row, _: f"O{row}", "customer": lambda row, _: f"C{row % 60}", "age": USUAL["age"]}
    found = proposal(tmp_path, {**columns, "churned": churned})
    assert (found.identity.key, found.identity.group) == (("order_no",), "customer")
