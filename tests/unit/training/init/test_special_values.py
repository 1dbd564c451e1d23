"""Rare classes, values that stand for missing ones, words such as `unknown`, ages, and names of months."""

import random
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from training.init.__main__ import main
from training.init.errors import InitRefused
from training.init.proposing.metrics import metrics_of
from training.init.proposing.proposal import Proposal, Wishes, propose
from training.init.proposing.shown import show
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table
from training.init.writing.gold import encodings
from training.init.writing.labels import labels_sql
from training.init.writing.staging import staging_sql
from training.init.writing.unit_tests import labels_tests
from training.init.writing.use_case import use_case_yml

ROWS = 400
MONTHS = ("Jan", "Feb", "März", "Apr", "Mai", "Juni", "Juli", "Aug", "Sept", "Okt", "November", "Dez")
START = date(2023, 1, 1)


def csv_file(folder: Path, target: list[str]) -> Path:
    drawn = random.Random(1)  # noqa: S311
    lines = ["member no;Alter;house_age;days;valid until;joined;job;outcome"]
    for row in range(ROWS):
        joined = START + timedelta(days=row)
        until = "9999-12-31" if row % 3 else "2026-05-01"
        days = 999 if row % 4 == 0 else drawn.randint(1, 30)
        lines.append(
            f"m{row};{drawn.randint(18, 90)};{drawn.randint(1, 52)};{days};{until};"
            f"{joined.day}. {MONTHS[joined.month - 1]} {joined.year};{drawn.choice(['cook', 'unknown', 'nurse'])};"
            f"{target[row]}"
        )
    path = folder / "members.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def proposal(folder: Path, target: list[str], words: tuple[str, ...] = (), **wishes: Any) -> Proposal:
    path = csv_file(folder, target)
    given = open_table(str(path), Habits(words=words), Path(tempfile.mkdtemp(dir=folder)), "300MB")
    return propose("members", given, Wishes("outcome", **wishes))


def drawn_target(**shares: float) -> list[str]:
    return random.Random(2).choices(list(shares), list(shares.values()), k=ROWS)  # noqa: S311


def test_a_rare_class_gets_a_metric_that_it_can_change(tmp_path: Path) -> None:
    even = metrics_of(proposal(tmp_path, drawn_target(a=0.4, b=0.3, c=0.3)).target)
    assert (even.search, even.promotion) == ("log_loss", "accuracy")
    rare = metrics_of(proposal(tmp_path, drawn_target(a=0.57, b=0.4, c=0.03)).target)
    assert (rare.search, rare.promotion) == ("log_loss", "macro_f1")
    assert "of the rows are c, which accuracy hardly shows" in rare.why
    balanced = metrics_of(proposal(tmp_path, drawn_target(yes=0.3, no=0.7)).target)
    assert (balanced.search, balanced.promotion) == ("roc_auc", "roc_auc")
    target = drawn_target(yes=0.04, no=0.96)
    few = metrics_of(proposal(tmp_path, target).target)
    assert (few.search, few.promotion) == ("average_precision", "average_precision")
    share = target.count("yes") / ROWS
    assert share < few.minimum < 1.4 * share
    # Label 0 is the rare one: average precision would be high for any model.
    assert metrics_of(proposal(tmp_path, drawn_target(yes=0.97, no=0.03)).target).promotion == "roc_auc"


def test_values_that_often_mean_a_missing_one_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = drawn_target(yes=0.5, no=0.5)
    found = proposal(tmp_path, target, keep=("valid_until",))
    show(found)
    printed = capsys.readouterr().out
    assert (
        "days is 999 in 100 rows and from 1 to 30 elsewhere: if that means a missing value, --missing days=999"
        in (printed)
    )
    assert "--missing valid_until=9999-12-31" in printed
    assert found.identity.time == "joined"  # a column that ends in the year 9999 is no time of a row
    chosen = proposal(tmp_path, target, missing=("days=999", "valid until=9999-12-31"), keep=("valid_until",))
    show(chosen)
    assert "means a missing value" not in capsys.readouterr().out
    profiles = {role.name: role.profile for role in chosen.roles}
    assert (profiles["days"].missing, profiles["days"].maximum) == (100, 30)
    assert profiles["valid_until"].maximum == date(2026, 5, 1)
    assert "nullif(try_cast(trim(days) as bigint), 999) as days" in staging_sql(chosen)


