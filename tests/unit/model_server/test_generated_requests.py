"""The input contract under generated requests: no request makes the server fail or hang."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deployment.model_server.app import create_app
from deployment.model_server.models import version_schema
from deployment.model_server.models.contract_model import ContractModel, LoadedModel
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.settings import ServerSettings
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.scorer import ResponseFormat, Scorer
from tests.unit.frames import ENCODER
from tests.unit.model_server.generated_requests import NOISE, Generated, requests_of, row_schema
from tests.unit.model_server.in_process import ROOT, SCORE, Caller, Response, creating, with_lifespan
from tests.unit.scoring.test_scorer import PIPELINE, RECORDS

EVERY_KIND = [
    {"column": "amount", "as": "number", "type": "double"},
    {"column": "place", "as": "category_index", "index": "gold.place_index"},
    {"column": "known", "as": "number", "impute": 0, "minimum": -5, "maximum": 120},
    {"column": "known", "as": "cohort", "bounds": [18, 50]},
    {"column": "channel", "as": "one_hot", "categories": ["cellular", "telephone"]},
    {"column": "education", "as": "ordinal", "categories": ["primary", "secondary"], "impute": "primary"},
    {"column": "member", "as": "flag"},
]
SCORER = Scorer(
    PIPELINE,
    Encoder(ENCODINGS.validate_python(EVERY_KIND), ENCODER.vocabularies, ENCODER.features),
    ResponseFormat(("label", "probability"), 0.5),
)
EXAMPLE = RECORDS[0] | {"channel": "cellular", "education": None, "member": True}
SCHEMA = version_schema.of_scorer(SCORER, 1_600_000_000.0, EXAMPLE)
ROW = SCHEMA.row
GENERATED = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)

Ask = Callable[..., Response]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Send a request to an application whose endpoint `e` serves the scorer."""
    folder: Path = tmp_path_factory.mktemp("generated")
    server = ServerSettings(folder, folder / "state", "unused", max_body_bytes=50_000)
    models: dict[str, LoadedModel] = {"m": ContractModel(SCORER.respond)}
    app = create_app(server, load=lambda name, version: models[name], find_schema=_schema_of)
    with asyncio.Runner() as runner:
        life = with_lifespan(app)
        runner.run(life.__aenter__())
        call = Caller(app, server.token_file.read_text().strip())
        runner.run(call("POST", ROOT, creating("1")))
        runner.run(call.settled())
        yield lambda *args, **kwargs: runner.run(asyncio.wait_for(call(*args, **kwargs), 10))
        runner.run(life.__aexit__(None, None, None))


def _schema_of(name: str, version: str) -> VersionSchema:
    return SCHEMA


def test_openapi_schema_matches_the_encodings(ask: Ask) -> None:
    document = ask("GET", f"{ROOT}/e/openapi").body
    assert document == ask("GET", "/serving-endpoints/e/openapi").body
    assert document["openapi"] == "3.1.0"
    row = row_schema(document, SCORE)
    assert row == row_schema(document, "/serving-endpoints/e/served-models/m-1/invocations")
    assert row["required"] == ["amount", "place", "known", "channel", "education", "member"]
    assert row["properties"]["known"] == {"type": ["integer", "null"], "minimum": -5, "maximum": 120}
    assert row["properties"]["channel"] == {"type": ["string", "null"], "enum": ["cellular", "telephone", None]}
    assert row["properties"]["member"] == {"type": "boolean"}
    operation = document["paths"][SCORE]["post"]
    example_body = operation["requestBody"]["content"]["application/json"]["example"]
    assert ask("POST", SCORE, example_body).status == 200
    prediction = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]
    assert prediction["items"]["properties"] == {"label": {"type": "integer"}, "probability": {"type": "number"}}


def test_openapi_descriptions_add_what_json_schema_cannot_express(ask: Ask) -> None:
    content = ask("GET", f"{ROOT}/e/openapi").body["paths"][SCORE]["post"]["requestBody"]["content"]
    formats = {each["required"][0]: each["properties"] for each in content["application/json"]["schema"]["oneOf"]}
    columns = formats["inputs"]["inputs"]["anyOf"][1]
    assert "longer lists of equal length work as well" in columns["description"]
    several = {"inputs": {name: [value] * 3 for name, value in EXAMPLE.items()}}
    assert len(ask("POST", SCORE, several).body["predictions"]) == 3
    split = formats["dataframe_split"]["dataframe_split"]
    assert "any order" in split["description"]
    backwards = dict(reversed(EXAMPLE.items()))
    body = {"dataframe_split": {"columns": list(backwards), "data": [list(backwards.values())]}}
    assert ask("POST", SCORE, body).body == ask("POST", SCORE, {"instances": [EXAMPLE]}).body


@GENERATED
@given(request=requests_of(ROW))
def test_each_request_succeeds_or_fails_as_the_openapi_document_states(ask: Ask, request: Generated) -> None:
    response = ask("POST", SCORE, request.body, content_type=request.content_type)
    assert response.status == 200 or 400 <= response.status < 500, response
    if request.fits is not None:
        assert (response.status == 200) is request.fits, response.body
    if response.status == 200:
        assert request.rows is None or len(response.body["predictions"]) == request.rows
        assert all(0 <= prediction["probability"] <= 1 for prediction in response.body["predictions"])
    else:
        assert response.body["error_code"] and response.body["message"]
    if request.kind in {"missing", "too many"}:
        assert {"row", "field", "expected", "got"} == response.body["problems"][0].keys()


@GENERATED
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "X"]),
    parts=st.lists(
        st.sampled_from(["api", "2.0", "serving-endpoints", "permissions", "x", "pt", "config", "tags", "ai-gateway",
                         "invocations", "served-models", "logs", "metrics", "try", "ping", "..", "%00", "é", ""]),
        max_size=6,
    ),
    body=NOISE,
)  # fmt: skip
@example(method="GET", parts=["serving-endpoints", "é", "ping"], body=None)
def test_no_path_or_body_makes_the_control_plane_fail(ask: Ask, method: str, parts: list[str], body: Any) -> None:
    response = ask(method, "/" + "/".join(parts), body)
    assert response.status < 500 or response.body["error_code"] == "NOT_IMPLEMENTED", response


@GENERATED
@given(body=st.fixed_dictionaries({}, optional={"name": NOISE, "config": NOISE, "tags": NOISE, "ai_gateway": NOISE}))
def test_no_body_makes_create_or_update_fail(ask: Ask, body: Any) -> None:
    for method, path in (("POST", ROOT), ("PUT", f"{ROOT}/e/config"), ("PATCH", f"{ROOT}/e/tags")):
        assert ask(method, path, body).status in {200, 400}
    assert ask("PUT", f"{ROOT}/e/ai-gateway", {"inference_table_config": body}).status in {200, 400}
