"""Limits of promotion that no value can violate, or that none can meet: they would guard nothing, or block all."""

from collections.abc import Iterator

from lakehouse.wording import format_number
from training.evaluation.metrics import METRICS
from training.use_case.monitoring import parse_share
from training.use_case.promotion import PromotionCriteria


def limits_without_effect(criteria: PromotionCriteria) -> Iterator[str]:
    """Describe each limit that every version meets, or that none can.

    >>> list(limits_without_effect(PromotionCriteria(minimum=0.6, margin=1.0)))
    ['margin is 1: a gain in roc_auc is at least -1, so every version meets it']
    >>> list(limits_without_effect(PromotionCriteria(metric="rmse", minimum=-1)))
    ['minimum is -1: rmse is at least 0, so no version meets it']
    """
    name, metric = criteria.metric, METRICS[criteria.metric]
    (lowest, highest), minimum = metric.bounds, criteria.minimum
    width = highest - lowest
    widest, margin = format_number(width), format_number(criteria.margin)
    worst, best = (lowest, highest) if metric.greater_is_better else (highest, lowest)
    bound = {
        lowest: f"{name} is at least {format_number(lowest)}",
        highest: f"{name} is at most {format_number(highest)}",
    }
    if metric.gain(worst, over=minimum) >= 0:
        yield f"minimum is {format_number(minimum)}: {bound[worst]}, so every version meets it"
    if metric.gain(best, over=minimum) < 0:
        yield f"minimum is {format_number(minimum)}: {bound[best]}, so no version meets it"
    if criteria.margin >= width:
        if criteria.test == "superiority":
            yield f"margin is {margin}: a gain in {name} is at most {widest}, so no version meets it"
        else:
            yield f"margin is {margin}: a gain in {name} is at least -{widest}, so every version meets it"
    guards = criteria.guards
    if guards.slices and guards.max_slice_drop >= width:
        yield (
            f"guards.max_slice_drop is {format_number(guards.max_slice_drop)}: {name} drops by at most {widest},"
            " so every version meets it"
        )
    for limit in ("max_calibration_error", "max_changed_decisions"):
        if getattr(guards, limit) == 1:
            yield f"guards.{limit} is 1: it is at most 1, so every version meets it; use a lower limit, or none"


def drop_without_effect(max_drop: float | str | None, name: str) -> str | None:
    """Describe an accepted loss of a metric that no window can exceed; None for one that guards something.

    >>> drop_without_effect(5, "roc_auc")
    'max_drop is 5: roc_auc drops by at most 1, so no window exceeds it. A share of its value on the holdout: 5%'
    """
    metric = METRICS[name]
    lowest, highest = metric.bounds
    if isinstance(max_drop, str):
        if metric.greater_is_better and lowest >= 0 and parse_share(max_drop) >= 1:
            return f"max_drop is {max_drop}: {name} drops by less than its value, so no window exceeds it"
    elif max_drop is not None and max_drop > highest - lowest:
        number, width = format_number(max_drop), format_number(highest - lowest)
        return (
            f"max_drop is {number}: {name} drops by at most {width}, so no window exceeds it. "
            f"A share of its value on the holdout: {number}%"
        )
    return None
