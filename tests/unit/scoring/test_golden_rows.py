"""Golden rows: a version must reproduce their predictions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from scoring.contract import check
from scoring.hooks import Hooks
from scoring.scorer import RejectedRecord, ResponseFormat, Scorer
from scoring.tasks import MULTICLASS
from tests.unit.points import rows_of
from tests.unit.scoring.test_scorer import PARAMS, RECORDS, model
from training.registry.golden_rows import golden_rows
from training.search.fitting import fit
from training.space.joint_space import Candidate

SCORER = model("label", "probability").scorer


def test_golden_rows_are_the_request_then_it_with_nulls_then_the_extremes() -> None:
    rows = golden_rows(RECORDS[0], SCORER)
    assert rows[:2] == [RECORDS[0], {"amount": 1.5, "place": None, "known": None}]
    assert len(rows) == 4
    check(rows, SCORER.encoder)
    probabilities = [response["probability"] for response in SCORER.respond(rows)]
    assert probabilities[2] == min(probabilities)
    assert probabilities[3] == max(probabilities)
    assert [response["label"] for response in SCORER.respond(rows[2:])] == [0, 1]


def test_golden_rows_are_reproducible() -> None:
    assert golden_rows(RECORDS[0], SCORER) == golden_rows(RECORDS[0], SCORER)


def test_golden_rows_cover_several_classes() -> None:
    frame = rows_of("multiclass")
    scorer = Scorer(
        fit(Candidate("logistic_regression", PARAMS), frame, 0),
        frame.encoder,
        ResponseFormat(("label",), 0.5, MULTICLASS, frame.classes),
    )
    rows = golden_rows(RECORDS[0], scorer)
    assert {response["label"] for response in scorer.respond(rows)} > {scorer.respond(rows[:1])[0]["label"]}


def test_with_a_preprocess_hook_the_request_is_the_only_golden_row() -> None:
    hooked = replace(SCORER, hooks=replace(Hooks(), request_fields={"years": "number"}))
    assert golden_rows({"years": 3}, hooked) == [{"years": 3}]


def test_a_row_that_the_postprocess_hook_rejects_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(self: Scorer, records: Sequence[Any]) -> list[Any]:
        return [RejectedRecord("no place") if record["place"] is None else {} for record in records]

    monkeypatch.setattr(Scorer, "outcomes", picky)
    rows = golden_rows(RECORDS[0], SCORER)
    assert rows[0] == RECORDS[0]
    assert all(row["place"] is not None for row in rows)
