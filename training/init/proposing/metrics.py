"""Metrics of the search and of the gate, by the task and the shares of the classes."""

from dataclasses import dataclass

from training.init.proposing.target import Target

_RARE = 0.2  # of the share that a class has if all have the same
_ABOVE = 0.01  # the least value is this much better than a model without features


@dataclass(frozen=True)
class ProposedMetrics:
    """Metrics of a proposal.

    Attributes:
        search: metric of the search.
        promotion: metric of the gate.
        minimum: least value of the gate's metric.
        why: reason of metric and minimum.
    """

    search: str
    promotion: str
    minimum: float
    why: str


def metrics_of(target: Target) -> ProposedMetrics:
    """Metrics of a target; a rare class gets one that it can change.

    With 1 of 100 rows in a class, a model that never predicts it has an accuracy of 0.99, and a high ROC AUC says
    little about the rows that it finds.
    """
    if not target.task.predicts_classes:
        return ProposedMetrics("mse", "r2", 0.05, "0 is the mean of the labels.")
    counts = {str(value): count for value, count in target.profile.values}
    rows = sum(counts.values())
    rarest, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
    is_rare = fewest / rows < _RARE / len(counts)
    largest = max(counts.values()) / rows
    if not target.classes:
        return _of_binary(target, rows)
    if not is_rare:
        why = f"{largest:.2f} of the rows are of one class."
        return ProposedMetrics("log_loss", "accuracy", _above(largest), why)
    chance = 2 * largest / (1 + largest) / len(counts)
    why = (
        f"only {_percent(fewest / rows)} of the rows are {rarest}, which accuracy hardly shows; macro F1 counts "
        f"every class alike, and is {chance:.2f} without features."
    )
    return ProposedMetrics("log_loss", "macro_f1", _above(chance), why)


def _of_binary(target: Target, rows: int) -> ProposedMetrics:
    share = next(count for value, count in target.profile.values if value == target.positive) / rows
    if share >= _RARE / 2:
        return ProposedMetrics("roc_auc", "roc_auc", 0.55, "0.5 is chance.")
    why = (
        f"only {_percent(share)} of the rows are {target.positive_word}; average precision is about these rows, and "
        f"is {share:.3f} without features."
    )
    return ProposedMetrics("average_precision", "average_precision", min(round(1.2 * share + 0.001, 3), 0.99), why)


def _above(value: float) -> float:
    return min(round(value + _ABOVE, 2), 0.99)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"{share:.3%}"
