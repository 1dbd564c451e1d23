"""The rows that a version answers, as long as it lives, as it did when registered: the golden request and more."""

from typing import Any

import numpy as np

from scoring.encoder import Encoder
from scoring.encodings import Categorical
from scoring.hooks.hook import Record
from scoring.scorer import Refused, Scorer

DRAWN, MOST = 100, 4  # rows to choose from, and how many of them are taken
LISTED = 30  # categories of one column that are drawn from


def golden_rows(request: Record, scorer: Scorer) -> list[Record]:
    """The golden request, the same without what may be missing, and the rows that the model answers most differently.

    Those are chosen among rows of values that the encodings take: of numbers and of two classes the lowest and the
    highest, of several classes the likeliest of each. What a hook before the model takes is not known, and then there
    is the request alone.
    """
    if scorer.hooks.takes:
        return [request]
    values = {column: _values(column, value, scorer.encoder) for column, value in request.items()}
    emptied = {column: None if None in taken else request[column] for column, taken in values.items()}
    draw = np.random.default_rng(0)
    drawn = [{column: taken[draw.integers(len(taken))] for column, taken in values.items()} for _ in range(DRAWN)]
    predicted = scorer.predicted(scorer.encoder.features_of(drawn))
    wanted = predicted.T[:MOST] if predicted.ndim > 1 else (-predicted, predicted)
    rows = [emptied, *(drawn[int(np.argmax(each))] for each in wanted)]
    answered = zip(rows, scorer.outcomes(rows), strict=True)  # a hook after the model may refuse one
    return [request, *(row for row, outcome in answered if not isinstance(outcome, Refused) and row != request)]


def _values(column: str, value: Any, encoder: Encoder) -> list[Any]:
    """The value of the golden request, and others that every encoding of its column takes."""
    encodings = [encoding for encoding in encoder.encodings if encoding.column == column]
    others: list[Any] = [None, True, False]
    if isinstance(value, int | float) and not isinstance(value, bool):
        others += [0, 2 * value]
    for encoding in encodings:
        if isinstance(encoding, Categorical):
            others += encoder.categories_of(encoding)[:LISTED]
    return [value, *(each for each in others if all(encoder.accepts(encoding, each) for encoding in encodings))]
