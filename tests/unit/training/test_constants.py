"""Constant features are left out of the training rows, and of nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.frames import alternating, by_time
from training.frame.constants import format_constants
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import constant_inputs
from training.frame.refusals import FrameRefused
from training.frame.splits import training_split
from training.use_case.search import SearchPlan


def with_features(**values: float | np.ndarray) -> TrainingFrame:
    """100 rows, of which these features have these values."""
    rows = alternating(100)
    features = {
        **rows.features,
        **{name: np.broadcast_to(np.asarray(each, float), 100) for name, each in values.items()},
    }
    return replace(rows, features=features, x=rows.encoder.matrix(features).values)


def test_a_feature_that_varies_only_in_the_holdout_is_left_out_of_the_training_rows() -> None:
    rows = with_features(known=np.where(np.arange(100) < 80, 7, 1000))
    parts = training_split(rows, by_time(holdout=0.2))
    assert parts.training.constant == {"known": 7, "known_is_missing": 0}
    assert parts.training.encoder.features == ("amount", "place_index")
    assert parts.training.columns == ("amount", *(f"place_index={index}" for index in range(4)))
    assert parts.training.x.shape == (80, 5) and parts.training.inputs("dense").shape == (80, 2)
    assert parts.holdout.encoder.features == rows.encoder.features
    assert parts.training.encoder.encodings == rows.encoder.encodings  # a request still sends `known`
    assert constant_inputs(parts.training.encoder) == {"known"}


@pytest.mark.parametrize("index", [2, 0, np.where(np.arange(100) % 2 == 0, 0, 9)], ids=["known", "unknown", "newer"])
def test_a_category_index_is_constant_if_the_model_reads_one_category(index: float | np.ndarray) -> None:
    parts = training_split(with_features(place_index=index), by_time())
    assert parts.training.encoder.features == ("amount", "known")


def test_training_rows_of_constant_features_only_are_refused() -> None:
    with pytest.raises(FrameRefused, match=r"every feature has one value on all 85 training rows: amount \(3\), "):
        training_split(with_features(amount=3, place_index=1, known=2), by_time())


def test_at_most_ten_constants_are_listed() -> None:
    many = format_constants({f"f{index}": index for index in range(12)})
    assert many.startswith("f0 (0), f1 (1), ") and many.endswith("f9 (9) and 2 more")


def test_a_search_does_not_choose_whether_to_leave_out_a_constant_input() -> None:
    plan = SearchPlan.model_validate({"families": ["knn"], "leave_out": ["known", ["place", "known_too"], "amount"]})
    inputs, constant = ["place", "amount"], {"known", "known_too"}
    assert plan.with_inputs(inputs, constant).leave_out == (("place",), ("amount",))
    assert plan.with_inputs([*inputs, *constant]) == plan
