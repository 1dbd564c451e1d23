"""Search by FLAML, as a script for a separate environment that has FLAML but not this project."""

import json
import sys
import warnings

import numpy as np
from flaml import AutoML  # type: ignore[import-not-found]  # installed in a separate environment
from scipy import sparse

warnings.filterwarnings("ignore")
folder, seconds = sys.argv[1], float(sys.argv[2])
folds, seed, jobs = map(int, sys.argv[3:6])
labels = np.load(f"{folder}/labels.npy")
automl = AutoML()
automl.fit(
    sparse.load_npz(f"{folder}/training.npz"),
    labels,
    task="classification",
    metric="roc_auc",
    time_budget=seconds,
    eval_method="cv",
    split_type="time",
    n_splits=folds,
    n_jobs=jobs,
    seed=seed,
    verbose=0,
    log_file_name=f"{folder}/flaml.log",
    log_type="all",
)
with open(f"{folder}/flaml.log", encoding="utf-8") as log:  # noqa: PTH123  (no pathlib in this script)
    trials = [line for line in map(json.loads, log) if "validation_loss" in line]
predictions = automl.predict_proba(sparse.load_npz(f"{folder}/holdout.npz"))[:, 1]
print(
    json.dumps(
        {
            "trials": [[line["wall_clock_time"], 1 - line["validation_loss"]] for line in trials],
            "holdout": predictions.tolist(),
        }
    )
)
