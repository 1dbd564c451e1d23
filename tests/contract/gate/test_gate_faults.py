"""Damaged versions and holdouts: nothing is promoted, and the champion stays."""

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
from deployment.gate.verdict import VerdictNotWritten
from lakehouse.errors import LakehouseError
from scoring.scorer import Scorer
from tests.contract.gate.commands import promote
from tests.contract.gate.consistency import BEFORE, require_consistent
from tests.contract.people import NAME, Environment, actions
from training.registry.golden_rows import MOST


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


def files_of(gate: Gate, version: int) -> Path:
    source = gate.client.get_model_version_download_uri(NAME, str(version))
    return Path(source.removeprefix("file://"))


@pytest.fixture
def damaged(gate: Gate) -> Iterator[Callable[[int, str], None]]:
    """Damage the shared files of a version until the test ends."""
    undo: list[Callable[[], object]] = []

    def damage(version: int, how: str) -> None:
        folder = files_of(gate, version)
        if how == "missing":
            away = folder.with_name("away")
            undo.append(lambda: away.rename(folder))
            folder.rename(away)
            return
        (file,) = folder.rglob("pipeline.skops")
        content = file.read_bytes()
        undo.append(lambda: file.write_bytes(content))
        (good,) = files_of(gate, 1).rglob("pipeline.skops")
        zeroes = b"\0" * len(content)
        ways = {"truncated": content[: len(content) // 2], "zeroed": zeroes, "of another version": good.read_bytes()}
        file.write_bytes(ways[how])

    yield damage
    for each in undo:
        each()


@pytest.mark.parametrize("how", ["missing", "truncated", "zeroed", "of another version"])
@pytest.mark.parametrize("version", [2, 4])
def test_damaged_files_of_champion_or_challenger_stop_the_promotion(
    gate: Gate, damaged: Any, version: int, how: str
) -> None:
    damaged(version, how)
    with pytest.raises(VersionBroken, match=f"version {version} of people cannot be used"):
        gate.promote()
    assert actions(gate) == BEFORE
    require_consistent(gate, 2)


def test_missing_files_of_the_target_stop_the_rollback(gate: Gate, damaged: Any) -> None:
    damaged(1, "missing")
    with pytest.raises(VersionBroken, match="version 1 of people cannot be used"):
        gate.rollback(None, "complaints")
    require_consistent(gate, 2)


def test_a_prediction_of_nan_is_refused(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted = Scorer.predict

    def broken(*arguments: Any) -> Any:
        """Return NaN for the first holdout row; golden rows are fewer and stay valid."""
        predictions = predicted(*arguments)
        return np.where(np.arange(len(predictions)), predictions, np.nan) if len(predictions) > MOST else predictions

    monkeypatch.setattr(Scorer, "predict", broken)
    assert not gate.promote().promote
    assert actions(gate) == [*BEFORE, ("refused", 2, 2)]
    require_consistent(gate, 2)


def test_a_version_that_raises_is_not_promoted(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("X has 2 features, but is expecting 3")

    monkeypatch.setattr(Scorer, "predict", fail)
    with pytest.raises(VersionBroken, match="cannot predict the holdout"):
        gate.promote()
    require_consistent(gate, 2)


def change_rows_of_the_holdout(gate: Gate, environment: Environment) -> None:
    table = DeltaTable(environment.warehouse / "gold/labels")
    rows = table.to_pyarrow_table().sort_by("person")
    write_deltalake(
        environment.warehouse / "new", rows.set_column(2, "label", [np.roll(rows["label"].to_numpy(), 1)])
    )
    (environment.warehouse / "gold/labels").rename(environment.warehouse / "old")
    (environment.warehouse / "new").rename(environment.warehouse / "gold/labels")


def change_the_pinned_hash(gate: Gate, environment: Environment) -> None:
    gate.client.set_model_version_tag(NAME, "4", "holdout_fingerprint", "0" * 64)


def delete_files_of_a_table(gate: Gate, environment: Environment) -> None:
    for file in (environment.warehouse / "gold/bodies").glob("*.parquet"):
        file.unlink()


def delete_provenance_of_the_challenger(gate: Gate, environment: Environment) -> None:
    gate.client.delete_model_version_tag(NAME, "4", "data_last")


def delete_provenance_of_the_champion(gate: Gate, environment: Environment) -> None:
    gate.client.delete_model_version_tag(NAME, "2", "data_last")


def train_the_challenger_on_its_holdout(gate: Gate, environment: Environment) -> None:
    tags = gate.client.get_model_version(NAME, "4").tags
    gate.client.set_model_version_tag(NAME, "4", "data_last", tags["holdout_from"])


@pytest.mark.parametrize(
    "fault",
    [
        change_rows_of_the_holdout,
        change_the_pinned_hash,
        delete_files_of_a_table,
        delete_provenance_of_the_challenger,
        delete_provenance_of_the_champion,
        train_the_challenger_on_its_holdout,
    ],
)
def test_a_changed_holdout_stops_the_promotion(
    gate: Gate, environment: Environment, fault: Callable[[Gate, Environment], None]
) -> None:
    fault(gate, environment)
    with pytest.raises(HoldoutRefused, match=r"\n.*(training\.run --use-case people|on newer data)"):
        gate.promote()
    assert actions(gate) == BEFORE
    require_consistent(gate, 2)


def test_a_missing_table_stops_the_promotion(gate: Gate, environment: Environment) -> None:
    (environment.warehouse / "gold/bodies").rename(environment.warehouse / "elsewhere")
    with pytest.raises(LakehouseError, match=r"gold\.bodies is not in the warehouse"):
        gate.promote()
    require_consistent(gate, 2)


def test_a_verdict_file_that_differs_stops_the_promotion(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    log_text = MlflowClient.log_text
    monkeypatch.setattr(
        MlflowClient, "log_text", lambda self, run, text, file: log_text(self, run, text[: len(text) // 2], file)
    )
    with pytest.raises(VerdictNotWritten, match="the stored file differs from the written text"):
        promote(gate)
    require_consistent(gate, 2)