def test_a_missing_value_that_cannot_be_is_refused(tmp_path: Path) -> None:
    target = drawn_target(yes=0.5, no=0.5)
    for wish, problem in (
        ("days=soon", "is no bigint"),
        ("days=998", "names a value that no row has"),
        ("days", "has no value"),
        ("day=1", "Did you mean"),
    ):
        with pytest.raises(InitRefused, match=problem):
            proposal(tmp_path, target, missing=(wish,))


def test_a_class_named_unknown_is_said_and_can_be_kept(tmp_path: Path) -> None:
    target = drawn_target(bought=0.5, left=0.3, unknown=0.2)
    unknown = target.count("unknown")
    left_out = proposal(tmp_path, target)
    why = next(role.why for role in left_out.roles if role.role == "target")
    assert f"{unknown} rows without it are left out, with unknown as missing (as classes: --words outcome)" in why
    assert left_out.table.landing["missing"] == ["unknown"]
    kept = proposal(tmp_path, target, words=("outcome",))
    assert kept.target.classes == ("bought", "left", "unknown")
    assert kept.table.landing["missing"] == {"job": ["unknown"]}
    assert yaml.safe_load(use_case_yml(kept))["labels"]["classes"] == ["bought", "left", "unknown"]
    with pytest.raises(InitRefused, match=r"--words names 'outcom'.*Did you mean"):
        proposal(tmp_path, target, words=("outcom",))


def test_an_age_of_persons_has_its_cohort_too(tmp_path: Path) -> None:
    found = encodings(proposal(tmp_path, drawn_target(yes=0.5, no=0.5)))
    assert {"column": "alter", "as": "cohort", "bounds": [18, 50, 65]} in found
    assert [each["as"] for each in found if each["column"] == "house_age"] == ["number"]


def test_a_large_table_is_sampled_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = drawn_target(yes=0.5, no=0.5)
    whole = proposal(tmp_path, target)
    assert "every" not in labels_sql(whole)
    monkeypatch.setattr("training.init.proposing.sampling.MATRIX_BYTES", 8 * 150 * 6)  # 150 rows of 6 columns
    sampled = proposal(tmp_path, target)
    show(sampled)
    assert (
        "Training reads a sample: about 133 rows of 400, one of 3 by a hash of the key (" in capsys.readouterr().out
    )
    assert "{% set every = 3 %}" in labels_sql(sampled)
    assert "pmod(xxhash64(member_no, 'sample'), {{ every }}) = 0" in labels_sql(sampled)
    assert labels_tests(sampled) == ""
    assert proposal(tmp_path, target, rows=100).sample.every == 4


def test_german_names_of_months_are_dates(tmp_path: Path) -> None:
    found = proposal(tmp_path, drawn_target(yes=0.5, no=0.5))
    joined = next(role.profile for role in found.roles if role.name == "joined")
    assert (joined.minimum, joined.maximum) == (START, START + timedelta(days=ROWS - 1))
    assert found.table.landing["date_format"] == "d. MMM yyyy"


def test_a_memory_limit_that_is_too_small_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n" + "1,2\n" * 60, encoding="utf-8")
    result = CliRunner().invoke(main, [str(path), "--target", "b", "--memory", "1KB", "--check"])
    assert isinstance(result.exception, InitRefused)
    assert "--memory 1KB is not enough for this file" in str(result.exception)


def test_a_family_of_another_task_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv_file(tmp_path, drawn_target(yes=0.5, no=0.5))
    monkeypatch.setattr("training.init.command.write_files", lambda *_: pytest.fail("files were written"))
    done = CliRunner().invoke(main, [str(path), "--target", "outcome", "--families", "lightgbm,ridge"])
    assert "--families ridge is no model family for binary" in str(done.exception)
