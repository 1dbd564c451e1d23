"""Columns that give the label away: they would be unknown at the time of a request."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from lakehouse.tables.scan import quoted
from lakehouse.wording import number_of
from training.init.proposing.profile import ColumnProfile
from training.init.proposing.target import Target

_ROWS = 20_000  # of the sample
_LEAST_ROWS = 40  # of the later part, on which a single column is measured
_SCORE = 0.98  # ROC AUC, balanced accuracy or R2 of a single column
_CRAMERS_V = 0.95
_AFTER = re.compile(
    r"(^|_)(duration|dauer|outcome|ergebnis|result|resultat|closed|cancel\w*|kuendig\w*|refund\w*|chargeback|resolved|"
    r"ended|ende|exit\w*|termination\w*|reason|grund|final\w*)(_|$)"
)


def find_leaks(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnProfile], target: Target, time: str | None
) -> dict[str, str]:
    """Reason of each column that gives the label away, by column.

    The columns are measured alone on a sample: fitted on its earlier part and scored on the later one, or on a random
    part where rows have no time.
    """
    names = [column.name for column in columns]
    needed = dict.fromkeys([*names, target.name, *([time] if time else [])])
    listed = ", ".join(quoted(name) for name in needed)
    order = quoted(time) if time else "hash(row_number)"
    rows = connection.execute(
        f"select {listed} from (select {listed}, row_number from rows where {quoted(target.name)} is not null "
        f"using sample reservoir({_ROWS} rows) repeatable (1)) order by {order}, row_number"
    ).df()
    label = _label(rows[target.name], target)
    reasons = dict(_late_dates(connection, columns, time))
    for column in columns:
        if column.name not in reasons and (reason := _reason(rows[column.name], label, column, target)):
            reasons[column.name] = reason
    return reasons


def named_like_an_outcome(column: str) -> bool:
    """Return True if the name suggests a value that is known only after the label.

    >>> named_like_an_outcome("call_duration"), named_like_an_outcome("age")
    (True, False)
    """
    return _AFTER.search(column) is not None


def _label(values: Any, target: Target) -> Any:
    """Labels as numbers: of a class its integer."""
    if target.positive is not None:
        return (values == target.positive).to_numpy(dtype=float)
    return pd.factorize(values)[0].astype(float) if target.task.predicts_classes else values.to_numpy(dtype=float)


def _late_dates(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnProfile], time: str | None
) -> Iterator[tuple[str, str]]:
    for column in columns if time else ():
        if column.is_time and column.name != time:
            date, label_date = (f"cast({quoted(name)} as date)" for name in (column.name, str(time)))
            late = connection.execute(f"select count(*) from rows where {date} > {label_date}").fetchone()
            if late and late[0]:
                yield (
                    column.name,
                    f"in {number_of('row', late[0])} it is after {time}, the time of the label",
                )


def _reason(values: Any, label: Any, column: ColumnProfile, target: Target) -> str:
    if target.task.predicts_classes:
        if reason := _filled_for_one_class(values, label, target):
            return reason
        if 2 <= column.distinct <= 50 and not column.is_time and (v := _cramers_v(values, label)) > _CRAMERS_V:
            return f"Cramér's V with the target is {v:.2f}"
    score, name = _alone(values, label, target)
    return f"alone it predicts the target with {name} {score:.3f}" if score > _SCORE else ""


def _filled_for_one_class(values: Any, label: Any, target: Target) -> str:
    filled = values.notna().to_numpy()
    if not 20 <= filled.sum() <= 0.9 * len(filled):
        return ""
    classes, counts = np.unique(label[filled], return_counts=True)
    share = counts.max() / counts.sum()
    usual = float((label == classes[counts.argmax()]).mean())
    if share < 0.99 or usual > 0.9:
        return ""
    which = target.positive_word if classes[counts.argmax()] == 1 and target.positive is not None else "one class"
    return f"filled only where the target is {which} ({share:.0%} of {counts.sum():,} filled rows)"


def _cramers_v(values: Any, label: Any) -> float:
    """Cramér's V of two categorical columns, with the correction of Bergsma for small samples."""
    table = pd.crosstab(values.astype(object).where(values.notna(), "missing").astype(str), label).to_numpy()
    n, (r, k) = table.sum(), table.shape
    if min(r, k) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = max(0.0, float(((table - expected) ** 2 / expected).sum()) / n - (k - 1) * (r - 1) / (n - 1))
    width = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(phi2 / width)) if width > 0 else 0.0


def _alone(values: Any, label: Any, target: Target) -> tuple[float, str]:
    """Score of a small tree on one column."""
    from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    cut = int(len(label) * 0.7)
    later = label[cut:]
    if len(later) < _LEAST_ROWS or len(np.unique(later)) < 2 or len(np.unique(label[:cut])) < 2:
        return 0.0, ""
    inputs = _inputs(values, label, cut)
    if target.task.has_threshold:
        model = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0).fit(inputs[:cut], label[:cut])
        return float(roc_auc_score(later, model.predict_proba(inputs[cut:])[:, -1])), "ROC AUC"
    if target.task.predicts_classes:
        model = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=0).fit(inputs[:cut], label[:cut])
        known = np.isin(later, model.classes_)
        score = balanced_accuracy_score(later[known], model.predict(inputs[cut:][known])) if known.any() else 0.0
        return float(score), "balanced accuracy"
    model = DecisionTreeRegressor(max_depth=8, min_samples_leaf=5, random_state=0).fit(inputs[:cut], label[:cut])
    return float(r2_score(later, model.predict(inputs[cut:]))), "R2"


def _inputs(values: Any, label: Any, cut: int) -> Any:
    """(rows, 2) the column as numbers, and 1 where it is missing; a category as the mean label of earlier rows."""
    missing = values.isna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(values):
        numbers = values.astype("int64").to_numpy(dtype=float)
    elif pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
    else:
        texts = values.astype(object).where(~missing, "").astype(str)
        earlier = pd.Series(label[:cut]).groupby(texts.iloc[:cut].to_numpy()).agg(["mean", "size"])
        prior = float(np.mean(label[:cut]))
        # A category of few rows would carry their own labels.
        smoothed = (earlier["mean"] * earlier["size"] + prior * 10) / (earlier["size"] + 10)
        numbers = texts.map(smoothed).fillna(prior).to_numpy(dtype=float)
    filled = np.where(missing | ~np.isfinite(numbers), 0.0, numbers)
    return np.column_stack([filled, missing.astype(float)])
