"""Bodies of scoring and control requests: what is taken, and how each wrong one is refused."""

from typing import Any

import pytest
from databricks.sdk.service.serving import ServingModelWorkloadType
from hypothesis import given
from hypothesis import strategies as st

from deployment.model_server.endpoints.control_requests import GPUS, ConfigInput, CreateInput, parse
from deployment.model_server.endpoints.endpoint import EndpointConfig, Route, ServedEntity
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import decode
from deployment.model_server.http.scoring_request import parse as parse_scoring

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
FIELDS = ["a", "columns", "data", "name", "config", "served_entities", "entity_name", "traffic_config", "routes"]
JSON = st.recursive(
    st.sampled_from([None, True, 0, -1, 2.5, "", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"{", "line 1, column 2"),
        (b'{"a": NaN}', "NaN is no JSON number, at a"),
        (b"NaN", "NaN is no JSON number, at its top"),
        (b'{"rows": [{"a": 1}, {"a": Infinity}]}', r"Infinity is no JSON number, at rows\[1\].a"),
        (b'{"columns": ["a"], "data": [[1], [2e999]]}', r"2e999 is beyond the range of numbers, at data\[1\]\[0\]"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": 1e400}', "1e400 is beyond the range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": 1, "b": 2, "a": 1}', "'a' stands twice"),
        (b'{"rows": [{}, {"a": 1, "a": 1}]}', r"'a' stands twice in one object, at rows\[1\].a"),
        (b'{"a": "\xff"}', "no UTF-8"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b"[" * 100_000, "too deeply"),
    ],
)
def test_what_is_no_strict_json_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        decode(body)
    assert refused.value.status == 400


def test_a_pair_of_surrogates_is_text() -> None:
    assert decode(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"dataframe_records": ROWS}, ROWS),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}}, ROWS),
        ({"dataframe_split": {"columns": ["a"], "index": [7], "data": [[1]]}}, [{"a": 1}]),
        ({"instances": ROWS}, ROWS),
        ({"inputs": {"a": [1, 2], "b": ["x", None]}}, ROWS),
        ({"inputs": ROWS}, ROWS),
        ({"instances": ROWS, "client_request_id": "7", "usage_context": {"k": "v"}}, ROWS),
    ],
)
def test_each_format_comes_to_the_same_rows(body: Any, rows: Any) -> None:
    request = parse_scoring(body, max_rows=2)
    assert (request.rows, request.tensor, request.size) == (rows, None, len(rows))


