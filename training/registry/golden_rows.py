"""Golden rows of a version: the golden request and a few others, replayed before the version is served."""

from typing import Any

import numpy as np

from scoring.encoder import Encoder
from scoring.hooks.hook import Record
from scoring.scorer import RejectedRecord, Scorer

DRAWN, MOST = 100, 4  # rows to choose from, and how many of them are taken


def golden_rows(request: Record, scorer: Scorer) -> list[Record]:
    """The golden request, the same with every nullable field null, and the rows with the most different predictions.

    The last are chosen among rows of accepted values: for numbers and for two classes the lowest and the highest
    prediction, for several classes the likeliest row of each. With a hook before the model the accepted values are
    unknown, and the request is the only row.
    """
    if scorer.hooks.request_fields:
        return [request]
    values = {column: _values(column, value, scorer.encoder) for column, value in request.items()}
    emptied = {column: None if None in accepted else request[column] for column, accepted in values.items()}
    draw = np.random.default_rng(0)
    drawn = [{column: some[draw.integers(len(some))] for column, some in values.items()} for _ in range(DRAWN)]
    predicted = scorer.predict(scorer.encoder.features_of(drawn))
    scores = predicted.T[:MOST] if predicted.ndim > 1 else (-predicted, predicted)
    rows = [emptied, *(drawn[int(np.argmax(each))] for each in scores)]
    outcomes = zip(rows, scorer.outcomes(rows), strict=True)  # a hook after the model may refuse one
    return [
        request,
        *(row for row, outcome in outcomes if not isinstance(outcome, RejectedRecord) and row != request),
    ]


def _values(column: str, value: Any, encoder: Encoder) -> list[Any]:
    """The value of the golden request, and examples that every encoding of its column accepts."""
    encodings = [encoding for encoding in encoder.encodings if encoding.column == column]
    examples = dict.fromkeys(each for encoding in encodings for each in encoding.examples(value, encoder))
    return [value, *(each for each in examples if all(encoding.accepts(each, encoder) for encoding in encodings))]
