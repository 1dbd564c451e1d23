"""Holdouts in memory and predictions of models of a given strength, for tests of decisions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deployment.gate.criteria import comparison
from deployment.gate.criteria.decide import decide
from deployment.gate.criteria.decision import Decision, GateState, HoldoutRows, Measurements, ModelInput, Scores
from lakehouse.arrays import Floats
from scoring.tasks import TASKS
from training.evaluation.metrics import METRICS, Targets
from training.use_case.promotion import PromotionCriteria

HASH, OTHER_HASH = "a" * 64, "b" * 64
INPUTS = {"age": ModelInput("double", required=True), "job": ModelInput("string", required=False)}
MEASURED = Measurements(p99_ms=1.5, size_mb=0.2, inputs=INPUTS)

# Even the worst value of each metric reaches it.
LOWEST = {name: -1e9 if metric.greater_is_better else 1e9 for name, metric in METRICS.items()}


def labels(seed: int, rows: int = 120) -> npt.NDArray[np.int64]:
    """Balanced labels."""
    return np.random.default_rng(seed).permutation(np.arange(rows) % 2)


def simulated(y: Targets, signal: float, seed: int, noise: float = 1.0) -> Floats:
    """Probabilities that follow the labels with this signal; a negative one reverses them."""
    drawn = np.random.default_rng(seed).normal(0, noise, len(y))
    return np.asarray(1 / (1 + np.exp(-(y - 0.5) * signal - drawn)), dtype=np.float64)


def scores(
    version: int, predicted: Floats, holdout: str = HASH, measured: Measurements = MEASURED, threshold: float = 0.5
) -> Scores:
    return Scores(version, holdout, predicted, measured, threshold)


def policy(metric: str = "roc_auc", minimum: float | None = None, **changes: Any) -> PromotionCriteria:
    """A policy whose default minimum every version reaches."""
    least = LOWEST[metric] if minimum is None else minimum
    return PromotionCriteria.model_validate(
        {"metric": metric, "minimum": least, "margin": 0.005, "min_rows": 1} | changes
    )


def judged(
    y: Targets,
    new: Floats | Scores,
    old: Floats | Scores | None,
    rule: PromotionCriteria,
    *,
    task: str = "binary",
    slices: Mapping[str, npt.NDArray[Any]] | None = None,
    approved: str = "",
    frozen: str = "",
) -> Decision:
    """The decision about version 2 against version 1."""
    challenger = new if isinstance(new, Scores) else scores(2, new)
    champion = old if isinstance(old, Scores) or old is None else scores(1, old)
    rows = HoldoutRows(TASKS[task], HASH, y, slices or {})
    return decide(rows, challenger, champion, rule, GateState(2, None if old is None else 1, approved, frozen))


def failed(decision: Decision) -> list[str]:
    return [reason.criterion for reason in decision.reasons if not reason.passed]


def measured(**changed: Any) -> Measurements:
    return replace(MEASURED, **changed)


def few_draws(draws: int = 40) -> Any:
    """Patch the count of bootstrap draws: tests need fewer, in a fraction of the time."""
    from pytest import MonkeyPatch

    patch = MonkeyPatch()
    patch.setattr(comparison, "DRAWS", draws)
    return patch


LABELS = (np.random.default_rng(5).random(400) < 0.4).astype(np.int64)
GOOD, WEAK = (simulated(LABELS, signal, seed) for signal, seed in ((4.0, 1), (0.5, 2)))
