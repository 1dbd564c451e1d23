"""Compiling a fitted pipeline: the fastest kind whose predictions match the pipeline on the whole holdout."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from itertools import accumulate
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from scoring.compiled import LIMIT, Compiled, difference
from scoring.compiled.blend import CompiledBlend
from scoring.compiled.calibrated import CompiledCalibrated
from scoring.compiled.linear import CompiledLinear
from scoring.compiled.neighbours import CompiledNeighbours
from scoring.encoder import Encoder, MatrixFormat
from scoring.encodings import FeatureColumns
from scoring.estimators.blend import Blend
from scoring.estimators.calibrated import Calibrated
from scoring.estimators.catboost import CatBoost
from scoring.estimators.column_subset import ColumnSubset
from scoring.estimators.xgboost import XgBoost
from scoring.scorer import Scorer
from training.frame.raw_inputs import ColumnIndices

MAX_REASON = 200  # characters of a converter's error; some print the whole graph
SINGLE_ROWS = 200  # rows that are also predicted one by one: a prediction must not depend on the rest of its batch
Build = Callable[[], Compiled]
# Kinds that import a library, by module and name.
_NATIVE = {CatBoost: ("catboost", "CompiledCatBoost"), XgBoost: ("xgboost", "CompiledXgBoost")}


@dataclass(frozen=True)
class Compilation:
    """Result of compiling a pipeline.

    Attributes:
        compiled: the compiled model; None if the pipeline itself predicts.
        difference: its largest difference from the pipeline on the holdout.
        rows: number of rows of the holdout.
        reason: why the pipeline is not compiled.
    """

    compiled: Compiled | None
    difference: float | None = None
    rows: int = 0
    reason: str = ""

    def tags(self) -> dict[str, str]:
        """Tags of the registered version."""
        if self.compiled is None:
            return {"compiled": "none", "compiled_reason": self.reason[:250]}
        measured = {"max_difference": f"{self.difference:.3g}", "limit": f"{LIMIT:g}", "rows": str(self.rows)}
        return {"compiled": self.compiled.kind} | {f"compiled_{name}": value for name, value in measured.items()}

    def summary(self) -> str:
        """One line for the console."""
        if self.compiled is None:
            return f"not compiled: {self.reason}"
        return f"compiled as {self.compiled.kind}: max difference {self.difference:.1g} on {self.rows:,} holdout rows"

    def applied_to(self, scorer: Scorer) -> Scorer:
        """The scorer, predicting with the compiled model if there is one."""
        return replace(scorer, compiled=self.compiled)


def compile_scorer(scorer: Scorer, holdout: FeatureColumns) -> Compilation:
    """Compile the scorer's pipeline as the fastest kind that agrees with it on every row of the holdout."""
    reasons, builds = [], list(_builds(scorer))
    rows = scorer.encoder.dense(holdout)
    expected = scorer.predict(holdout) if builds else np.empty(0)
    for name, build in builds:
        try:
            model = build()
            predicted = model.predict_many(rows)
            singly = np.asarray([model.predict_one(row) for row in rows[:SINGLE_ROWS].tolist()])
        except Exception as err:  # noqa: BLE001  (each converter raises its own errors)
            first_line = str(err).partition("\n")[0]  # the rest is internals of the converter
            reasons.append(f"{name}: {type(err).__name__}: {first_line[:MAX_REASON]}")
            continue
        max_difference = max(difference(predicted, expected), difference(singly, predicted[:SINGLE_ROWS]))
        if max_difference <= LIMIT:
            return Compilation(model, max_difference, len(rows))
        reasons.append(f"{name}: max difference {max_difference:.3g} on {len(rows)} rows exceeds {LIMIT:g}")
    return Compilation(None, reason="; ".join(reasons) or "this family has no faster kind")


def _builds(scorer: Scorer) -> Iterator[tuple[str, Build]]:
    """Kinds to try, fastest first; the ONNX converters are imported only if they are tried."""
    pipeline = scorer.pipeline
    if isinstance(pipeline, Calibrated):
        curve = {"curve": pipeline.curve, "numbers": pipeline.numbers}
        yield from _wrapped(replace(scorer, pipeline=pipeline.model), **curve)
        return
    first, model = pipeline.steps[0][1], pipeline.steps[-1][1]
    if isinstance(first, ColumnSubset):
        indices = _features(scorer.encoder, scorer.matrix_format, first.columns)
        encoder = replace(scorer.encoder, features=tuple(scorer.encoder.features[index] for index in indices))
        inner = replace(scorer, pipeline=Pipeline(pipeline.steps[1:]), encoder=encoder)
        yield from _wrapped(inner, indices=indices)
    elif isinstance(model, Blend):
        yield "blend", lambda: _blend(scorer, model)
    elif hasattr(model, "n_neighbors"):
        yield "neighbours", lambda: CompiledNeighbours.of(pipeline, scorer.encoder)
    elif hasattr(model, "coef_"):
        yield "linear", lambda: CompiledLinear.of(pipeline, scorer.encoder, scorer.matrix_format)
    elif scorer.matrix_format == "dense":
        from training.registry.onnx_export import onnx_of

        yield "onnx", lambda: onnx_of(pipeline, scorer.encoder, scorer.response_format.task)
        if native := _NATIVE.get(type(model)):
            yield native[0], lambda: _native(pipeline, *native)


def _native(pipeline: Pipeline, module: str, kind: str) -> Compiled:
    compiled: Compiled = getattr(import_module(f"scoring.compiled.{module}"), kind).of(pipeline)
    return compiled


def _wrapped(inner: Scorer, **wrapper: Any) -> Iterator[tuple[str, Build]]:
    for name, build in _builds(inner):
        yield name, partial(_wrap, build, wrapper)


def _wrap(build: Build, wrapper: Mapping[str, Any]) -> Compiled:
    model = build()
    return (
        replace(model, **wrapper) if isinstance(model, CompiledCalibrated) else CompiledCalibrated(model, **wrapper)
    )


def _features(encoder: Encoder, matrix_format: MatrixFormat, columns: ColumnIndices) -> list[int]:
    """Indices of the features behind these matrix columns; a one-hot block is kept or left out as a unit."""
    sizes = encoder.categories() if matrix_format == "sparse" else {}
    widths = [sizes.get(feature, 1) for feature in range(len(encoder.features))]
    kept = set(columns.tolist())
    return [feature for feature, end in enumerate(accumulate(widths)) if end - 1 in kept]


def _blend(scorer: Scorer, blend: Blend) -> Compiled:
    """Compile each member as its fastest kind.

    Raises:
        ValueError: a member cannot be compiled.
    """
    inputs = zip(blend.members, blend.matrix_formats, strict=True)
    members = [_first_build(replace(scorer, pipeline=member, matrix_format=format_)) for member, format_ in inputs]
    return CompiledBlend(members, [float(weight) for weight in blend.weights])


def _first_build(scorer: Scorer) -> Compiled:
    reasons = []
    for name, build in _builds(scorer):
        try:
            return build()
        except Exception as err:  # noqa: BLE001  (as in `compile_scorer`)
            reasons.append(f"{name}: {err}")
    raise ValueError("; ".join(reasons) or "a member has no faster kind")
