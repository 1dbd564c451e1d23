"""The champion on the new version's holdout."""

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
class Rival:
    """The champion when the version was trained.

    Attributes:
        version: its number.
        outcomes: what it says about the holdout; None where it cannot be asked.
        remark: why it cannot be asked, or what makes the comparison unfair; empty where it is fair.
    """

    version: str
    outcomes: ScoredRows | None
    remark: str = ""


def find(client: MlflowClient, name: str, holdout: TrainingFrame, pinned: Provenance) -> Rival | None:
    """The champion of that name, asked about the holdout; None where none is crowned."""
    champion = version_of(client, name, CHAMPION)
    return None if champion is None else _asked(champion, holdout, pinned)


def _asked(champion: ModelVersion, holdout: TrainingFrame, pinned: Provenance) -> Rival:
    version = str(champion.version)
    try:
        model = mlflow.pyfunc.load_model(f"models:/{champion.name}/{version}").unwrap_python_model()
    except (MlflowException, LakehouseError, OSError) as err:
        return Rival(version, None, f"It could not be loaded: {err}")
    if not isinstance(model, ScoringModel):
        return Rival(version, None, f"It is a {type(model).__name__} and no scoring model of this project.")
    if missing := sorted(set(model.scorer.encoder.features) - set(holdout.features)):
        return Rival(version, None, f"It needs features that this version's tables lack: {', '.join(missing)}.")
    outcomes = ScoredRows(holdout.y, model.scorer.predicted(holdout.features), model.scorer.answering.threshold)
    return Rival(version, outcomes, _unfair(champion, pinned))


def _unfair(champion: ModelVersion, pinned: Provenance) -> str:
    try:
        seen = Provenance.of_tags(champion.tags)
    except NoProvenance as err:
        return f"Nobody knows which rows it was trained on ({err}): it may have seen these."
    if not seen.saw(pinned):
        return ""
    return f"It was trained on rows up to {seen.last:%Y-%m-%d}, and may have seen a part of this holdout."
