"""The profile of inputs: missing and distinct values, distribution, drift, and suspects of a leak."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.unit.frames import ENCODER, alternating
from training.frame.frame import TrainingFrame
from training.frame.splits import Split
from training.report.page import Section, Table, WarningNote, render
from training.report.profile import InputProfile, profiles
from training.report.sections import profile as section


def with_features(frame: TrainingFrame, **columns: Any) -> TrainingFrame:
    return replace(frame, features={**frame.features, **columns})


def found(training: TrainingFrame, holdout: TrainingFrame, seconds: float = 60.0) -> dict[str, InputProfile]:
    return {each.name: each for each in profiles(ENCODER, Split(training, holdout), 0, seconds)}


TRAINING, HOLDOUT = alternating(2000, seed=1), alternating(800, seed=2)


def test_each_input_is_profiled_by_its_kind() -> None:
    every = found(TRAINING, HOLDOUT)
    assert {name: each.kind for name, each in every.items()} == {
        "amount": "number", "place": "category", "known": "number",
    }  # fmt: skip
    assert every["known"].distinct == 9
    assert every["place"].distinct == 3
    assert every["known"].distribution.names == tuple("012345678")
    for each in every.values():
        assert each.distribution.training.sum() == pytest.approx(1.0)
        assert each.distribution.holdout.sum() == pytest.approx(1.0)


def test_missing_shares_come_from_the_flag_of_a_number_and_the_unknown_category() -> None:
    flags = np.zeros(2000)
    flags[:500] = 1
    every = found(with_features(TRAINING, known_is_missing=flags), HOLDOUT)
    assert (every["known"].missing, every["known"].missing_in_holdout) == (0.25, 0.0)
    assert every["place"].missing == pytest.approx(float((TRAINING.features["place_index"] == 0).mean()))
    assert every["amount"].missing == 0.0


def test_equal_distributions_have_no_drift_beyond_chance() -> None:
    for each in found(TRAINING, HOLDOUT).values():
        assert not each.has_drifted
        assert each.drift < 3 * each.chance


def test_a_moved_distribution_and_new_missing_values_are_drift() -> None:
    moved = with_features(
        HOLDOUT, amount=HOLDOUT.features["amount"] + 5, known_is_missing=np.arange(800) % 2, known=np.zeros(800)
    )
    every = found(TRAINING, moved)
    assert every["amount"].drift > 0.9
    assert every["known"].drift > 0.5
    assert every["amount"].has_drifted
    assert every["known"].has_drifted
    assert not every["place"].has_drifted


def test_an_input_that_tells_the_label_alone_is_a_suspect() -> None:
    leak = with_features(TRAINING, known=TRAINING.y * 3.0)
    every = found(leak, HOLDOUT)
    assert every["known"].alone == pytest.approx(1.0)
    assert every["known"].is_suspect
    assert 0.75 < every["amount"].alone < 0.98
    assert not every["amount"].is_suspect
    assert every["place"].alone == pytest.approx(0.5, abs=0.1)


def test_a_missing_value_that_tells_the_label_is_a_suspect() -> None:
    leak = with_features(TRAINING, known_is_missing=TRAINING.y.astype(np.float64), known=np.zeros(2000))
    assert found(leak, HOLDOUT)["known"].is_suspect


def test_without_time_no_input_is_measured_alone() -> None:
    every = found(TRAINING, HOLDOUT, seconds=-1.0)
    assert all(np.isnan(each.alone) and not each.is_suspect for each in every.values())


def test_the_table_highlights_suspects_and_names_what_drifted() -> None:
    moved = with_features(HOLDOUT, known_is_missing=np.ones(800))
    every = list(found(with_features(TRAINING, amount=TRAINING.y * 3.0), moved).values())
    table = section._table(every)
    assert isinstance(table, Table)
    assert table.marked == {0}
    remarks = {str(row[0].content): str(row[-1].content) for row in table.rows}
    assert remarks["amount"].startswith("suspect of a leak")
    assert "drift, most at missing: +100.0% of the rows" in remarks["known"]
    warning = section._warning(every[0])
    assert isinstance(warning, WarningNote)
    assert "exclude: [amount]" in warning.text
    assert "amount" in render("t", (), [Section("s", "s", [warning, table])])
