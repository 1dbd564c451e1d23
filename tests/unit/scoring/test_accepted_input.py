"""Every accepted request gets a response: rare numbers, no rows, cells that are lists."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.contract import ContractViolation
from scoring.encodings import ENCODINGS
from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import BINARY
from tests.unit.frames import ENCODER, alternating
from tests.unit.points import POINTS
from training.models import FAMILIES
from training.search.fitting import fit
from training.space.joint_space import Candidate

ROWS = alternating(80)
_ABLE = [(family, params) for family, params in POINTS if BINARY in FAMILIES[family].tasks]
SCORERS = [
    Scorer(
        fit(Candidate(family, params), ROWS, 0),
        ENCODER,
        ResponseFormat(("probability",), 0.5),
        matrix_format=FAMILIES[family].matrix_format,
    )
    for family, params in _ABLE
]
RECORD: dict[str, Any] = {"amount": 0.5, "place": "Bonn", "known": 3}


def refused(record: Mapping[str, Any]) -> bool:
    try:
        SCORERS[0].respond([record])
    except ContractViolation:
        return True
    return False


def answered(scorer: Scorer, *records: Mapping[str, Any]) -> bool:
    return all(0 <= response["probability"] <= 1 for response in scorer.respond(records))  # NaN is not


ORDINARY = st.fixed_dictionaries(
    {
        "amount": st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9),
        "place": st.none() | st.sampled_from(["Aachen", "Bonn", "Celle"]),
        "known": st.none() | st.integers(-(10**9), 10**9),
    }
)


@settings(max_examples=5)
@given(records=st.lists(ORDINARY, min_size=1, max_size=20))
def test_every_ordinary_record_gets_a_probability(records: list[dict[str, Any]]) -> None:
    assert [answered(scorer, *records) for scorer in SCORERS] == [True] * len(SCORERS)


@pytest.mark.parametrize("amount", [1e20, 1e39, 1e300, -1.7e308])
def test_a_large_number_is_refused_by_field_or_scored(amount: float) -> None:
    record = RECORD | {"amount": amount}
    assert refused(record) or all(answered(scorer, record) for scorer in SCORERS)


def test_an_empty_request_has_no_responses() -> None:
    assert SCORERS[0].respond([]) == []


def test_a_cell_that_is_a_list_is_refused_by_field() -> None:
    model = ScoringModel()
    model.scorer = SCORERS[0]
    with pytest.raises(ContractViolation, match="row 0, field 'place'"):
        model.predict(None, pd.DataFrame([RECORD | {"place": ["Bonn", "Celle"]}]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param({"as": "ordinal", "categories": ["low"], "impute": "high"}, id="imputes what is no category"),
        pytest.param({"as": "ordinal", "categories": ["low", "low"], "impute": "low"}, id="a rank twice"),
        pytest.param({"as": "cohort", "bounds": [50, 18]}, id="bounds that fall"),
        pytest.param({"as": "one_hot", "categories": ["a b", "a-b"]}, id="two categories of one column"),
        pytest.param({"as": "number", "minimum": 5, "maximum": 1}, id="no number lies between the bounds"),
    ],
)
def test_an_impossible_encoding_is_refused_at_its_declaration(declared: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"impute|categories|bounds|minimum"):
        ENCODINGS.validate_python([{"column": "c", **declared}])
