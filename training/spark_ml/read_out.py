"""Fitted trees of Spark ML as arrays, read exactly and without a file.

The debug text has the structure, and each number with all of its digits: a double reads back equal. It lacks the
counts of classes in a forest's leaves. So each leaf gets a row that reaches it, and each tree is asked for the counts
at its rows, all trees in one job.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.arrays import Floats
from scoring.estimators.spark_trees import LEAF, Ensemble, SparkTrees
from scoring.predictions import class_shares
from scoring.tasks import TASKS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SPLIT = re.compile(r"If \(feature (\d+) <= (\S+)\)")
_TREE = re.compile(r"\s+Tree (\d+) \(weight (\S+)\):")
_PREDICTION = "Predict: "
VECTOR, COUNTS = "vector", "counts"  # columns of the rows that reach a leaf


@dataclass
class _Trees:
    """Nodes of all trees, one after the other."""

    roots: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    children: list[tuple[int, int]] = field(default_factory=list)
    prediction: list[float] = field(default_factory=list)

    def node(self, lines: Iterator[str]) -> int:
        """Read a node and the nodes below it.

        Raises:
            ValueError: a line is not known, such as a split by categories.
        """
        line = next(lines).strip()
        number = len(self.feature)
        self.feature.append(LEAF)
        self.threshold.append(0.0)
        self.children.append((number, number))
        self.prediction.append(0.0)
        if line.startswith(_PREDICTION):
            self.prediction[number] = float(line.removeprefix(_PREDICTION))
            return number
        if not (split := _SPLIT.fullmatch(line)):
            raise ValueError(f"Spark describes a node as `{line}`, which has no compiled form")
        self.feature[number], self.threshold[number] = int(split[1]), float(split[2])
        left = self.node(lines)
        next(lines)  # the opposite condition
        self.children[number] = (left, self.node(lines))
        return number

    def witnesses(self, root: int, columns: int) -> Iterator[tuple[int, list[float]]]:
        """Each leaf of a tree with a row that reaches it."""
        waiting = [(root, np.full(columns, -np.inf), np.full(columns, np.inf))]
        while waiting:
            node, above, most = waiting.pop()
            if (column := self.feature[node]) == LEAF:
                inside = np.where(
                    np.isfinite(most), most, np.where(np.isfinite(above), np.nextafter(above, np.inf), 0)
                )
                yield node, inside.tolist()
                continue
            left, right = most.copy(), above.copy()
            left[column] = min(left[column], self.threshold[node])
            right[column] = max(right[column], self.threshold[node])
            waiting += [(self.children[node][0], above, left), (self.children[node][1], right, most)]


def read_trees(model: Any, task: str, ensemble: Ensemble, session: "SparkSession") -> SparkTrees:
    """The trees of a fitted ensemble; `session` is the one that fitted it.

    Raises:
        ValueError: a tree splits in a way that has no compiled form.
    """
    trees, predicts_classes = _parsed(model.toDebugString), TASKS[task].predicts_classes
    values = np.asarray(trees.prediction)[:, None]
    if ensemble == "boosting":
        weights = np.repeat(trees.weights, np.diff([*trees.roots, len(trees.feature)]))
        # Spark's probability is 1 / (1 + exp(-2 * sum)); twice a double is exact.
        values = values * weights[:, None] * (2.0 if predicts_classes else 1.0)
    elif predicts_classes:
        values = _class_shares(model, trees, session)
    return SparkTrees(
        task,
        ensemble,
        np.asarray(trees.roots, dtype=np.int64),
        np.asarray(trees.feature, dtype=np.int64),
        np.asarray(trees.threshold, dtype=np.float64),
        np.asarray(trees.children, dtype=np.int64),
        np.where(np.asarray(trees.feature)[:, None] == LEAF, values, 0.0),
    )


def _parsed(text: str) -> _Trees:
    trees, lines = _Trees(), iter([line for line in text.splitlines()[1:] if line.strip()])
    for line in lines:
        heading = _TREE.fullmatch(line)
        if heading is None:
            raise ValueError(f"Spark describes a tree as `{line.strip()}`, which has no compiled form")
        trees.weights.append(float(heading[2]))
        trees.roots.append(trees.node(lines))
    return trees


def _class_shares(model: Any, trees: _Trees, session: "SparkSession") -> Floats:
    """(nodes, classes) the share of each class in each leaf; 0 in other nodes."""
    columns = model.numFeatures
    found = [
        (number, node, row) for number, root in enumerate(trees.roots) for node, row in trees.witnesses(root, columns)
    ]
    numbers, nodes, rows = zip(*found, strict=True)
    table = pa.table({"tree": numbers, "node": nodes, "row": rows})
    reached = session.createDataFrame(table).withColumn(VECTOR, array_to_vector(F.col("row"))).drop("row")
    parts = []
    for number, tree in enumerate(model.trees):
        of_tree = (
            tree.setFeaturesCol(VECTOR).setRawPredictionCol(COUNTS).transform(reached.where(F.col("tree") == number))
        )
        parts.append(of_tree.select("node", vector_to_array(F.col(COUNTS)).alias(COUNTS)))
    counted = _union(parts).toArrow()
    counts = np.zeros((len(trees.feature), model.numClasses))
    counts[counted["node"].to_numpy()] = np.asarray(counted[COUNTS].to_pylist())
    filled = counts.any(axis=1)  # 0 stays in other nodes, and in a leaf whose rows have no weight
    counts[filled] = class_shares(counts[filled])
    return counts


def _union(parts: Sequence[Any]) -> Any:
    """All parts together; by halves, since a server limits how deep a plan may be nested."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return _union(parts[:half]).unionAll(_union(parts[half:]))
