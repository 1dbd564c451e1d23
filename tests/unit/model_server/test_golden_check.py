"""Replay of the golden request before a model is served."""

from collections.abc import Sequence
from typing import Any

import pytest

from deployment.model_server.http.responses import serialise
from deployment.model_server.models.contract_model import ContractModel
from deployment.model_server.models.golden_check import GoldenMismatch, check
from scoring.contract import ContractViolation, Problem

MODEL = ContractModel(lambda records: [{"p": record["a"] / 3, "label": 1} for record in records])


@pytest.mark.parametrize("request_", [{"a": 1}, [{"a": 1}], {"instances": [{"a": 1}]}, {"inputs": {"a": [1]}}])
def test_every_format_of_the_golden_request_is_accepted(request_: Any) -> None:
    check({"golden_request": request_, "golden_response": {"p": 0.33333333, "label": 1}}, MODEL.predictions)


def test_without_a_golden_request_the_model_is_not_called() -> None:
    check({"golden_response": 1}, lambda _: pytest.fail("called"))


@pytest.mark.parametrize(
    "prediction",
    [{"p": 0.34, "label": 1}, {"p": 1 / 3}, {"p": 1 / 3, "label": True}, [], [{"p": 1 / 3, "label": 1}] * 2],
)
def test_a_different_prediction_is_a_mismatch(prediction: Any) -> None:
    with pytest.raises(GoldenMismatch, match="when registered"):
        check({"golden_request": {"a": 1}, "golden_response": prediction}, MODEL.predictions)


def test_a_refused_golden_request_is_a_mismatch() -> None:
    def refuse(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        raise ContractViolation([Problem(0, "a", "text", "1")])

    with pytest.raises(GoldenMismatch, match="refuses its own golden request: 1 value"):
        check({"golden_request": {"a": 1}}, ContractModel(refuse).predictions)


def test_the_golden_prediction_is_optional() -> None:
    check({"golden_request": {"a": 1}}, lambda request: serialise({"predictions": [request.size]}))
