"""A search of a frame with texts: what it leaves out, and what it refuses."""

import pytest

from tests.unit.frames import alternating
from tests.unit.scoring.test_texts import frame_of
from training.frame.raw_inputs import without_features
from training.frame.refusals import FrameRefused
from training.stages.texts import plan_for_texts
from training.use_case.search import SearchPlan

PLAN = SearchPlan.model_validate(
    {"families": ["logistic_regression", "lightgbm"], "stacks": 2, "blend": 5, "final": "auto"}
)


def test_a_search_with_texts_has_no_ensemble_and_says_what_dense_families_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = plan_for_texts(PLAN, frame_of("binary"))
    assert (plan.stacks, plan.blend, plan.final, plan.families) == (0, 0, "refit", PLAN.families)
    output = " ".join(capsys.readouterr().out.split())
    assert "lightgbm: reads no terms of note, only numbers such as the length" in output
    assert "no stack: it reads numbers alone, and note is a text" in output
    assert "no blend: it reads numbers alone, and note is a text" in output
    assert "final: refit in place of auto" in output


def test_families_of_numbers_are_refused_where_every_feature_is_a_text() -> None:
    rows = frame_of("binary")
    numbers = [name for name in rows.encoder.features if name != "note"]
    with pytest.raises(FrameRefused, match="lightgbm read numbers alone, and every feature is a text: note"):
        plan_for_texts(PLAN, without_features(rows, numbers))


def test_a_search_without_texts_stays_as_it_is() -> None:
    assert plan_for_texts(PLAN, alternating(20)) is PLAN
