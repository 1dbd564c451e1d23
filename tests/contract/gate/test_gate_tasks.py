"""The gate with registered multiclass and regression versions: better ones are promoted, worse ones rejected."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient
from sklearn.metrics import log_loss

from deployment.gate.criteria.decision import Decision
from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from lakehouse.tables.warehouse import Warehouse
from scoring.estimators.blend import Blend
from scoring.scorer import Scorer
from tests.contract.people import NAME, PARAMS, USE_CASE, Environment, mlflow_restored
from training.frame import splits
from training.frame.build import load_frame
from training.frame.frame import TrainingFrame
from training.frame.provenance import provenance
from training.registry.registration import register_version
from training.registry.versions import newest_version
from training.search.fitting import fit
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase

RIDGE = Candidate("ridge", {"alpha": 1.0, "numeric_shape": "as_is", "recency_half_life_days": None})
LOGISTIC = Candidate("logistic_regression", PARAMS)
SHUFFLED, NAMED = ["tall", "small", "medium"], ["small", "medium", "tall"]


def use_case(task: str, label: str, promotion: Mapping[str, Any], **labels: object) -> UseCase:
    said = USE_CASE.model_dump()
    said |= {
        "task": task,
        "labels": {"table": "gold.sizes", "entity": "person", "timestamp": "at", "column": label, **labels},
        "search": {"families": ["ridge" if task == "regression" else "logistic_regression"], "metric": "log_loss"},
        "promotion": {"margin": 0.02, **promotion},
        "serving": {"endpoint": NAME},
    }
    if task == "regression":
        said["search"] |= {"metric": "rmse"}
    return UseCase.model_validate(said)


@dataclass(frozen=True)
class Trainer:
    """Registers versions trained with a share of wrong labels, and runs the gate on each."""

    place: Environment
    client: MlflowClient

    def gate(self, case: UseCase) -> Gate:
        return Gate(case, self.client, self.place.store, Ledger(FolderLedger(Warehouse(self.place.warehouse))))

    def judge(self, case: UseCase, muddled: float, made: Callable[[TrainingFrame], Scorer]) -> Decision:
        split = splits.split(load_frame(case, self.place.store()), case.split)
        draw = np.random.default_rng(2)
        wrong = draw.random(len(split.training)) < muddled
        learned = replace(split.training, y=np.where(wrong, draw.permutation(split.training.y), split.training.y))
        candidate = RIDGE if case.task == "regression" else LOGISTIC
        trial = Trial(1, candidate, {case.search.metric: 0.0}, ({},), timedelta(0))
        data = provenance(split, case.split, newest_version(self.client, NAME))
        with mlflow.start_run(experiment_id=experiment_id(self.client, self.place.settings, NAME)):
            register_version(MlflowClient(), case, made(learned), SearchResult((trial,), "complete"), data, {})
        return self.gate(case).promote()


@pytest.fixture
def trainer(template: Environment, tmp_path: Path) -> Iterator[Trainer]:
    warehouse = template.copied(tmp_path).warehouse
    people = DeltaTable(warehouse / "gold/labels").to_pyarrow_table().sort_by("person")
    bodies = DeltaTable(warehouse / "gold/bodies").to_pyarrow_table().sort_by("person")
    size = np.asarray(bodies["height"]) + np.random.default_rng(7).normal(0, 0.2, len(people))
    kinds = np.asarray(NAMED)[np.digitize(size, np.quantile(size, [1 / 3, 2 / 3]))]
    sizes = pa.table({"person": people["person"], "at": people["at"], "size": size, "kind": kinds})
    write_deltalake(warehouse / "gold/sizes", sizes)
    with registry(Environment(warehouse, tmp_path / "new.db")) as found:
        yield found


@contextmanager
def registry(place: Environment) -> Iterator[Trainer]:
    with mlflow_restored(), tracking(place.settings) as client:
        yield Trainer(place, client)


def failed(decision: Decision) -> list[str]:
    return [reason.criterion for reason in decision.reasons if not reason.passed]


def test_better_regression_blend_is_promoted_and_worse_version_rejected(trainer: Trainer) -> None:
    case = use_case("regression", "size", {"metric": "r2", "minimum": 0.1, "guards": {"max_size_mb": 50}})

    def single(frame: TrainingFrame) -> Scorer:
        return Scorer(fit(RIDGE, frame, 0), frame.encoder, case.response_format)

    def blend(frame: TrainingFrame) -> Scorer:
        members = [fit(RIDGE, frame, seed) for seed in range(2)]
        return Scorer(
            Blend("regression", members, ["sparse", "sparse"], [0.5, 0.5], {}),
            frame.encoder,
            case.response_format,
            matrix_format="dense",
        )

    assert trainer.judge(case, 0.5, single).promote
    better = trainer.judge(case, 0.0, blend)
    assert (better.promote, better.champion) == (True, 1)
    assert failed(trainer.judge(case, 0.6, single)) == ["gain in r2 over version 2"]


def test_multiclass_champion_is_compared_by_class_names_in_any_order(trainer: Trainer) -> None:
    promotion = {"metric": "log_loss", "minimum": 1.2, "guards": {"max_changed_decisions": 0.99}}
    before, after = (use_case("multiclass", "kind", promotion, classes=order) for order in (SHUFFLED, NAMED))

    def made(frame: TrainingFrame) -> Scorer:
        case = before if frame.classes == before.classes else after
        return Scorer(fit(LOGISTIC, frame, 0), frame.encoder, case.response_format)

    assert trainer.judge(before, 0.0, made).promote
    worse = trainer.judge(after, 0.6, made)
    assert failed(worse) == ["gain in log_loss over version 1"]
    rows = splits.split(load_frame(before, trainer.place.store()), before.split).holdout
    champion = mlflow.pyfunc.load_model(f"models:/{NAME}/1").unwrap_python_model().scorer
    expected = log_loss(rows.y, champion.predict(rows.features), labels=range(3))
    gain = next(reason for reason in worse.reasons if reason.criterion.startswith("gain"))
    assert gain.values["version 1"] == pytest.approx(expected)
