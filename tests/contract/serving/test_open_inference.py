"""The Open Inference Protocol over HTTP on a real server: the same predictions as the scoring route, bit by bit."""

import gzip
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.settings import ServerSettings

AGES = [50, 20, 7]


def call(server: ServerSettings, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of the response to a request with the data token."""
    sent = {"authorization": f"Bearer {read_token(server.data_token_file)}", "content-type": "application/json"}
    connection = HTTPConnection(server.host, server.port, timeout=60)
    raw = body if isinstance(body, bytes | None) else json.dumps(body)
    connection.request(method, path, raw, sent | {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    status, text = response.status, response.read()
    connection.close()
    return status, json.loads(text)


@pytest.fixture(scope="module")
def endpoints(server: ServerSettings) -> Iterator[None]:
    client = endpoint_client.connect(server.url, read_token(server.token_file))
    endpoint_client.deploy(client, "age", "term_deposit", 1)
    endpoint_client.deploy(client, "amounts", "plain", 1)
    yield


def ages(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "age", "shape": [3], "datatype": "INT64", "data": AGES} | changes]}


def test_health_and_metadata(server: ServerSettings, endpoints: None) -> None:
    for path, body in (("/v2/health/live", {"live": True}), ("/v2/health/ready", {"ready": True})):
        assert call(server, "GET", path, authorization="") == (200, body)
    status, metadata = call(server, "GET", "/v2", authorization="")
    assert (status, metadata["name"], metadata["extensions"]) == (200, "lakehouse-ml", [])
    for path in ("/v2/models/amounts", "/v2/models/amounts/versions/1"):
        status, model = call(server, "GET", path)
        assert (status, model["name"], model["versions"]) == (200, "amounts", ["1"])
        assert model["inputs"] == [
            {"name": "amount", "datatype": "FP64", "shape": [-1]},
            {"name": "state", "datatype": "BYTES", "shape": [-1]},
        ]
        assert call(server, "GET", f"{path}/ready") == (200, {"name": "amounts", "ready": True})
    assert call(server, "GET", "/v2/models/amounts", authorization="")[0] == 401
    for path in ("/v2/models/nowhere", "/v2/models/age/versions/9", "/v2/models/nowhere/ready"):
        status, answer = call(server, "GET", path)
        assert (status, list(answer)) == (404, ["error"])


def test_the_predictions_are_those_of_the_scoring_route(server: ServerSettings, endpoints: None) -> None:
    rows = {"dataframe_records": [{"age": age} for age in AGES]}
    expected = call(server, "POST", "/serving-endpoints/age/invocations", rows)[1]["predictions"]
    for body in (
        ages(),
        ages(shape=[3, 1]),
        ages(shape=[3, 1], data=[[age] for age in AGES]),
        ages(datatype="UINT8"),
    ):
        for path in ("/v2/models/age", "/v2/models/age/versions/1", "/v2/models/age/versions/term_deposit-1"):
            status, answer = call(server, "POST", f"{path}/infer", body | {"id": "mine"})
            assert status == 200, answer
            assert (answer["model_name"], answer["model_version"], answer["id"]) == ("age", "1", "mine")
            columns = {each["name"]: each["data"] for each in answer["outputs"]}
            assert [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] == expected
            assert [(each["datatype"], each["shape"]) for each in answer["outputs"]] == [
                ("INT64", [3]),
                ("FP64", [3]),
            ]


def test_columns_of_several_types_with_missing_values(server: ServerSettings, endpoints: None) -> None:
    body = {
        "inputs": [
            {"name": "amount", "shape": [2], "datatype": "FP64", "data": [0.1, 1e-300]},
            {"name": "state", "shape": [2, 1], "datatype": "BYTES", "data": [["é"], [None]]},
        ],
        "outputs": [{"name": "state"}],
        "parameters": {"content_type": "pd"},
    }
    rows = {"dataframe_records": [{"amount": 0.1, "state": "é"}, {"amount": 1e-300, "state": None}]}
    expected = call(server, "POST", "/serving-endpoints/amounts/invocations", rows)[1]["predictions"]
    status, answer = call(server, "POST", "/v2/models/amounts/infer", body)
    assert (status, answer["outputs"]) == (
        200,
        [{"name": "state", "datatype": "BYTES", "shape": [2], "data": [row["state"] for row in expected]}],
    )
    packed = gzip.compress(json.dumps(body | {"outputs": []}).encode())
    status, answer = call(server, "POST", "/v2/models/amounts/infer", packed, content_encoding="gzip")
    assert [each["data"] for each in answer["outputs"]] == [[row[name] for row in expected] for name in expected[0]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "the body has no field inputs"),
        ({"inputs": []}, "tensors with distinct names"),
        ({"inputs": ages()["inputs"] * 2}, "tensors with distinct names"),
        (ages(shape=[2]), "has 3 values; the shape [2] has 2"),
        (ages(shape=[3, 2], data=[[1, 2], [3], [4, 5]]), "does not have the shape [3, 2]"),
        (ages(shape=[0], data=[]), "positive whole numbers"),
        (ages(shape=[1, 3] + 2000 * [1]), "a list of 1 to 8 positive whole numbers"),
        (ages(datatype="INT65"), "datatype must be one of BOOL"),
        (ages(datatype="INT8", data=[1, 2, 128]), "row 2, field 'age': expected a value of INT8, got 128"),
        (ages(data=[1, 2, 2.5]), "row 2, field 'age': expected a value of INT64, got 2.5"),
        (ages(data=[1, True, 2]), "row 1, field 'age': expected a value of INT64, got True"),
        (ages(datatype="BYTES", data=["1", "2", "3"]), "row 0, field 'age'"),
        (ages(parameters={"binary_data_size": 24}), "does not support: ['binary_data_size']"),
        (ages(name="years"), "age"),
        (ages() | {"outputs": [{"name": "none"}]}, "No output is named none; outputs: version, probability"),
        (ages() | {"extra": 1}, "unknown fields: extra"),
        (b"[", "not JSON"),
    ],
)
def test_a_wrong_request_gets_400_with_its_reason(
    server: ServerSettings, endpoints: None, body: Any, says: str
) -> None:
    status, answer = call(server, "POST", "/v2/models/age/infer", body)
    assert (status, list(answer)) == (400, ["error"])
    assert says in answer["error"]


def test_the_document_of_an_endpoint_has_the_paths_of_the_protocol(server: ServerSettings, endpoints: None) -> None:
    document = call(server, "GET", "/serving-endpoints/amounts/openapi")[1]
    for path in ("/v2/models/amounts/infer", "/v2/models/amounts/versions/1/infer"):
        operation = document["paths"][path]["post"]
        validator = Draft202012Validator(operation["requestBody"]["content"]["application/json"]["schema"])
        tensors = [
            {"name": "amount", "shape": [1], "datatype": "FP64", "data": [2.5]},
            {"name": "state", "shape": [1], "datatype": "BYTES", "data": [None]},
        ]
        validator.validate({"id": "x", "inputs": tensors})
        assert not validator.is_valid({"inputs": [tensors[0] | {"datatype": "BYTES"}]})
        answers = Draft202012Validator(operation["responses"]["200"]["content"]["application/json"]["schema"])
        answers.validate(call(server, "POST", path, {"inputs": tensors})[1])
        assert "error" in operation["responses"]["400"]["content"]["application/json"]["schema"]["properties"]


def test_requests_of_the_protocol_count_in_metrics(server: ServerSettings, endpoints: None) -> None:
    call(server, "POST", "/v2/models/age/infer", ages())
    connection = HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", "/metrics", headers={"authorization": f"Bearer {read_token(server.data_token_file)}"})
    text = connection.getresponse().read().decode()
    connection.close()
    counted = [line for line in text.splitlines() if line.startswith("model_server_request_seconds_count{")]
    assert any('endpoint="age"' in line and 'status="200"' in line and 'version="1"' in line for line in counted)
