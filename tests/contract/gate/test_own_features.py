"""Each version is judged by its own features, whatever the use case and the tables have become since."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from deployment.gate.criteria.decision import Decision
from deployment.gate.gate import Gate
from deployment.gate.loaded_version import LoadedVersion
from scoring.tasks import MULTICLASS
from tests.contract.gate.consistency import require_consistent
from tests.contract.people import NAME, ROWS, USE_CASE, Environment, set_challenger, train
from training.registry.frame_declaration import FRAME
from training.tracking import experiment_id
from training.use_case.use_case import UseCase

HEIGHT = {"features": [{"table": "gold.bodies", "exclude": ["noise"]}], "golden_request": {"height": 1.0}}
RENAMED = {"golden_request": {"height_cm": 1.0, "noise": 0.0}}
BODIES = "gold/bodies"


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


@pytest.fixture(params=["recorded", "of an earlier release"])
def versions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions with their frame in their metadata, and versions of a release that recorded none."""
    if request.param == "recorded":
        return
    load = LoadedVersion.load

    def earlier(version: Any) -> LoadedVersion:
        loaded = load(version)
        if int(version.version) > 4:
            return loaded
        metadata = {name: value for name, value in loaded.metadata.items() if name != FRAME}
        return replace(loaded, metadata=metadata)

    monkeypatch.setattr(LoadedVersion, "load", earlier)


def changed(**sections: Any) -> UseCase:
    """Use case whose guard allows other inputs, with changed sections."""
    promotion = {"minimum": 0.6, "margin": 0.03, "guards": {"input_schema": "any"}}
    return UseCase.model_validate(USE_CASE.model_dump() | {"promotion": promotion} | sections)


def train_challenger(gate: Gate, environment: Environment, wrong_labels: float = 0.05, signal: str = "noise") -> Gate:
    """Train version 5 as the gate's use case declares it."""
    with mlflow.start_run(experiment_id=experiment_id(gate.client, environment.settings, NAME)):
        train(gate.client, environment.store(), wrong_labels, gate.use_case, signal)
    return gate


def rename_height(environment: Environment) -> None:
    """Rename a feature in its gold model, and build the table again."""
    rows = DeltaTable(environment.warehouse / BODIES).to_pyarrow_table()
    names = ["height_cm" if name == "height" else name for name in rows.column_names]
    write(environment, rows.rename_columns(names))


def write(environment: Environment, rows: pa.Table, **properties: str) -> None:
    table = environment.warehouse / BODIES
    write_deltalake(table, rows, mode="overwrite", schema_mode="overwrite")
    features = {name: {"data_type": "double", "description": ""} for name in rows.column_names[2:]}
    described = {"feature_table.features": json.dumps(features)} | properties
    DeltaTable(table).alter.set_table_properties(described, raise_if_not_exists=False)


def exclude_a_feature(_environment: Environment) -> dict[str, Any]:
    return HEIGHT


def rename_a_feature(environment: Environment) -> dict[str, Any]:
    rename_height(environment)
    return RENAMED


def change_an_encoding(environment: Environment) -> dict[str, Any]:
    rows = DeltaTable(environment.warehouse / BODIES).to_pyarrow_table()
    turned = rows.set_column(2, "height", pa.array(-np.asarray(rows["height"])))
    impute = [{"column": "height", "as": "number", "type": "double", "impute": 0}]
    write(environment, turned, **{"feature_table.encodings": json.dumps(impute)})
    return {}


def limit_a_lookup(_environment: Environment) -> dict[str, Any]:
    return {"features": [{"table": "gold.bodies", "lookback_days": 1}]}


def drop_a_feature(environment: Environment) -> dict[str, Any]:
    rows = DeltaTable(environment.warehouse / BODIES).to_pyarrow_table()
    write(environment, rows.drop_columns(["noise"]))
    return {"golden_request": {"height": 1.0}}


def rename_the_label(environment: Environment) -> dict[str, Any]:
    rows = DeltaTable(environment.warehouse / "gold/labels").to_pyarrow_table()
    write_deltalake(environment.warehouse / "gold/outcomes", rows.rename_columns(["person", "at", "Outcome"]))
    return {"labels": USE_CASE.labels.model_dump() | {"table": "gold.outcomes", "column": "Outcome"}}


CHANGES = [
    exclude_a_feature,
    rename_a_feature,
    change_an_encoding,
    limit_a_lookup,
    drop_a_feature,
    rename_the_label,
]


