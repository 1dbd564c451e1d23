"""Writes the sets of `benchmarks.quality` as Parquet files; a script for an environment that has the packages."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

folder = Path(sys.argv[1])
chosen = json.loads(sys.argv[2])
MOST_ROWS = 20_000

for name, (package, source, target, dropped, above) in chosen.items():
    if package == "scikit-learn":
        frame = getattr(import_module("sklearn.datasets"), source)(as_frame=True).frame
        licence = "BSD 3-Clause of scikit-learn; the set as its documentation states"
    elif package == "statsmodels":
        module = import_module(f"statsmodels.datasets.{source}")
        frame, licence = module.load_pandas().data, " ".join(str(module.COPYRIGHT).split())
    else:
        frame, licence = getattr(import_module("plotnine.data"), source), "MIT of plotnine"
    frame = pd.DataFrame(frame.dropna(subset=[target]).drop(columns=dropped).reset_index(drop=True))
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0).reset_index(drop=True)
    labels = frame.pop(target)
    if above is not None:
        labels = (labels > above).astype(int)
    for column in frame:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            # As text, an index of a category is the same in every process.
            frame[column] = [None if pd.isna(value) else str(value) for value in frame[column]]
        else:
            frame[column] = frame[column].astype(np.float64)
    is_text = not pd.api.types.is_numeric_dtype(labels)
    frame["target"] = labels.astype(str) if is_text else labels.astype(np.float64)
    frame.to_parquet(folder / f"{name}.parquet")
    version = import_module({"scikit-learn": "sklearn"}.get(package, package)).__version__
    (folder / f"{name}.json").write_text(json.dumps({"source": f"{package} {version}: {source}", "licence": licence}))
