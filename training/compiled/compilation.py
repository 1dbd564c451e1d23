"""Which compiled form of a fitted pipeline is kept: the first that answers the whole holdout as the pipeline does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from training.compiled import LIMIT, Compiled, difference
from training.compiled.linear import Linear
from training.compiled.neighbours import Neighbours
from training.encoding import Columns
from training.scoring import Scorer

ALONE = 200  # rows that are also predicted one by one: an answer must not depend on the rows beside it


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


def compiled(scorer: Scorer, holdout: Columns) -> Compilation:
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
            reasons.append(f"{name}: {type(err).__name__}: {err}")
            continue
        apart = max(difference(found, expected), difference(alone, found[:ALONE]))
        if apart <= LIMIT:
            return Compilation(form, apart, len(rows))
        reasons.append(f"{name}: {apart:.3g} apart on {len(rows)} rows, and at most {LIMIT:g} is allowed")
    return Compilation(None, reason="; ".join(reasons) or "no form of this family is faster")


def _forms(scorer: Scorer) -> Iterator[tuple[str, Callable[[], Compiled]]]:
    """The forms to try, the fastest one first; conversion is imported only where it is tried."""
    model = scorer.pipeline.steps[-1][1]
    if hasattr(model, "n_neighbors"):
        yield "neighbours", lambda: Neighbours.of(scorer.pipeline, scorer.encoder)
    elif hasattr(model, "coef_"):
        yield "linear", lambda: Linear.of(scorer.pipeline, scorer.encoder, scorer.takes)
    elif scorer.takes == "dense":
        from training.compiled.conversion import onnx_of

        yield "onnx", lambda: onnx_of(scorer.pipeline, scorer.encoder, scorer.answering.task)
