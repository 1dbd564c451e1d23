"""One self-contained page per version: how it was found, how good it is, what it was made from."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
import mlflow
import numpy as np
from markupsafe import Markup
from mlflow.entities.model_registry import ModelVersion
from sklearn.model_selection import StratifiedKFold

from lakehouse.settings import Settings
from training import figures
from training.dataset import Fold, Split
from training.evaluation import evaluate
from training.registry import Provenance
from training.scoring import Scorer
from training.search.trial import Trial, best, run_trial
from training.use_case import UseCase

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)


def publish(page: str, version: ModelVersion, settings: Settings) -> Path:
    """Write the page below `reports/` and log it to the active run; where it lies."""
    path = settings.reports / version.name / f"version-{version.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    mlflow.log_artifact(str(path), "report")
    return path


def render(use_case: UseCase, trials: Sequence[Trial], scorer: Scorer, data: Split, version: ModelVersion) -> str:
    """The page as HTML."""
    metric = use_case.search.metric
    winner = best(trials, metric)
    labels, probabilities = data.holdout.y, scorer.probabilities(data.holdout.features)
    drawn = {
        f"{metric} of each trial, mean of the folds": figures.search_history(trials, metric),
        "ROC curve on the holdout": figures.roc(labels, probabilities),
        "Precision and recall on the holdout": figures.precision_recall(labels, probabilities),
        "Calibration on the holdout": figures.calibration(labels, probabilities),
    }
    return TEMPLATES.get_template("report.html.j2").render(
        use_case=use_case,
        version=version.version,
        description=version.description,
        metric=metric,
        winner=winner,
        leaderboard=sorted(trials, key=lambda trial: (trial.loss(metric), trial.number)),
        holdout=evaluate(labels, probabilities, use_case.serving.threshold),
        random_split=on_random_folds(use_case, winner, data),
        data=Provenance.of_tags(version.tags),
        # Our own drawings; everything else is escaped.
        figures={caption: Markup(svg) for caption, svg in drawn.items()},  # noqa: S704
    )


def on_random_folds(use_case: UseCase, winner: Trial, data: Split) -> float:
    """The winner's metric on folds drawn at random: what a split that ignores time would have promised."""
    frame, seed = data.training, use_case.search.seed
    drawn = StratifiedKFold(use_case.split.folds + 1, shuffle=True, random_state=seed).split(frame.x, frame.y)
    folds = [Fold(frame.rows(np.sort(fit)), frame.rows(np.sort(validate))) for fit, validate in drawn]
    trial = run_trial(winner.number, winner.candidate, folds, seed, use_case.serving.threshold)
    return trial.metrics[use_case.search.metric]
