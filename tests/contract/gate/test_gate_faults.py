"""Versions and holdouts that cannot be trusted: nothing of them is promoted, and the champion stays."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient

from deployment.gate.gate import Gate
from deployment.gate.holdout import HoldoutRefused
from deployment.gate.loaded_version import VersionBroken
from deployment.gate.verdict import VerdictUnwritten
from lakehouse.errors import LakehouseError
from scoring.scorer import Scorer
from tests.contract.gate.commands import promote
from tests.contract.gate.crowned import BEFORE, require_sound
from tests.contract.people import NAME, Place, actions
from training.registry.golden_rows import MOST


@pytest.fixture
def place(crowned: Place, tmp_path: Path) -> Place:
    return crowned.copied(tmp_path)


def files_of(gate: Gate, version: int) -> Path:
    source = gate.client.get_model_version_download_uri(NAME, str(version))
    return Path(source.removeprefix("file://"))


@pytest.fixture
def damaged(gate: Gate) -> Iterator[Callable[[int, str], None]]:
    """Damages the files of a version, which the tests share, until the test ends."""
    undo: list[Callable[[], object]] = []

    def damage(version: int, how: str) -> None:
        folder = files_of(gate, version)
        if how == "gone":
            away = folder.with_name("away")
            undo.append(lambda: away.rename(folder))
            folder.rename(away)
            return
        (file,) = folder.rglob("pipeline.skops")
        content = file.read_bytes()
        undo.append(lambda: file.write_bytes(content))
        (good,) = files_of(gate, 1).rglob("pipeline.skops")
        zeroes = b"\0" * len(content)
        ways = {"cut off": content[: len(content) // 2], "zeroed": zeroes, "another's": good.read_bytes()}
        file.write_bytes(ways[how])

    yield damage
    for each in undo:
        each()


@pytest.mark.parametrize("how", ["gone", "cut off", "zeroed", "another's"])
@pytest.mark.parametrize("version", [2, 4])
def test_files_of_champion_or_challenger_are(gate: Gate, damaged: Any, version: int, how: str) -> None:
    damaged(version, how)
    with pytest.raises(VersionBroken, match=f"version {version} of people cannot be used"):
        gate.promote()
    assert actions(gate) == BEFORE
    require_sound(gate, 2)


def test_files_of_the_version_to_go_back_to_are_gone(gate: Gate, damaged: Any) -> None:
    damaged(1, "gone")
    with pytest.raises(VersionBroken, match="version 1 of people cannot be used"):
        gate.rollback(None, "complaints")
    require_sound(gate, 2)


def test_a_version_answers_with_no_number(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Scorer.predicted

    def broken(*given: Any) -> Any:
        """Of the holdout's rows; the golden ones are fewer."""
        found = said(*given)
        return np.where(np.arange(len(found)), found, np.nan) if len(found) > MOST else found

    monkeypatch.setattr(Scorer, "predicted", broken)
    assert not gate.promote().promote
    assert actions(gate) == [*BEFORE, ("refused", 2, 2)]
    require_sound(gate, 2)


def test_a_version_does_not_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("X has 2 features, but is expecting 3")

    monkeypatch.setattr(Scorer, "predicted", fail)
    with pytest.raises(VersionBroken, match="does not score the holdout"):
        gate.promote()
    require_sound(gate, 2)


def rows_of_the_holdout_change(gate: Gate, place: Place) -> None:
    table = DeltaTable(place.warehouse / "gold/labels")
    rows = table.to_pyarrow_table().sort_by("person")
    write_deltalake(place.warehouse / "new", rows.set_column(2, "label", [np.roll(rows["label"].to_numpy(), 1)]))
    (place.warehouse / "gold/labels").rename(place.warehouse / "old")
    (place.warehouse / "new").rename(place.warehouse / "gold/labels")


def the_pinned_hash_changes(gate: Gate, place: Place) -> None:
    gate.client.set_model_version_tag(NAME, "4", "holdout.fingerprint", "0" * 64)


def files_of_the_tables_are_gone(gate: Gate, place: Place) -> None:
    for file in (place.warehouse / "gold/bodies").glob("*.parquet"):
        file.unlink()


def the_challenger_says_nothing_of_its_data(gate: Gate, place: Place) -> None:
    gate.client.delete_model_version_tag(NAME, "4", "data.last")


def the_champion_says_nothing_of_its_data(gate: Gate, place: Place) -> None:
    gate.client.delete_model_version_tag(NAME, "2", "data.last")


def the_challenger_was_trained_on_its_holdout(gate: Gate, place: Place) -> None:
    tags = gate.client.get_model_version(NAME, "4").tags
    gate.client.set_model_version_tag(NAME, "4", "data.last", tags["holdout.from"])


@pytest.mark.parametrize(
    "fault",
    [
        rows_of_the_holdout_change,
        the_pinned_hash_changes,
        files_of_the_tables_are_gone,
        the_challenger_says_nothing_of_its_data,
        the_champion_says_nothing_of_its_data,
        the_challenger_was_trained_on_its_holdout,
    ],
)
def test_a_holdout_that_cannot_be_trusted(gate: Gate, place: Place, fault: Callable[[Gate, Place], None]) -> None:
    fault(gate, place)
    with pytest.raises(HoldoutRefused, match=r"\n.*(training\.run --use-case people|on newer data)"):
        gate.promote()
    assert actions(gate) == BEFORE
    require_sound(gate, 2)


def test_a_table_is_gone(gate: Gate, place: Place) -> None:
    (place.warehouse / "gold/bodies").rename(place.warehouse / "elsewhere")
    with pytest.raises(LakehouseError, match=r"gold\.bodies is not in the warehouse"):
        gate.promote()
    require_sound(gate, 2)


def test_the_verdicts_file_is_not_what_was_written(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = MlflowClient.log_text
    monkeypatch.setattr(
        MlflowClient, "log_text", lambda self, run, text, file: wrote(self, run, text[: len(text) // 2], file)
    )
    with pytest.raises(VerdictUnwritten, match="what was read back is not what was written"):
        promote(gate)
    require_sound(gate, 2)
