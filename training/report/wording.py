"""How the page says what several sections show."""

from training.evaluation.bootstrap import Interval


def shown(value: float, sign: str = "") -> str:
    """A measured number: four digits after the point, of larger numbers fewer.

    >>> shown(0.58253), shown(81.2389, "+"), shown(6605.0437)
    ('0.5825', '+81.24', '6,605')
    """
    size = abs(value)
    return format(value, f"{sign},.{4 if size < 10 else 2 if size < 1000 else 0}f")


VALIDATION = "validation folds"
HOLDOUT = "holdout"
NAMES = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "macro_f1": "macro F1",
    "mse": "MSE",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}


def said(metric: str) -> str:
    """A metric's name as a sentence has it.

    >>> said("average_precision")
    'average precision'
    """
    return NAMES.get(metric, metric.replace("_", " "))


def bounds(interval: Interval, sign: str = "") -> str:
    """The bounds as a range."""
    return f"{shown(interval.low, sign)} to {shown(interval.high, sign)}"


def value(params_value: object) -> str:
    """A hyperparameter's value, short.

    >>> value(0.00230612), value(None), value(12)
    ('0.002306', 'none', '12')
    """
    if params_value is None:
        return "none"
    return f"{params_value:.4g}" if isinstance(params_value, float) else str(params_value)
