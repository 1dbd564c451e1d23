"""Export of tree pipelines as ONNX graphs. Only training uses these packages; serving does not need them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scoring.compiled.trees import CompiledTrees
from scoring.encoder import Encoder
from training.registry.tree_readers import read_trees

# A graph tests one category of a set after another. A split of XGBoost may name hundreds of them; those of the other
# libraries name 32 at most, or of 254 categories.
MOST_COMPARED = 16
Means = list[tuple[int, list[list[float]]]]


def onnx_of(pipeline: Any, encoder: Encoder) -> CompiledTrees:
    """The pipeline as a graph of dense rows.

    Raises:
        ValueError: the pipeline has other steps, or the graph does not express its model.
    """
    *before, (_, model) = pipeline.steps
    sizes = encoder.categories()
    most = max((sizes.get(column, 0) for column in getattr(model, "categorical", ())), default=0)
    if getattr(model, "library", "") == "xgboost" and most > MOST_COMPARED:
        raise ValueError(f"the model splits by {most:,} categories; a graph supports at most {MOST_COMPARED}")
    means = _means(before, sizes)
    columns = len(encoder.features) - len(means) + sum(len(table[0]) for _, table in means)
    graph, metadata = read_trees(model, columns, takes_missing=bool(encoder.nullable_features))
    return graph.compiled(replace(metadata, means=means))


def _means(before: list[tuple[str, Any]], sizes: Mapping[int, int]) -> Means:
    """Target means of a step in front of the model, by column. No other step is supported.

    Raises:
        ValueError: the pipeline has other steps.
    """
    steps = [step for _, step in before if step is not None and step != "passthrough"]
    if not steps:
        return []
    if len(steps) > 1 or not hasattr(steps[0], "transformers_"):
        raise ValueError(f"steps without an ONNX form: {', '.join(type(step).__name__ for step in steps)}")
    (_, encoder, columns), *rest = steps[0].transformers_
    if any(isinstance(step, str) and step == "drop" for _, step, _ in rest) or len(rest) > 1:
        raise ValueError("a column transformer with more than target means")
    return [(column, _table(encoder, number, sizes[column])) for number, column in enumerate(columns)]


def _table(encoder: Any, number: int, size: int) -> list[list[float]]:
    """The means of each category of one feature; one column for each class of a multiclass task."""
    overall = np.atleast_1d(encoder.target_mean_)
    table = np.tile(overall, (size, 1)).astype(np.float64)
    known = encoder.categories_[number].astype(np.intp)
    for column in range(len(overall)):
        table[known, column] = encoder.encodings_[number * len(overall) + column]
    return [[float(value) for value in row] for row in table]
