"""Answers: the same for records and for frames of pandas."""

from typing import Any

import pandas as pd
import pytest

from tests.unit.frames import ENCODER, alternating
from training.contracts import ContractViolation
from training.scoring import Answering, Scorer, ScoringModel
from training.search.space import Params
from training.search.trial import Candidate, fit

PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "recency_half_life_days": None,
}
PIPELINE = fit(Candidate("logistic_regression", PARAMS), alternating(80), 0)
RECORDS: list[dict[str, Any]] = [
    {"amount": 1.5, "place": "Bonn", "known": None},
    {"amount": -1.0, "place": None, "known": 3},
    {"amount": 0.4, "place": "Atlantis", "known": 0},
]


def model(*fields: str, threshold: float = 0.5) -> ScoringModel:
    ours = ScoringModel()
    ours.scorer = Scorer(PIPELINE, ENCODER, Answering(fields, threshold))
    return ours


def test_an_answer_has_the_declared_fields_in_their_order() -> None:
    assert [list(answer) for answer in model("probability", "label").answer(RECORDS)] == [
        ["probability", "label"]
    ] * 3
    assert [list(answer) for answer in model("label").answer(RECORDS)] == [["label"]] * 3


def test_the_label_turns_at_the_threshold() -> None:
    said = [answer["probability"] for answer in model("probability").answer(RECORDS)]
    at = model("label", threshold=said[0]).answer(RECORDS)
    assert [answer["label"] for answer in at] == [int(probability >= said[0]) for probability in said]
    assert at[0]["label"] == 1


def test_a_frame_is_answered_as_its_records_are() -> None:
    ours = model("label", "probability")
    answers = ours.predict(None, pd.DataFrame(RECORDS))  # type: ignore[arg-type]
    assert answers.to_dict("records") == ours.answer(RECORDS)


def test_one_wrong_record_refuses_all() -> None:
    with pytest.raises(ContractViolation, match="row 1, field 'amount'"):
        model("label").answer([RECORDS[0], RECORDS[1] | {"amount": "much"}])
