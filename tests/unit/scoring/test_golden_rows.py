"""The rows that a version must answer as it did when it was registered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from scoring.contract import check
from scoring.hooks import Hooks
from scoring.scorer import Answering, Refused, Scorer
from tests.unit.points import rows_of
from tests.unit.scoring.test_scorer import PARAMS, RECORDS, model
from training.registry.golden_rows import golden_rows
from training.search.fitting import fit
from training.space.joint_space import Candidate

SCORER = model("label", "probability").scorer


def test_the_request_comes_first_then_it_without_what_may_be_missing_then_the_extremes() -> None:
    rows = golden_rows(RECORDS[0], SCORER)
    assert rows[:2] == [RECORDS[0], {"amount": 1.5, "place": None, "known": None}]
    assert len(rows) == 4
    check(rows, SCORER.encoder)
    said = [answer["probability"] for answer in SCORER.answer(rows)]
    assert said[2] == min(said)
    assert said[3] == max(said)
    assert [answer["label"] for answer in SCORER.answer(rows[2:])] == [0, 1]


def test_the_rows_are_the_same_each_time() -> None:
    assert golden_rows(RECORDS[0], SCORER) == golden_rows(RECORDS[0], SCORER)


def test_of_several_classes_the_likeliest_row_of_each() -> None:
    frame = rows_of("multiclass")
    scorer = Scorer(
        fit(Candidate("logistic_regression", PARAMS), frame, 0),
        frame.encoder,
        Answering(("label",), 0.5, "multiclass", frame.classes),
    )
    rows = golden_rows(RECORDS[0], scorer)
    assert {answer["label"] for answer in scorer.answer(rows)} > {scorer.answer(rows[:1])[0]["label"]}


def test_where_a_hook_reads_the_request_there_is_the_request_alone() -> None:
    hooked = replace(SCORER, hooks=replace(Hooks(), takes={"years": "number"}))
    assert golden_rows({"years": 3}, hooked) == [{"years": 3}]


def test_a_row_that_a_hook_after_the_model_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(self: Scorer, records: Sequence[Any]) -> list[Any]:
        return [Refused("no place") if record["place"] is None else {} for record in records]

    monkeypatch.setattr(Scorer, "outcomes", picky)
    rows = golden_rows(RECORDS[0], SCORER)
    assert rows[0] == RECORDS[0]
    assert all(row["place"] is not None for row in rows)
