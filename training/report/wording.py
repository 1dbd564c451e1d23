"""Formats and names shared by the sections of the page."""

from math import isfinite

from training.evaluation.bootstrap import Interval


def format_number(value: float, sign: str = "") -> str:
    """Format a number with four decimals; larger numbers have fewer.

    >>> format_number(0.58253), format_number(81.2389, "+"), format_number(6605.0437)
    ('0.5825', '+81.24', '6,605')
    """
    size = abs(value)
    return format(value, f"{sign},.{4 if size < 10 else 2 if size < 1000 else 0}f")


VALIDATION = "validation folds"
HOLDOUT = "holdout"
METRIC_NAMES = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "macro_f1": "macro F1",
    "mse": "MSE",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "mase": "MASE",
    "smape": "sMAPE",
    "pinball": "pinball loss",
}


def metric_name(metric: str) -> str:
    """Format the name of a metric for a sentence.

    >>> metric_name("average_precision")
    'average precision'
    """
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def format_bounds(interval: Interval, sign: str = "") -> str:
    """Format the bounds of an interval as a range; a dash if there is none.

    >>> from math import nan
    >>> format_bounds(Interval(0.5, 0.4, 0.625), "+"), format_bounds(Interval(0.5, nan, nan))
    ('+0.4000 to +0.6250', '-')
    """
    if not isfinite(interval.low + interval.high):
        return "-"
    return f"{format_number(interval.low, sign)} to {format_number(interval.high, sign)}"


def format_value(value: object) -> str:
    """Format the value of a hyperparameter.

    >>> format_value(0.00230612), format_value(None), format_value(12)
    ('0.002306', 'none', '12')
    """
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
