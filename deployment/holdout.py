"""The rows that challenger and champion are judged on: pinned when the challenger was trained, built again now."""

from dataclasses import dataclass

import mlflow
from mlflow.entities.model_registry import ModelVersion

from deployment.promotion import Scores
from lakehouse.errors import LakehouseError
from training.dataset import load_frame
from training.feature_store import FeatureStore
from training.frame import TrainingFrame
from training.provenance import NoProvenance, Provenance
from training.pyfunc import ScoringModel
from training.scoring import Scorer
from training.splitting import split
from training.use_case import UseCase


class HoldoutRefused(LakehouseError):
    """The challenger and the champion cannot be compared fairly."""

    @classmethod
    def changed(cls, version: str, expected: str, found: str) -> "HoldoutRefused":
        return cls(
            f"the holdout of version {version} has changed: its rows hash to {found[:12]}, not {expected[:12]}",
            hint="Train again on the tables as they are: python -m training.run --use-case ...",
        )

    @classmethod
    def seen(cls, champion: str, until: str, start: str) -> "HoldoutRefused":
        return cls(
            f"the champion, version {champion}, was trained on rows up to {until}, "
            f"and the challenger's holdout begins at {start}",
            hint="Train a challenger on newer data, so that neither has seen the holdout.",
        )

    @classmethod
    def no_scorer(cls, version: str, found: object) -> "HoldoutRefused":
        return cls(
            f"version {version} is a {type(found).__name__} and no scoring model of this project",
            hint="Train a version: python -m training.run --use-case ...",
        )


@dataclass(frozen=True)
class Holdout:
    """Pinned rows and their hash."""

    rows: TrainingFrame
    fingerprint: str


def rebuild(use_case: UseCase, challenger: ModelVersion, store: FeatureStore) -> Holdout:
    """The challenger's holdout from the Delta versions it was cut from.

    Raises:
        HoldoutRefused: the rows are not the same any more.
    """
    pinned = _provenance(challenger)
    frame = load_frame(use_case, store, pinned.sources)
    rows = split(frame, use_case.split).holdout
    fingerprint = rows.fingerprint()
    if fingerprint != pinned.holdout_fingerprint:
        raise HoldoutRefused.changed(str(challenger.version), pinned.holdout_fingerprint, fingerprint)
    return Holdout(rows, fingerprint)


def require_unseen(champion: ModelVersion, challenger: ModelVersion) -> None:
    """Refuse a holdout that the champion was trained on.

    Raises:
        HoldoutRefused: the champion's training reaches into it.
    """
    seen, pinned = _provenance(champion), _provenance(challenger)
    if seen.saw(pinned):
        raise HoldoutRefused.seen(str(champion.version), seen.last.isoformat(), pinned.holdout_from.isoformat())


def score(version: ModelVersion, holdout: Holdout) -> Scores:
    """What the version says about the rows."""
    probabilities = load_scorer(version).predicted(holdout.rows.features)
    return Scores(int(version.version), holdout.fingerprint, probabilities)


def load_scorer(version: ModelVersion) -> Scorer:
    """The scorer of a registered version, from the registry.

    Raises:
        HoldoutRefused: it is a model of another kind.
    """
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}").unwrap_python_model()
    if not isinstance(model, ScoringModel):
        raise HoldoutRefused.no_scorer(str(version.version), model)
    return model.scorer


def _provenance(version: ModelVersion) -> Provenance:
    try:
        return Provenance.of_tags(version.tags)
    except NoProvenance as err:
        raise HoldoutRefused(
            f"version {version.version} was not registered by this project: {err}",
            hint="Train a version: python -m training.run --use-case ...",
        ) from err