@pytest.mark.parametrize("name", ["instances", "inputs"])
def test_lists_are_a_tensor(name: str) -> None:
    assert parse_scoring({name: [[1, 2], [3, 4]]}, max_rows=2).tensor == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "must be an object"),
        (None, "is null"),
        ({}, "no fields"),
        ({"rows": []}, "it has 'rows'"),
        ({"instances": [], "inputs": []}, "instances and inputs"),
        ({"instances": [1], "extra_params": {"k": 1}}, "Not supported beside 'instances': extra_params"),
        ({"instances": [1], "params": [1]}, "params must be an object, and is a list"),
        ({"instances": [1], "client_request_id": 7}, "client_request_id must be text, and is a number"),
        ({"instances": [1], "usage_context": [1]}, "usage_context must be an object, and is a list"),
        ({"dataframe_records": {}}, "must be a list, and is an object"),
        ({"dataframe_records": [{}, 3]}, "row 1: expected an object of named fields, got a number"),
        ({"dataframe_records": []}, "has 0 rows; send 1 to 2"),
        ({"dataframe_records": [{}, {}, {}]}, "has 3 rows; send 1 to 2"),
        ({"dataframe_split": []}, "'columns' and 'data', and is a list"),
        ({"dataframe_split": {"columns": []}}, r"an object with \['columns'\]"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "names that differ"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "names that differ"),
        ({"dataframe_split": {"columns": [["a"]], "data": [[1]]}}, "names that differ"),
        ({"dataframe_split": {"columns": "a", "data": []}}, "columns' must be a list"),
        ({"dataframe_split": {"columns": ["a"], "index": 7, "data": [[1]]}}, "index' must be a list"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}, "row 1: expected a list of 1 value"),
        ({"dataframe_split": {"columns": ["a"], "data": [{"a": 1}]}}, "row 0: .* got an object"),
        ({"instances": [{"a": 1}, 2]}, "row 1: expected an object"),
        ({"instances": [2, {"a": 1}]}, "row 1: expected a number, as row 0 is, got an object"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "differ in length"),
        ({"inputs": {"a": 1}}, "'inputs.a' must be a list"),
        ({"inputs": {}}, "has 0 rows"),
    ],
)
def test_what_is_no_scoring_request_is_refused(body: Any, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        parse_scoring(body, max_rows=2)
    assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")


@given(st.dictionaries(st.sampled_from(["dataframe_records", "dataframe_split", "instances", "inputs"]), JSON))
def test_no_scoring_body_fails_in_another_way(body: Any) -> None:
    try:
        assert parse_scoring(body, max_rows=2).size in {1, 2}
    except ApiError as refused:
        assert refused.status == 400


ENTITY = {"entity_name": "main.risk.model", "entity_version": "3"}


def routes(**shares: Any) -> dict[str, Any]:
    return {"routes": [{"served_entity_name": k, "traffic_percentage": v} for k, v in shares.items()]}


def test_one_entity_gets_its_default_name_and_all_the_traffic() -> None:
    given_config = parse(ConfigInput, {"served_entities": [ENTITY]}).config()
    assert given_config.entities == (ServedEntity("model-3", "main.risk.model", "3"),)
    assert given_config.routes == (Route("model-3", 100),)


def test_the_older_spelling_is_understood() -> None:
    older = {
        "served_models": [{"model_name": "m", "model_version": "2", "workload_size": "Medium"}],
        "traffic_config": {"routes": [{"served_model_name": "m-2", "traffic_percentage": 100}]},
    }
    assert parse(ConfigInput, older).config().entities == (ServedEntity("m-2", "m", "2", "Medium"),)


def test_traffic_alone_keeps_the_entities() -> None:
    entities = (ServedEntity("a", "m", "1"), ServedEntity("b", "m", "2"))
    current = EndpointConfig(4, entities, (Route("a", 100),))
    moved = parse(ConfigInput, {"traffic_config": routes(a=10, b=90)}).config(current)
    assert (moved.entities, moved.routes) == (entities, (Route("a", 10), Route("b", 90)))


def test_fields_that_are_empty_or_off_are_tolerated() -> None:
    body = {
        "name": "e",
        "config": {"served_entities": [ENTITY], "auto_capture_config": None},
        "route_optimized": False,
    }
    assert parse(CreateInput, body).name == "e"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (7, "dictionary"),
        ({"config": {}}, "name: Field required"),
        ({"name": "a b", "config": {}}, "name: a name is"),
        ({"name": "../x", "config": {}}, "name: a name is"),
        ({"name": "e"}, "config: Field required"),
        ({"name": "e", "config": {}}, "at least one model version"),
        ({"name": "e", "config": {"served_entities": []}}, "at least one model version"),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "entity_version": 3}]}},
            "entity_version: .* string",
        ),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "entity_version": "champion"}]}}, "aliases"),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "entity_version": "0"}]}}, "a number from 1"),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "typo": 1}]}}, "0.typo: Extra inputs"),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "name": "a.b"}]}}, "a name is"),
        ({"name": "e", "config": {"served_entities": [ENTITY, ENTITY]}}, "stands twice"),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "workload_size": "Gigantic"}]}},
            r"0\.workload_size: one of Small, Medium, Large, and not 'Gigantic'",
        ),
        (
            {"name": "e", "config": {"served_models": [{**ENTITY, "workload_type": "GPU_SMALL"}]}},
            r"0\.workload_type: this server has no GPU, and so no GPU_SMALL; it has CPU",
        ),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "workload_type": "TPU"}]}},
            r"0\.workload_type: CPU, and not 'TPU'",
        ),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "environment_vars": {"A": "b"}}]}},
            "not supported by this server: environment_vars",
        ),
        (
            {"name": "e", "rate_limits": [{"calls": 1}], "budget_policy_id": "x", "config": {}},
            "budget_policy_id, rate_limits",
        ),
        ({"name": "e", "route_optimized": True, "config": {}}, "not supported by this server: route_optimized"),
        (
            {"name": "e", "config": {"served_entities": [ENTITY, {**ENTITY, "name": "b"}]}},
            "say how model-3, b share the traffic",
        ),
    ],
)
def test_what_is_no_endpoint_is_refused(body: Any, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        parse(CreateInput, body).config.config()
    assert (refused.value.status, refused.value.code) == (400, "INVALID_PARAMETER_VALUE")


def test_the_workload_types_of_the_api_are_cpu_and_those_that_are_refused_by_name() -> None:
    assert {each.value for each in ServingModelWorkloadType} == {"CPU", *GPUS}


@pytest.mark.parametrize(
    ("traffic", "says"),
    [
        (routes(a=60, b=30), "sum to 90"),
        (routes(a=60, c=40), "no served entity is named c; known: a, b"),
        (routes(a=101), "less than or equal to 100"),
        (routes(a=-1, b=101), "greater than or equal to 0"),
        (routes(a=50.5, b=49.5), "integer"),
        ({"routes": []}, "at least 1 item"),
        ({"routes": [{"traffic_percentage": 100}]}, "names one served_entity_name"),
        ({"routes": routes(a=50)["routes"] * 2}, "has two routes"),
    ],
)
def test_traffic_that_does_not_add_up_is_refused(traffic: Any, says: str) -> None:
    entities = [{**ENTITY, "name": "a"}, {**ENTITY, "name": "b"}]
    with pytest.raises(ApiError, match=says):
        parse(ConfigInput, {"served_entities": entities, "traffic_config": traffic}).config()


@given(JSON)
def test_no_control_body_fails_in_another_way(body: Any) -> None:
    try:
        parse(CreateInput, body).config.config()
    except ApiError as refused:
        assert refused.status == 400
