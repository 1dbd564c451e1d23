"""Compiling a fitted pipeline: the fastest kind that predicts what the pipeline predicts.

Each kind repeats the arithmetic of its family, so that equality follows from how it is built (docs/training.md). The
checks here guard that: on the holdout, on rows at every threshold and bound, and on rows predicted one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats, MatrixFormat
from scoring.compiled import LIMIT, Compiled, difference
from scoring.compiled.linear import CompiledLinear
from scoring.compiled.neighbours import CompiledNeighbours
from scoring.compiled.network import CompiledNetwork
from scoring.compiled.text import CompiledText
from scoring.compiled.tokens import CompiledTokens
from scoring.compiled.wrappers.blend import CompiledBlend
from scoring.compiled.wrappers.calibrated import CompiledCalibrated
from scoring.compiled.wrappers.forecaster import CompiledForecaster
from scoring.compiled.wrappers.imputed import CompiledImputed, Imputation
from scoring.compiled.wrappers.stack import CompiledStack
from scoring.encodings import FeatureColumns
from scoring.estimators.blend import Blend
from scoring.estimators.calibrated import Calibrated
from scoring.estimators.catboost import CatBoost
from scoring.estimators.column_subset import ColumnSubset
from scoring.estimators.network import Network
from scoring.estimators.stack import Stack
from scoring.estimators.xgboost import XgBoost
from scoring.forecasts.forecaster import Forecaster
from scoring.scorer import Scorer
from scoring.texts.token_rows import TokenRows
from training.registry.imputed_features import imputation_of
from training.registry.kept_features import kept_features, number_features, with_predictions
from training.registry.probes import MOST_ROWS, probe_rows
from training.registry.reference import reference

MAX_REASON = 200  # characters of a converter's error; some print the whole graph
SINGLE_ROWS = 200  # rows that are also predicted one by one: a prediction must not depend on the rest of its batch
NEIGHBOURS_ROWS, NEIGHBOURS_PROBES = 2_000, 500  # rows of the checks of k-NN, which takes milliseconds a row
Build = Callable[[], Compiled]
# Kinds that import a library, by module and name.
_NATIVE = {CatBoost: ("catboost", "CompiledCatBoost"), XgBoost: ("xgboost", "CompiledXgBoost")}


@dataclass(frozen=True)
class Compilation:
    """Result of compiling a pipeline.

    Attributes:
        compiled: the compiled model; None if the pipeline itself predicts.
        difference: its largest difference from the pipeline on all rows compared.
        rows: number of rows of the holdout.
        probes: number of rows at thresholds and bounds.
        reason: why the pipeline is not compiled.
    """

    compiled: Compiled | None
    difference: float | None = None
    rows: int = 0
    probes: int = 0
    reason: str = ""

    def tags(self) -> dict[str, str]:
        """Tags of the registered version."""
        if self.compiled is None:
            return {"compiled": "none", "compiled_reason": self.reason[:250]}
        measured = {"max_difference": f"{self.difference:.3g}", "limit": f"{LIMIT:g}"}
        measured |= {"rows": str(self.rows), "probes": str(self.probes)}
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
    """Compile the scorer's pipeline as the fastest kind that agrees with it on every row compared."""
    reasons, builds = [], list(_builds(scorer))
    if not builds:
        return Compilation(None, reason="this family has no faster kind")
    rows = scorer.encoder.table(holdout)
    exact = replace(scorer, pipeline=reference(scorer.pipeline, scorer.encoder, scorer.matrix_format))
    for name, build in builds:
        try:
            model = build()
            most, probes = (NEIGHBOURS_ROWS, NEIGHBOURS_PROBES) if "neighbours" in model.kind else (None, MOST_ROWS)
            tested = np.concatenate([rows[:most], probe_rows(rows, scorer.encoder, model, probes)])
            max_difference = _max_difference(model, exact, tested)
        except Exception as err:  # noqa: BLE001  (each library raises its own errors)
            first_line = str(err).partition("\n")[0]  # the rest is internals of the library
            reasons.append(f"{name}: {type(err).__name__}: {first_line[:MAX_REASON]}")
            continue
        if max_difference <= LIMIT:
            compared = len(rows[:most])
            return Compilation(model, max_difference, compared, len(tested) - compared)
        reasons.append(f"{name}: max difference {max_difference:.3g} on {len(tested)} rows exceeds {LIMIT:g}")
    return Compilation(None, reason="; ".join(reasons))


def _max_difference(model: Compiled, exact: Scorer, rows: Floats) -> float:
    """The largest difference from the pipeline; rows predicted alone must be equal to those predicted together."""
    expected = exact.predict(exact.encoder.columns_of(rows))
    predicted = model.predict_many(rows)
    some = np.linspace(0, len(rows) - 1, min(len(rows), SINGLE_ROWS), dtype=np.intp)
    alone = np.asarray([model.predict_one(row) for row in rows[some].tolist()])
    if not np.array_equal(alone, predicted[some]):
        return float("inf")
    return difference(predicted, expected)


