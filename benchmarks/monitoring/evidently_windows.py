"""Drift of windows by Evidently's default tests and rule, as a script for an environment that has it.

For more than 1,000 reference rows its defaults are Wasserstein distances above 0.1 standard deviations for
numbers, and Jensen-Shannon distances above 0.1 for categories. A window drifts if half of its columns do. The tests
are called one by one: a report of a window takes more than a second. One window is compared with a whole report.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found]  # a separate environment
from evidently.legacy.calculations.stattests import (  # type: ignore[import-not-found]
    jensenshannon_stat_test,
    wasserstein_stat_test,
)
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

warnings.filterwarnings("ignore")
THRESHOLD = 0.1


def frame(numbers: np.ndarray, categories: np.ndarray) -> pd.DataFrame:
    """A sample as a frame; categories are texts."""
    columns = {f"n{at}": numbers[:, at] for at in range(numbers.shape[1])}
    return pd.DataFrame(columns | {f"c{at}": categories[:, at].astype(str) for at in range(categories.shape[1])})


def drifted(reference: pd.DataFrame, window: pd.DataFrame) -> list[bool]:
    """True for each column with drift."""
    found = []
    for name in map(str, reference):
        is_number = name.startswith("n")
        test = wasserstein_stat_test if is_number else jensenshannon_stat_test
        score, _ = test.func(reference[name], window[name], "num" if is_number else "cat", THRESHOLD)
        found.append(bool(score >= THRESHOLD))
    return found


def share_in_report(reference: pd.DataFrame, window: pd.DataFrame) -> float:
    """Share of drifted columns in a whole report."""
    numbers = [name for name in map(str, reference) if name.startswith("n")]
    categories = [name for name in map(str, reference) if name.startswith("c")]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    sets = [Dataset.from_pandas(each, data_definition=definition) for each in (window, reference)]
    metrics = Report([DataDriftPreset()]).run(*sets).dict()["metrics"]
    return float(metrics[0]["value"]["share"])


results = []
for number, path in enumerate(sys.argv[1:]):
    with np.load(path) as arrays:
        reference = frame(arrays["reference_numbers"], arrays["reference_categories"])
        windows = [frame(*pair) for pair in zip(arrays["numbers"], arrays["categories"], strict=True)]
    columns = [drifted(reference, window) for window in windows]
    if number == 0 and share_in_report(reference, windows[-1]) != float(np.mean(columns[-1])):
        sys.exit("a report of Evidently says something else than its tests")
    results.append([[any(each), float(np.mean(each)) >= 0.5] for each in columns])
print(json.dumps(results))
