"""Bodies of scoring and control requests: valid ones, and the error for each invalid one."""

import json
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
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b'{"a": NaN}', "NaN is not a JSON number, at a"),
        (b"NaN", "NaN is not a JSON number, at the top level"),
        (b'{"rows": [{"a": 1}, {"a": Infinity}]}', r"Infinity is not a JSON number, at rows\[1\].a"),
        (b'{"columns": ["a"], "data": [[1], [2e999]]}', r"2e999 is out of range, at data\[1\]\[0\]"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e400}', "1e400 is out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": 1, "b": 2, "a": 1}', "duplicate key 'a'"),
        (b'{"rows": [{}, {"a": 1, "a": 1}]}', r"duplicate key 'a' in one object, at rows\[1\].a"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b"[" * 100_000, "too deeply"),
    ],
)
def test_bodies_that_are_not_strict_json_are_refused(body: bytes, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        decode(body)
    assert refused.value.status == 400


KEYS = st.sampled_from(['"a"', '"b"', '"{"', '"c:"'])


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON objects as text, with keys that may repeat."""
    pairs = st.lists(st.tuples(KEYS, inner).map(":".join), max_size=4)
    return pairs.map(lambda each: f"{{{','.join(each)}}}")


VALUES = st.recursive(
    st.sampled_from(["1", "null", '"x"', '":"', '"{"', "{}", "[]"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]") | objects(inner),
    max_leaves=12,
)


@given(objects(VALUES))
def test_a_key_that_repeats_is_found_at_any_depth(text: str) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise KeyError
        return dict(pairs)

    try:
        expected = json.loads(text, object_pairs_hook=unique)
    except KeyError:
        with pytest.raises(ApiError, match="duplicate key"):
            decode(text.encode())
    else:
        assert decode(text.encode()) == expected


def test_a_surrogate_pair_is_valid_text() -> None:
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
def test_every_format_gives_the_same_rows(body: Any, rows: Any) -> None:
    request = parse_scoring(body, max_rows=2)
    assert (request.rows, request.tensor, request.size) == (rows, None, len(rows))


@pytest.mark.parametrize("name", ["instances", "inputs"])
def test_nested_lists_are_a_tensor(name: str) -> None:
    assert parse_scoring({name: [[1, 2], [3, 4]]}, max_rows=2).tensor == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "must be an object"),
        (None, "is null"),
        ({}, "no fields"),
        ({"rows": []}, "it has 'rows'"),
        ({"instances": [], "inputs": []}, "instances and inputs"),
        ({"instances": [1], "extra_params": {"k": 1}}, "Unknown fields next to 'instances': extra_params"),
        ({"instances": [1], "params": [1]}, "params must be an object, but is a list"),
        ({"instances": [1], "client_request_id": 7}, "client_request_id must be text, but is a number"),
        ({"instances": [1], "usage_context": [1]}, "usage_context must be an object, but is a list"),
        ({"dataframe_records": {}}, "must be a list, but is an object"),
        ({"dataframe_records": [{}, 3]}, "row 1: expected an object with named fields, got a number"),
        ({"dataframe_records": []}, "has 0 rows; send 1 to 2"),
        ({"dataframe_records": [{}, {}, {}]}, "has 3 rows; send 1 to 2"),
        ({"dataframe_split": []}, "'columns' and 'data', but is a list"),
        ({"dataframe_split": {"columns": []}}, r"an object with \['columns'\]"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "must be distinct names"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "must be distinct names"),
        ({"dataframe_split": {"columns": [["a"]], "data": [[1]]}}, "must be distinct names"),
        ({"dataframe_split": {"columns": "a", "data": []}}, "columns' must be a list"),
        ({"dataframe_split": {"columns": ["a"], "index": 7, "data": [[1]]}}, "index' must be a list"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}, "row 1: expected a list of 1 value"),
        ({"dataframe_split": {"columns": ["a"], "data": [{"a": 1}]}}, "row 0: .* got an object"),
        ({"instances": [{"a": 1}, 2]}, "row 1: expected an object"),
        ({"instances": [2, {"a": 1}]}, "row 1: expected a number like row 0, got an object"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "differ in length"),
        ({"inputs": {"a": 1}}, "'inputs.a' must be a list"),
        ({"inputs": {}}, "has 0 rows"),
    ],
)
def test_invalid_scoring_requests_are_refused(body: Any, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        parse_scoring(body, max_rows=2)
    assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")


@given(st.dictionaries(st.sampled_from(["dataframe_records", "dataframe_split", "instances", "inputs"]), JSON))
def test_any_scoring_body_is_parsed_or_refused_with_400(body: Any) -> None:
    try:
        assert parse_scoring(body, max_rows=2).size in {1, 2}
    except ApiError as refused:
        assert refused.status == 400


ENTITY = {"entity_name": "main.risk.model", "entity_version": "3"}


def routes(**shares: Any) -> dict[str, Any]:
    return {"routes": [{"served_entity_name": k, "traffic_percentage": v} for k, v in shares.items()]}


def test_a_single_entity_gets_its_default_name_and_all_traffic() -> None:
    given_config = parse(ConfigInput, {"served_entities": [ENTITY]}).config()
    assert given_config.entities == (ServedEntity("model-3", "main.risk.model", "3"),)
    assert given_config.routes == (Route("model-3", 100),)


def test_the_older_served_models_fields_are_accepted() -> None:
    older = {
        "served_models": [{"model_name": "m", "model_version": "2", "workload_size": "Medium"}],
        "traffic_config": {"routes": [{"served_model_name": "m-2", "traffic_percentage": 100}]},
    }
    assert parse(ConfigInput, older).config().entities == (ServedEntity("m-2", "m", "2", "Medium"),)


def test_an_update_of_the_traffic_keeps_the_entities() -> None:
    entities = (ServedEntity("a", "m", "1"), ServedEntity("b", "m", "2"))
    current = EndpointConfig(4, entities, (Route("a", 100),))
    moved = parse(ConfigInput, {"traffic_config": routes(a=10, b=90)}).config(current)
    assert (moved.entities, moved.routes) == (entities, (Route("a", 10), Route("b", 90)))


def test_unsupported_fields_are_ignored_when_unset() -> None:
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
        ({"name": "a b", "config": {}}, "name: a name has"),
        ({"name": "../x", "config": {}}, "name: a name has"),
        ({"name": "e"}, "config: Field required"),
        ({"name": "e", "config": {}}, "at least one model version"),
        ({"name": "e", "config": {"served_entities": []}}, "at least one model version"),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "entity_version": 3}]}},
            "entity_version: .* string",
        ),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "entity_version": "champion"}]}},
            "resolve an alias",
        ),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "entity_version": "0"}]}}, "a number from 1"),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "typo": 1}]}}, "0.typo: Extra inputs"),
        ({"name": "e", "config": {"served_entities": [{**ENTITY, "name": "a.b"}]}}, "a name has"),
        ({"name": "e", "config": {"served_entities": [ENTITY, ENTITY]}}, "a name is used twice"),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "workload_size": "Gigantic"}]}},
            r"0\.workload_size: must be one of Small, Medium, Large, not 'Gigantic'",
        ),
        (
            {"name": "e", "config": {"served_models": [{**ENTITY, "workload_type": "GPU_SMALL"}]}},
            r"0\.workload_type: this server has no GPU: GPU_SMALL is not available, use CPU",
        ),
        (
            {"name": "e", "config": {"served_entities": [{**ENTITY, "workload_type": "TPU"}]}},
            r"0\.workload_type: must be CPU, not 'TPU'",
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
            "set the traffic percentages of model-3, b",
        ),
    ],
)
def test_invalid_create_requests_are_refused(body: Any, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        parse(CreateInput, body).config.config()
    assert (refused.value.status, refused.value.code) == (400, "INVALID_PARAMETER_VALUE")


def test_every_workload_type_of_the_api_is_cpu_or_a_known_gpu() -> None:
    assert {each.value for each in ServingModelWorkloadType} == {"CPU", *GPUS}


@pytest.mark.parametrize(
    ("traffic", "says"),
    [
        (routes(a=60, b=30), "sum to 90"),
        (routes(a=60, c=40), "no served entity is named c; known names: a, b"),
        (routes(a=101), "less than or equal to 100"),
        (routes(a=-1, b=101), "greater than or equal to 0"),
        (routes(a=50.5, b=49.5), "integer"),
        ({"routes": []}, "at least 1 item"),
        ({"routes": [{"traffic_percentage": 100}]}, "needs exactly one served_entity_name"),
        ({"routes": routes(a=50)["routes"] * 2}, "has two routes"),
    ],
)
def test_inconsistent_traffic_is_refused(traffic: Any, says: str) -> None:
    entities = [{**ENTITY, "name": "a"}, {**ENTITY, "name": "b"}]
    with pytest.raises(ApiError, match=says):
        parse(ConfigInput, {"served_entities": entities, "traffic_config": traffic}).config()


@given(JSON)
def test_any_create_body_is_parsed_or_refused_with_400(body: Any) -> None:
    try:
        parse(CreateInput, body).config.config()
    except ApiError as refused:
        assert refused.status == 400
