"""Which compiled form of a fitted pipeline is kept: the first that answers the whole holdout as the pipeline does."""

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
from training.frame.raw_inputs import ColumnPlaces

LONGEST = 200  # characters of what a converter says; some print the whole graph
ALONE = 200  # rows that are also predicted one by one: an answer must not depend on the rows beside it
# Forms that import a library, by module and name.
_NATIVE = {CatBoost: ("catboost", "CompiledCatBoost"), XgBoost: ("xgboost", "CompiledXgBoost")}


@dataclass(frozen=True)
class Compilation:
    """What came of compiling.

    Attributes:
        compiled: the form that is kept; None where the pipeline itself answers.
        difference: its largest difference from the pipeline on the holdout.
        rows: how many rows that is.
        reason: why nothing is kept.
    """

    compiled: Compiled | None
    difference: float | None = None
    rows: int = 0
    reason: str = ""

    def tags(self) -> dict[str, str]:
        """What a version says of it."""
        if self.compiled is None:
            return {"compiled": "none", "compiled.reason": self.reason[:250]}
        measured = {"max_difference": f"{self.difference:.3g}", "limit": f"{LIMIT:g}", "rows": str(self.rows)}
        return {"compiled": self.compiled.kind} | {f"compiled.{name}": value for name, value in measured.items()}

    def told(self) -> str:
        """The same in a sentence."""
        if self.compiled is None:
            return f"it is served as it was fitted; {self.reason}"
        return f"compiled ({self.compiled.kind}); at most {self.difference:.1g} apart on {self.rows:,} holdout rows"

    def within(self, scorer: Scorer) -> Scorer:
        """The scorer that answers by what is kept."""
        return replace(scorer, compiled=self.compiled)


def compiled(scorer: Scorer, holdout: FeatureColumns) -> Compilation:
    """The fastest form of the scorer's pipeline, if it agrees with it on every row of the holdout."""
    reasons, forms = [], list(_forms(scorer))
    rows = scorer.encoder.dense(holdout)
    expected = scorer.predicted(holdout) if forms else np.empty(0)
    for name, make in forms:
        try:
            form = make()
            found = form.many(rows)
            alone = np.asarray([form.one(row) for row in rows[:ALONE].tolist()])
        except Exception as err:  # noqa: BLE001  (every converter says something else of what it cannot convert)
            said = str(err).partition("\n")[0]  # what follows is how converters are written
            reasons.append(f"{name}: {type(err).__name__}: {said[:LONGEST]}")
            continue
        apart = max(difference(found, expected), difference(alone, found[:ALONE]))
        if apart <= LIMIT:
            return Compilation(form, apart, len(rows))
        reasons.append(f"{name}: {apart:.3g} apart on {len(rows)} rows, and at most {LIMIT:g} is allowed")
    return Compilation(None, reason="; ".join(reasons) or "no form of this family is faster")


def _forms(scorer: Scorer) -> Iterator[tuple[str, Callable[[], Compiled]]]:
    """The forms to try, the fastest one first; conversion is imported only where it is tried."""
    pipeline = scorer.pipeline
    if isinstance(pipeline, Calibrated):
        curve = {"curve": pipeline.curve, "numbers": pipeline.numbers}
        yield from _around(replace(scorer, pipeline=pipeline.model), **curve)
        return
    first, model = pipeline.steps[0][1], pipeline.steps[-1][1]
    if isinstance(first, ColumnSubset):
        places = _features(scorer.encoder, scorer.takes, first.places)
        encoder = replace(scorer.encoder, features=tuple(scorer.encoder.features[place] for place in places))
        inner = replace(scorer, pipeline=Pipeline(pipeline.steps[1:]), encoder=encoder)
        yield from _around(inner, places=places)
    elif isinstance(model, Blend):
        yield "blend", lambda: _blended(scorer, model)
    elif hasattr(model, "n_neighbors"):
        yield "neighbours", lambda: CompiledNeighbours.of(pipeline, scorer.encoder)
    elif hasattr(model, "coef_"):
        yield "linear", lambda: CompiledLinear.of(pipeline, scorer.encoder, scorer.takes)
    elif scorer.takes == "dense":
        from training.registry.onnx_export import onnx_of

        yield "onnx", lambda: onnx_of(pipeline, scorer.encoder, scorer.answering.task)
        if native := _NATIVE.get(type(model)):
            yield native[0], lambda: _native(pipeline, *native)


def _native(pipeline: Pipeline, module: str, form: str) -> Compiled:
    made: Compiled = getattr(import_module(f"scoring.compiled.{module}"), form).of(pipeline)
    return made


def _around(inner: Scorer, **around: Any) -> Iterator[tuple[str, Callable[[], Compiled]]]:
    for name, make in _forms(inner):
        yield name, partial(_surrounded, make, around)


def _surrounded(make: Callable[[], Compiled], around: Mapping[str, Any]) -> Compiled:
    form = make()
    return replace(form, **around) if isinstance(form, CompiledCalibrated) else CompiledCalibrated(form, **around)


def _features(encoder: Encoder, takes: MatrixFormat, columns: ColumnPlaces) -> list[int]:
    """The places of the features whose columns these are; of a block of 0/1 columns all are kept, or none is."""
    sizes = encoder.categories() if takes == "sparse" else {}
    widths = [sizes.get(place, 1) for place in range(len(encoder.features))]
    kept = set(columns.tolist())
    return [place for place, end in enumerate(accumulate(widths)) if end - 1 in kept]


def _blended(scorer: Scorer, blend: Blend) -> Compiled:
    """Each member in its fastest form.

    Raises:
        ValueError: one of them has none.
    """
    members = zip(blend.members, blend.takes, strict=True)
    forms = [_first_made(replace(scorer, pipeline=member, takes=takes)) for member, takes in members]
    return CompiledBlend(forms, [float(weight) for weight in blend.weights])


def _first_made(scorer: Scorer) -> Compiled:
    reasons = []
    for name, make in _forms(scorer):
        try:
            return make()
        except Exception as err:  # noqa: BLE001  (as in `compiled`)
            reasons.append(f"{name}: {err}")
    raise ValueError("; ".join(reasons) or "a member has no form that is faster")