def _builds(scorer: Scorer) -> Iterator[tuple[str, Build]]:
    """Kinds to try, fastest first; the ONNX converters are imported only if they are tried."""
    pipeline = scorer.pipeline
    if isinstance(pipeline, Calibrated):
        curve = {"curve": pipeline.curve, "numbers": pipeline.numbers}
        yield from _wrapped(replace(scorer, pipeline=pipeline.model), **curve)
        return
    first, model = pipeline.steps[0][1], pipeline.steps[-1][1]
    if isinstance(model, Forecaster):
        yield from _forecasters(scorer, model)
    elif scorer.matrix_format == "dense" and scorer.encoder.text_features:
        indices, encoder = number_features(scorer.encoder)
        yield from _wrapped(replace(scorer, encoder=encoder), indices=indices)
    elif isinstance(first, ColumnSubset):
        indices, encoder = kept_features(scorer.encoder, scorer.matrix_format, first.columns)
        inner = replace(scorer, pipeline=Pipeline(pipeline.steps[1:]), encoder=encoder)
        yield from _wrapped(inner, indices=indices)
    elif isinstance(first, SimpleImputer):
        imputation, encoder = imputation_of(first, scorer.encoder, scorer.matrix_format)
        inner = replace(scorer, pipeline=Pipeline(pipeline.steps[1:]), encoder=encoder)
        for name, build in _builds(inner):
            yield name, partial(_imputed, build, imputation)
    else:
        yield from _builds_of_model(scorer, first, model)


def _builds_of_model(scorer: Scorer, first: Any, model: Any) -> Iterator[tuple[str, Build]]:
    pipeline = scorer.pipeline
    if isinstance(model, Blend):
        yield "blend", lambda: _blend(scorer, model)
    elif isinstance(model, Stack):
        yield "stack", lambda: _stack(scorer, model)
    elif isinstance(first, TokenRows):
        yield "tokens", lambda: CompiledTokens.of(first, model)
    elif isinstance(model, Network):
        yield "network", lambda: CompiledNetwork(model.graph)
    elif hasattr(model, "n_neighbors"):
        yield "neighbours", lambda: CompiledNeighbours.of(pipeline, scorer.encoder)
    elif hasattr(model, "coef_"):
        yield _linear(scorer)
    elif scorer.matrix_format == "dense":
        from training.registry.onnx_export import onnx_of

        yield "onnx", lambda: onnx_of(pipeline, scorer.encoder)
        if native := _NATIVE.get(type(model)):
            yield native[0], lambda: _native(pipeline, *native)


def _linear(scorer: Scorer) -> tuple[str, Build]:
    if scorer.encoder.text_features:
        return "text", lambda: CompiledText.of(scorer.pipeline, scorer.encoder)
    return "linear", lambda: CompiledLinear.of(scorer.pipeline, scorer.encoder, scorer.matrix_format)


def _forecasters(scorer: Scorer, model: Forecaster) -> Iterator[tuple[str, Build]]:
    for name, build in _builds(replace(scorer, pipeline=model.model)):
        yield name, partial(_forecaster, scorer, model, build)


def _forecaster(scorer: Scorer, forecaster: Forecaster, build: Build) -> Compiled:
    level, scale, step = (
        kept_features(scorer.encoder, scorer.matrix_format, np.asarray([column]))[0][0]
        for column in forecaster.columns
    )
    return CompiledForecaster(build(), level, scale, step, forecaster.lower.tolist(), forecaster.upper.tolist())


def _native(pipeline: Pipeline, module: str, kind: str) -> Compiled:
    compiled: Compiled = getattr(import_module(f"scoring.compiled.{module}"), kind).of(pipeline)
    return compiled


def _wrapped(inner: Scorer, **wrapper: Any) -> Iterator[tuple[str, Build]]:
    for name, build in _builds(inner):
        yield name, partial(_wrap, build, wrapper)


def _wrap(build: Build, wrapper: Mapping[str, Any]) -> Compiled:
    model = build()
    if not isinstance(model, CompiledCalibrated):
        return CompiledCalibrated(model, **wrapper)
    if model.indices is not None and (outer := wrapper.get("indices")) is not None:
        wrapper = {**wrapper, "indices": [outer[index] for index in model.indices]}
    return replace(model, **wrapper)


def _imputed(build: Build, imputation: Imputation) -> Compiled:
    return CompiledImputed(build(), imputation)


def _blend(scorer: Scorer, blend: Blend) -> Compiled:
    """Compile each member as its fastest kind.

    Raises:
        ValueError: a member cannot be compiled.
    """
    members = _first_builds(scorer, blend.members, blend.matrix_formats)
    return CompiledBlend(members, [float(weight) for weight in blend.weights])


def _stack(scorer: Scorer, stack: Stack) -> Compiled:
    """Compile both layers of a stack.

    Raises:
        ValueError: a part cannot be compiled.
    """
    bases = _first_builds(scorer, stack.bases, stack.matrix_formats)
    above = replace(scorer, pipeline=stack.final_estimator, encoder=with_predictions(scorer.encoder, stack))
    return CompiledStack(bases, _first_build(above))


def _first_builds(scorer: Scorer, pipelines: Sequence[Any], formats: Sequence[MatrixFormat]) -> list[Compiled]:
    pairs = zip(pipelines, formats, strict=True)
    return [_first_build(replace(scorer, pipeline=each, matrix_format=format_)) for each, format_ in pairs]


def _first_build(scorer: Scorer) -> Compiled:
    reasons = []
    for name, build in _builds(scorer):
        try:
            return build()
        except Exception as err:  # noqa: BLE001  (as in `compile_scorer`)
            reasons.append(f"{name}: {err}")
    raise ValueError("; ".join(reasons) or "a member has no faster kind")
