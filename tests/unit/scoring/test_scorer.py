"""Responses of a scorer: the same for records and for pandas frames."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.pyfunc.model import PythonModelContext
from sklearn.preprocessing import FunctionTransformer

from scoring.contract import ContractViolation
from scoring.pipeline_file import ArtifactRefused
from scoring.pyfunc import ScoringModel, records_of, with_integers
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import MULTICLASS, REGRESSION
from tests.unit.frames import ENCODER, alternating
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Params

PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "class_weight": None,
    "recency_half_life_days": None,
}
PIPELINE = fit(Candidate("logistic_regression", PARAMS), alternating(80), 0)
RECORDS: list[dict[str, Any]] = [
    {"amount": 1.5, "place": "Bonn", "known": None},
    {"amount": -1.0, "place": None, "known": 3},
    {"amount": 0.4, "place": "Celle", "known": 0},
]
CONTEXT = PythonModelContext({}, {})  # type: ignore[no-untyped-call]


def model(*fields: str, threshold: float = 0.5) -> ScoringModel:
    ours = ScoringModel()
    ours.scorer = Scorer(PIPELINE, ENCODER, ResponseFormat(fields, threshold))
    return ours


def test_response_has_the_declared_fields_in_order() -> None:
    assert [list(response) for response in model("probability", "label").respond(RECORDS)] == [
        ["probability", "label"]
    ] * 3
    assert [list(response) for response in model("label").respond(RECORDS)] == [["label"]] * 3


def test_label_is_1_at_or_above_the_threshold() -> None:
    probabilities = [response["probability"] for response in model("probability").respond(RECORDS)]
    at = model("label", threshold=probabilities[0]).respond(RECORDS)
    assert [response["label"] for response in at] == [
        int(probability >= probabilities[0]) for probability in probabilities
    ]
    assert at[0]["label"] == 1


def test_frames_and_records_get_the_same_responses() -> None:
    ours = model("label", "probability")
    responses = ours.predict(None, pd.DataFrame(RECORDS))  # type: ignore[arg-type]
    assert responses.to_dict("records") == ours.respond(RECORDS)


def test_one_invalid_record_rejects_the_request() -> None:
    with pytest.raises(ContractViolation, match="row 1, field 'amount'"):
        model("label").respond([RECORDS[0], RECORDS[1] | {"amount": "much"}])


@pytest.mark.parametrize(("threshold", "label"), [(0.0, 1), (1.0, 0)])
def test_thresholds_0_and_1_decide_every_label(threshold: float, label: int) -> None:
    assert model("label", threshold=threshold).respond(RECORDS) == [{"label": label}] * 3


def test_response_holds_json_values() -> None:
    (response,) = model("label", "probability").respond(RECORDS[:1])
    assert {field: type(value) for field, value in response.items()} == {"label": int, "probability": float}
    assert json.loads(json.dumps(response)) == response


@pytest.mark.parametrize(
    ("record", "same_as"),
    [
        pytest.param({"amount": 2}, {"amount": 2.0}, id="whole numbers"),
    ],
)
def test_equivalent_values_get_the_same_response(record: dict[str, Any], same_as: dict[str, Any]) -> None:
    ours = model("probability")
    assert ours.respond([RECORDS[0] | record]) == ours.respond([RECORDS[0] | same_as])


def test_responses_do_not_depend_on_other_records() -> None:
    ours = model("probability")
    alone = [ours.respond([record])[0] for record in RECORDS]
    assert ours.respond(RECORDS) == alone
    assert ours.respond(RECORDS[::-1]) == alone[::-1]


@pytest.mark.parametrize(
    "known", [[None, 3, 0], [float("nan"), 3.0, 0.0], pd.array([None, 3, 0], dtype="Int64")], ids=str
)
def test_every_missing_value_of_pandas_is_null(known: Any) -> None:
    ours = model("label", "probability")
    responses = ours.predict(CONTEXT, pd.DataFrame(RECORDS).assign(known=known))
    assert responses.to_dict("records") == ours.respond(RECORDS)


def test_integers_that_pandas_made_floats_reach_a_hook_as_integers_or_are_refused() -> None:
    """A hook sees what it would see in a request; from 2^53 on a float may be another integer."""
    records = [{"id": 7}, {"id": None}, {"id": 2**53 - 1}]
    made = records_of(pd.DataFrame(records))
    assert [type(record["id"]) for record in made] == [float, type(None), float]
    assert repr(with_integers(made, ["id", "absent"])) == repr(records)
    exact = [{"id": 2**53 + 1}, {"id": None}]
    nullable = pd.DataFrame({"id": pd.array([2**53 + 1, None], dtype="Int64")})
    assert with_integers(records_of(nullable), ["id"]) == exact
    with pytest.raises(ContractViolation, match="row 0, field 'id': expected an integer: as a float it loses digits"):
        with_integers(records_of(pd.DataFrame(exact)), ["id"])


def test_frames_are_checked_against_the_contract() -> None:
    with pytest.raises(ContractViolation, match="row 0, field 'plase'"):
        model("label").predict(CONTEXT, pd.DataFrame(RECORDS).rename(columns={"place": "plase"}))
    with pytest.raises(ContractViolation, match="row 2, field 'amount': expected double, got null"):
        model("label").predict(CONTEXT, pd.DataFrame([*RECORDS[:2], RECORDS[2] | {"amount": None}]))


def test_loaded_scorer_gives_the_same_responses(tmp_path: Path) -> None:
    ours = model("probability", "label", threshold=0.25)
    artifacts = ours.scorer.save(tmp_path)
    read = ScoringModel()
    read.load_context(PythonModelContext(artifacts, {}))  # type: ignore[no-untyped-call]
    assert read.respond(RECORDS) == ours.respond(RECORDS)
    assert read.scorer.response_format == ours.scorer.response_format
    assert read.scorer.encoder.encodings == ENCODER.encodings
    assert read.scorer.encoder.features == ENCODER.features
    assert {name: tuple(words) for name, words in read.scorer.encoder.vocabularies.items()} == ENCODER.vocabularies


def test_saving_writes_two_files(tmp_path: Path) -> None:
    artifacts = model("label").scorer.save(tmp_path)
    assert sorted(artifacts) == ["pipeline.skops", "scorer.json"]
    assert sorted(tmp_path.iterdir()) == sorted(Path(path) for path in artifacts.values())


@pytest.mark.parametrize("untrusted", [Path.unlink, os.system], ids=["pathlib", "os"])
def test_pipelines_with_untrusted_types_are_never_loaded(tmp_path: Path, untrusted: object) -> None:
    artifacts = model("label").scorer.save(tmp_path)
    skops.io.dump(FunctionTransformer(untrusted), artifacts["pipeline.skops"])
    with pytest.raises(ArtifactRefused) as refused:
        Scorer.load(artifacts)
    assert refused.value.failed.startswith(f"{artifacts['pipeline.skops']} holds types that are not trusted: ")
    assert "scoring.pipeline_file.TRUSTED" in str(refused.value.hint)


def test_multiclass_response_names_the_most_probable_class() -> None:
    answering = ResponseFormat(("label", "probability", "probabilities"), 0.5, MULTICLASS, ("oak", "elm", 7))
    assert answering.responses(np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])) == [
        {"label": "elm", "probability": 0.5, "probability_oak": 0.2, "probability_elm": 0.5, "probability_7": 0.3},
        {"label": 7, "probability": 0.8, "probability_oak": 0.1, "probability_elm": 0.1, "probability_7": 0.8},
    ]
    assert [response["label"] for response in answering.samples()] == ["oak", "elm", 7]


def test_regression_response_is_its_value() -> None:
    assert ResponseFormat(("value",), 0.5, REGRESSION, ()).responses(np.array([1.5, -2.0])) == [
        {"value": 1.5},
        {"value": -2.0},
    ]