def gain_over(decision: Decision, champion: int) -> Any:
    (reason,) = [each for each in decision.reasons if each.criterion == f"gain in roc_auc over version {champion}"]
    return reason.values[f"version {champion}"]


@pytest.mark.usefixtures("versions")
@pytest.mark.parametrize("change", CHANGES)
def test_a_champion_is_judged_by_the_features_that_it_was_trained_on(
    gate: Gate, environment: Environment, change: Callable[[Environment], dict[str, Any]]
) -> None:
    before = gain_over(gate.evaluate(), 2)
    gate = replace(gate, use_case=changed(**change(environment)))
    signal = "height_cm" if change is rename_a_feature else "height"
    decision = train_challenger(gate, environment, signal=signal).promote()
    assert decision.promote, decision.summary()
    assert gain_over(decision, 2) == before, "the same rows, features and predictions as before the change"
    require_consistent(gate, 5)
    assert gate.rollback(None, "complaints") == 2
    assert set_challenger(gate, 5).evaluate().promote
    require_consistent(gate, 2)


def test_a_challenger_is_judged_as_it_was_trained_although_the_use_case_changed_since(gate: Gate) -> None:
    before = gate.evaluate()
    later = replace(gate, use_case=changed(**HEIGHT, split={"holdout": 0.2}))
    assert later.evaluate().holdout == before.holdout
    assert gain_over(later.evaluate(), 2) == gain_over(before, 2)


def test_rows_that_are_newer_than_the_features_of_the_champion_are_left_out(
    gate: Gate, environment: Environment
) -> None:
    rename_height(environment)
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=ROWS + day) for day in range(50)]
    times, people = pa.array(days, pa.timestamp("us", "UTC")), pa.array(range(ROWS, ROWS + 50), pa.int64())
    label = pa.array([day % 2 for day in range(50)], pa.int64())
    noise = pa.array(np.linspace(-1, 1, 50))
    write_deltalake(
        environment.warehouse / BODIES,
        pa.table({"person": people, "known_at": times, "height_cm": label.cast(pa.float64()), "noise": noise}),
        mode="append",
    )
    labels = pa.table({"person": people, "at": times, "label": label})
    write_deltalake(environment.warehouse / "gold/labels", labels, mode="append")
    gate = replace(gate, use_case=changed(**RENAMED))
    decision = train_challenger(gate, environment, signal="height_cm").evaluate()
    (rows,) = [each for each in decision.reasons if each.criterion == "holdout rows"]
    assert rows.found == "85, 50 without the champion's features"
    assert decision.reasons[0].required.startswith("85 ")


def test_a_champion_whose_features_are_gone_is_replaced_only_with_an_approval(
    gate: Gate, environment: Environment
) -> None:
    rename_height(environment)
    keep = set(DeltaTable(environment.warehouse / BODIES).file_uris())
    for file in (environment.warehouse / BODIES).glob("*.parquet"):
        if str(file) not in keep:
            file.unlink()  # as VACUUM does
    gate = replace(gate, use_case=changed(**RENAMED))
    train_challenger(gate, environment, signal="height_cm").approve(5, "its report looks good")
    decision = gate.promote()
    (lacking,) = [each for each in decision.reasons if not each.passed]
    assert lacking.criterion == "comparison with version 2"
    assert "version 2 cannot be compared: " in lacking.found
    assert lacking.found.endswith("; no approval"), "an approval before a verdict named this does not count"
    assert not gate.promote().promote
    assert (decision.champion, decision.lacks_only_approval) == (2, True)
    gate.approve(5, "the feature was renamed, and both were compared on old rows")
    assert gate.promote().promote
    require_consistent(gate, 5)
    assert gate.rollback(None, "complaints") == 2, "a version that answers its golden request can always come back"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda model: replace(model, task=MULTICLASS), "its task is multiclass"),
        (lambda model: replace(model, classes=(0, 1, 2)), "it predicts labels that no longer exist: 2"),
    ],
    ids=["another task", "a label that is gone"],
)
def test_a_champion_of_other_labels_cannot_be_compared(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], problem: str
) -> None:
    load = LoadedVersion.load

    def loaded(version: Any) -> LoadedVersion:
        found = load(version)
        if int(version.version) != 2:
            return found
        return replace(found, scorer=replace(found.scorer, response_format=change(found.scorer.response_format)))

    monkeypatch.setattr(LoadedVersion, "load", loaded)
    (lacking,) = [each for each in gate.evaluate().reasons if not each.passed]
    assert problem in lacking.found
