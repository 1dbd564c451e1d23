"""FLAML or AutoGluon on one split of a set; a script for an environment that has the peer but not this project."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
peer, folder, task, metric = sys.argv[1:5]
seconds, jobs, seed = float(sys.argv[5]), int(sys.argv[6]), int(sys.argv[7])
train = pd.read_parquet(Path(folder) / "train.parquet")
test = pd.read_parquet(Path(folder) / "test.parquet")
categories = [column for column in test if not pd.api.types.is_numeric_dtype(test[column])]
for column in categories:
    known = sorted(set(train[column].dropna()))
    train[column] = pd.Categorical(train[column], categories=known)
    test[column] = pd.Categorical(test[column], categories=known)

if peer == "flaml":
    from flaml import AutoML  # type: ignore[import-not-found]  # installed in a separate environment

    model = AutoML()
    model.fit(
        train.drop(columns="target"),
        train["target"],
        task="regression" if task == "regression" else "classification",
        metric=metric,
        time_budget=seconds,
        n_jobs=jobs,
        seed=seed,
        ensemble=True,
        verbose=0,
    )
    predicted = model.predict(test) if task == "regression" else model.predict_proba(test)
else:
    from autogluon.tabular import TabularPredictor  # type: ignore[import-not-found]  # as above

    names = {"rmse": "root_mean_squared_error"}
    model = TabularPredictor(
        "target", problem_type=task, eval_metric=names.get(metric, metric), path=f"{folder}/autogluon", verbosity=0
    )
    model.fit(
        train,
        time_limit=seconds,
        presets="best_quality",
        num_cpus=jobs,
        excluded_model_types=["NN_TORCH", "FASTAI"],
        dynamic_stacking=False,
    )
    predicted = model.predict(test) if task == "regression" else model.predict_proba(test)[sorted(model.class_labels)]

np.save(Path(folder) / "predicted.npy", np.asarray(predicted, dtype=np.float64))
print(json.dumps({"peer": peer}))
