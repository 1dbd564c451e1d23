"""Predictions of the champion on the holdout of the new version."""

from dataclasses import dataclass

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from lakehouse.errors import LakehouseError
from scoring.pyfunc import ScoringModel
from training.evaluation.weighted_metrics import ScoredRows
from training.frame.frame import TrainingFrame
from training.frame.provenance import NoProvenance, Provenance
from training.registry.versions import CHAMPION, version_of


@dataclass(frozen=True)
class ChampionOutcomes:
    """The champion when the version was trained.

    Attributes:
        version: its number.
        outcomes: predictions on the holdout; None if it cannot predict them.
        remark: why it cannot predict, or why the comparison is unfair; empty if the comparison is fair.
    """

    version: str
    outcomes: ScoredRows | None
    remark: str = ""


def score_champion(
    client: MlflowClient, name: str, holdout: TrainingFrame, pinned: Provenance
) -> ChampionOutcomes | None:
    """Score the holdout with the champion of that name; None without a champion."""
    champion = version_of(client, name, CHAMPION)
    return None if champion is None else _outcomes(champion, holdout, pinned)


def _outcomes(champion: ModelVersion, holdout: TrainingFrame, pinned: Provenance) -> ChampionOutcomes:
    version = str(champion.version)
    try:
        model = mlflow.pyfunc.load_model(f"models:/{champion.name}/{version}").unwrap_python_model()
    except (MlflowException, LakehouseError, OSError) as err:
        return ChampionOutcomes(version, None, f"it could not be loaded: {err}")
    if not isinstance(model, ScoringModel):
        return ChampionOutcomes(version, None, f"it is a {type(model).__name__}, not a scoring model of this project")
    if missing := sorted(set(model.scorer.encoder.features) - set(holdout.features)):
        return ChampionOutcomes(
            version, None, f"it needs features that this version's tables lack: {', '.join(missing)}"
        )
    predicted, threshold = holdout.score(model.scorer), model.scorer.response_format.threshold
    outcomes = ScoredRows(holdout.y, predicted, threshold, holdout.dependence)
    return ChampionOutcomes(version, outcomes, _unfairness(champion, pinned))


def _unfairness(champion: ModelVersion, pinned: Provenance) -> str:
    try:
        trained_on = Provenance.from_tags(champion.tags)
    except NoProvenance as err:
        return f"its training rows are unknown ({err}), so it may have seen this holdout"
    if not trained_on.overlaps_holdout(pinned):
        return ""
    return f"it was trained on rows up to {trained_on.last:%Y-%m-%d}, so it may have seen a part of this holdout"
