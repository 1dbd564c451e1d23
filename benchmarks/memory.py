"""Memory and time of learners on a million sparse rows, against dense rows."""

import os

import click

from benchmarks.harness.measure import measure, mebibytes, tool
from lakehouse import console
from lakehouse.settings import PROJECT

PACKAGES = ("scikit-learn==1.9.1", "lightgbm==4.7.0", "xgboost==3.2.0")
NUMBERS = 24  # numeric columns; each row also fills one category column
# Each learner defines `fit(x, y)`, with the same options for both matrix formats.
LEARNERS = {
    "the rows alone": "def fit(x, y): pass",
    "logistic regression": """
from sklearn.linear_model import LogisticRegression
def fit(x, y): LogisticRegression(solver="liblinear", C=0.1, max_iter=100).fit(x, y)
""",
    "LightGBM, 50 rounds": """
import lightgbm
def fit(x, y): lightgbm.LGBMClassifier(n_estimators=50, n_jobs=2, verbosity=-1).fit(x, y)
""",
    "XGBoost, 50 rounds": """
import xgboost
def fit(x, y): xgboost.XGBClassifier(n_estimators=50, n_jobs=2, tree_method="hist").fit(x, y)
""",
}
MEASURED = """
import sys
import numpy as np
from scipy import sparse
LEARNER
rows, columns, numbers, route = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
draw = np.random.default_rng(0)
indices = np.empty((rows, numbers + 1), dtype=np.int32)
indices[:, :numbers] = np.arange(numbers)
indices[:, numbers] = numbers + draw.integers(0, columns - numbers, rows)
data = np.ones((rows, numbers + 1))
data[:, :numbers] = draw.normal(size=(rows, numbers))
y = (data[:, 0] + draw.normal(size=rows) > 1.5).astype(int)
ends = np.arange(rows + 1, dtype=np.int32) * (numbers + 1)
x = sparse.csr_matrix((data.ravel(), indices.ravel(), ends), shape=(rows, columns))
del data, indices
fit(x.toarray() if route == "dense" else x, y)
"""


@click.command()
@click.option("--rows", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@click.option("--columns", type=click.IntRange(NUMBERS + 1), default=11_900, show_default=True)
@click.option(
    "--dense-rows",
    type=click.IntRange(1_000),
    default=50_000,
    show_default=True,
    help="Rows that fit in memory when dense.",
)
def main(rows: int, columns: int, dense_rows: int) -> None:
    """Fit each learner in its own process: all rows sparse, and fewer rows both sparse and dense."""
    console.stage(f"{rows:,} x {columns:,}; as a dense matrix {mebibytes(rows * columns * 8)} before any fit")
    table = []
    for name, learner in LEARNERS.items():
        for route, count in (("sparse", rows), ("sparse", dense_rows), ("dense", dense_rows)):
            cells = _usage_cells(learner, route, count, columns)
            console.detail(f"{name}, {route}, {count:,} rows: {', '.join(cells)}")
            table.append([name, route, f"{count:,}", *cells])
    table.append(["the rows alone", "dense", f"{rows:,}", "-", "-", f"{mebibytes(rows * columns * 8)}, computed"])
    console.table(["learner", "route", "rows", "time", "processor time", "peak memory"], table)


def _usage_cells(learner: str, route: str, rows: int, columns: int) -> list[str]:
    packages = [argument for package in PACKAGES for argument in ("--with", package)]
    command = [tool("uv"), "run", "--quiet", "--no-project", *packages, "python", "-W", "ignore", "-c"]
    code = MEASURED.replace("LEARNER", learner)
    return measure([*command, code, str(rows), str(columns), str(NUMBERS), route], PROJECT, os.environ).cells


if __name__ == "__main__":
    console.run_command(main)
