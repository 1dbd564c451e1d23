"""A new encoding is one class and one macro: gold table, training, registered version and endpoint then have it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import copysign, sqrt
from pathlib import Path
from typing import Any, Literal

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from pydantic import Field

from deployment.model_server.app import create_app
from deployment.model_server.settings import ServerSettings
from lakehouse.session import open_session
from lakehouse.settings import PROJECT, Settings
from scoring.encodings import KINDS, Encoding, EncodingContext, JsonSchema, Vocabularies
from scoring.scorer import ResponseFormat, Scorer
from tests.adapter.project import Project
from tests.contract.databases import new_database
from tests.contract.people import PARAMS, mlflow_restored
from tests.unit.frames import by_time
from tests.unit.model_server.in_process import ROOT, SCORE, Caller, creating, with_lifespan
from training.feature_store.local import LocalFeatureStore
from training.frame import splits
from training.frame.build import load_frame
from training.frame.frame import TrainingFrame
from training.frame.provenance import provenance
from training.registry.compilation import compile_scorer
from training.registry.registration import register_version
from training.search.fitting import fit
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase

MACRO = """
{% macro encode_signed_root(encoding) -%}
  {% set x = 'cast(' ~ encoding.column ~ ' as double)' %}
  coalesce(sign({{ x }}) * sqrt(abs({{ x }})), 0) as {{ encoding.column }}_root
{%- endmacro %}
"""
PEOPLE = """
select person, timestamp '2024-01-01 00:00:00' + make_interval(0, 0, 0, person) as at,
  case when person % 10 <> 0 then (person * 37 % 101) / 7.0D - 6 end as amount
from (select explode(sequence(1, 120)) as person)
"""
FEATURES = """
{% set encodings = [{'column': 'amount', 'as': 'signed_root'}] %}
{{ config(meta={'encodings': encodings}) }}
select person, at, {{ encoded_features(encodings) }} from {{ ref('people') }}
"""
LABELS = "select person, at, cast(coalesce(amount, 0) > 1 as int) as label from {{ ref('people') }}"
CATALOGUE = {"is_feature_table": True, "entity": "person", "timestamp_column": "at"}
PROPERTIES = {
    "models": [
        {
            "name": "features",
            "config": {"meta": {"feature_catalog": CATALOGUE}},
            "columns": [
                {"name": "person", "data_type": "int"},
                {"name": "at", "data_type": "timestamp"},
                {"name": "amount_root", "data_type": "double"},
            ],
        }
    ]
}
USE_CASE = UseCase.model_validate(
    {
        "name": "rooted",
        "task": "binary",
        "labels": {"table": "gold.labels", "entity": "person", "timestamp": "at", "column": "label"},
        "features": [{"table": "gold.features"}],
        "search": {"families": ["logistic_regression"]},
        "promotion": {"minimum": 0.5},
        "serving": {"endpoint": "e"},
        "golden_request": {"amount": 2.5},
    }
)


@pytest.fixture
def signed_root() -> Iterator[None]:
    """Defines the encoding, and forgets it after the test."""

    class SignedRoot(Encoding):
        """The square root of a number, with its sign; 0 if it is missing."""

        kind: Literal["signed_root"] = Field(alias="as")

        @property
        def features(self) -> tuple[str, ...]:
            return (f"{self.column}_root",)

        def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
            return [[0 if value is None else copysign(sqrt(abs(value)), value) for value in values]]

        def accepts(self, value: object, context: EncodingContext) -> bool:
            return value is None or isinstance(value, int | float)

        def expected(self, context: EncodingContext) -> str:
            return "any number or null"

        def json_schema(self, context: EncodingContext) -> JsonSchema:
            return {"type": ["number", "null"], "description": "its root is taken"}

    yield
    del KINDS["signed_root"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small project with the macros of this one and that of the new encoding."""
    shared = (PROJECT / "dbt_project" / "macros" / "encodings.sql").read_text(encoding="utf-8")
    return Project.below(
        tmp_path,
        {
            "macros/encodings.sql": shared,
            "macros/signed_root.sql": MACRO,
            "models/people.sql": PEOPLE,
            "models/features.sql": FEATURES,
            "models/labels.sql": LABELS,
            "models/models.yml": json.dumps(PROPERTIES),
        },
    )


def register(frame: TrainingFrame, settings: Settings) -> Scorer:
    """Fit on the frame and register version 1."""
    split = splits.split(frame, by_time())
    candidate = Candidate("logistic_regression", PARAMS)
    fitted = Scorer(fit(candidate, split.training, 0), frame.encoder, ResponseFormat(("probability",), 0.5))
    scorer = compile_scorer(fitted, split.holdout.features).applied_to(fitted)
    assert scorer.compiled is not None  # so that the server loads it in this process, which has the new class
    trial = Trial(1, candidate, {"roc_auc": 0.9}, ({"roc_auc": 0.9},), timedelta(0))
    with tracking(settings) as client, mlflow.start_run(experiment_id=experiment_id(client, settings, "rooted")):
        register_version(
            MlflowClient(),
            USE_CASE,
            scorer,
            SearchResult((trial,), "complete"),
            provenance(split, by_time(), None),
            {},
        )
    return scorer


async def ask(settings: ServerSettings, records: Sequence[Any]) -> tuple[list[float], str, Any]:
    """Probabilities of the served version, its message for a wrong value, and its schema of a row."""
    app = create_app(settings)
    async with with_lifespan(app):
        call = Caller(app, settings.token_file.read_text().strip())
        await call("POST", ROOT, creating("1", model="rooted"))
        endpoint = await call.settled()
        assert endpoint["state"]["ready"] == "READY", endpoint
        sent = [records[:60], *([record] for record in records[60:])]  # together, then one by one
        responses = [await call("POST", SCORE, {"dataframe_records": some}) for some in sent]
        refused = await call("POST", SCORE, {"dataframe_records": [{"amount": "much"}]})
        document = (await call("GET", f"{ROOT}/e/openapi")).body
    probabilities = [response["probability"] for response in responses for response in response.body["predictions"]]
    return probabilities, json.dumps(refused.body), json.dumps(document)


@pytest.mark.usefixtures("signed_root")
def test_one_class_and_one_macro_are_all_that_a_new_encoding_needs(project: Project, tmp_path: Path) -> None:
    project.process("build")
    people = {row["person"]: row["amount"] for row in project.rows("gold.people")}
    gold = {row["person"]: row["amount_root"] for row in project.rows("gold.features")}
    frame = load_frame(USE_CASE, LocalFeatureStore(open_session, project.warehouse))
    keys = frame.keys.tolist()
    records = [{"amount": people[key]} for key in keys]
    assert len(keys) == 120 and None in people.values()
    np.testing.assert_array_equal(frame.encoder.features_of(records)["amount_root"], [gold[key] for key in keys])

    uri = new_database(tmp_path)
    with mlflow_restored():
        scorer = register(frame, Settings(tmp_path, project.warehouse.root, None, uri, uri, ""))
        probabilities, refused, document = asyncio.run(ask(ServerSettings(tmp_path, tmp_path / "s", uri), records))
    assert probabilities == scorer.predict(frame.features).tolist()
    assert "any number or null" in refused
    assert "its root is taken" in document


def test_an_unknown_encoding_is_refused_with_the_known_ones(project: Project) -> None:
    project.write({"models/features.sql": FEATURES.replace("'signed_root'", "'square_root'")})
    output = project.process("build", exits=2)
    assert "no encoding 'square_root' for column 'amount'" in output
    assert "Known: category_index, cohort, embedding, flag, number, one_hot, ordinal, signed_root, text." in output
