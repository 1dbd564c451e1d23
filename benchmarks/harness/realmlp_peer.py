"""RealMLP of pytabkit on the rows of a folder; a script for an environment that has it but not this project."""

import json
import sys
from pathlib import Path
from time import process_time, process_time_ns

import numpy as np
import pandas as pd
from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor  # type: ignore[import-not-found]

folder, task, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
train, test = pd.read_parquet(folder / "train.parquet"), pd.read_parquet(folder / "test.parquet")
y, x = train["target"].to_numpy(), train.drop(columns="target")
categories = [column for column in x if not pd.api.types.is_numeric_dtype(x[column])]
shared = {"device": "cpu", "random_state": seed, "n_cv": 1, "n_refit": 1, "n_threads": 1}
if task == "regression":
    model = RealMLP_TD_Regressor(**shared)
else:  # what its documentation advises for metrics of probabilities
    model = RealMLP_TD_Classifier(val_metric_name="cross_entropy", use_ls=False, **shared)

began = process_time()
model.fit(x, y, val_idxs=np.load(folder / "validation.npy"), cat_col_names=categories)
seconds = process_time() - began


def predict(rows: pd.DataFrame) -> np.ndarray:
    """Predictions, as this project writes them."""
    if task == "regression":
        return np.asarray(model.predict(rows), dtype=np.float64)
    found = np.asarray(model.predict_proba(rows), dtype=np.float64)
    found /= found.sum(axis=1, keepdims=True)
    return found[:, 1] if task == "binary" else found


np.save(folder / "predicted.npy", predict(test))
durations = []
for place in range(30):
    start = process_time_ns()
    predict(test.iloc[place : place + 1])
    durations.append(process_time_ns() - start)
print(json.dumps({"seconds": seconds, "microseconds": float(np.median(durations[10:])) / 1e3}))
