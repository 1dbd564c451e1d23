"""Decoding a large request as columns gives the response, the bytes and the refusal of decoding it as records."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.model_server.data_plane.traffic import Traffic
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.record_decoder import RecordDecoder
from deployment.model_server.http.request_body import decode
from deployment.model_server.http.scoring_request import ScoringRequest, parse
from deployment.model_server.models.contract_model import ContractModel
from scoring.compiled.linear import CompiledLinear
from scoring.encodings import ENCODINGS
from scoring.hooks import Hooks
from scoring.row_reader import MANY
from scoring.scorer import ResponseFormat, Scorer
from tests.unit.scoring.test_row_reader import ENCODER, FIELDS, ODD, usual

FEATURES = len(ENCODER.features)
LINEAR = CompiledLinear("logistic", False, [0.1], [[0.001 * at for at in range(FEATURES)]], [1.0] * FEATURES)
RESPONSES = ResponseFormat(("label", "probability"), 0.5)
GOLDEN = {"age": 41, "amount": 2.5, "known": 3, "job": "nurse", "level": "high", "place": "Bonn", "active": True}
BAND = Hooks.find(None, "scoring.hooks.probability_band:add_band", GOLDEN, RESPONSES.samples())
SCORER = Scorer(None, ENCODER, RESPONSES, BAND, compiled=LINEAR)
MODEL = ContractModel(SCORER.respond)
DECODER = RecordDecoder.of(ENCODER)
MAX_ROWS = MANY + 3
odd = st.sampled_from([*ODD[:-2], "a:b", "é", "\ud800", "😀", 2**63 - 1, 2**63, -(2**63), -(2**70), 41.0])
change = st.tuples(st.integers(0, MANY + 3), st.sampled_from(FIELDS), odd)
EDITS = [
    "",
    ":",
    "{",
    "}",
    ",",
    '"',
    '"age": 41, ',
    "\\u0061",
    "\x01",
    "\xff",
    "NaN",
    "1e400",
    "01",
    "-0",
    "1e2",
    " ",
]
TOP = [
    {},
    {"client_request_id": "a"},
    {"client_request_id": None},
    {"params": {}},
    {"usage_context": {}},
    {"other": 1},
]


def outcome(request: ScoringRequest) -> bytes | tuple[int, dict[str, Any]]:
    try:
        return MODEL.predictions(request)
    except ApiError as err:
        return err.status, err.body()


@settings(max_examples=600, deadline=None)
@given(
    records=st.lists(usual, min_size=1, max_size=MAX_ROWS + 1),
    changes=st.lists(change, max_size=2),
    top=st.sampled_from(TOP),
    edit=st.none() | st.tuples(st.floats(0, 1), st.integers(0, 2), st.sampled_from(EDITS)),
)
def test_a_decoded_request_is_the_one_of_the_other_decoder_or_none(
    records: list[dict[str, Any]], changes: list[Any], top: dict[str, Any], edit: tuple[float, int, str] | None
) -> None:
    for row, field, value in changes:
        if row < len(records):
            records[row][field] = value
    text = json.dumps({"dataframe_records": records} | top)
    if edit is not None:
        at = int(edit[0] * len(text))
        text = text[:at] + edit[2] + text[at + edit[1] :]
    body = text.encode("latin-1")
    assert DECODER is not None
    request = DECODER.request(body, MAX_ROWS)
    if request is None:
        return
    expected = parse(decode(body), MAX_ROWS)
    assert request.rows is not None
    assert expected.rows is not None
    assert repr([dict(sorted(row.items())) for row in request.rows]) == repr(
        [dict(sorted(row.items())) for row in expected.rows]
    )
    assert (request.size, request.client_request_id) == (expected.size, expected.client_request_id)
    assert (request.tensor, request.params) == (expected.tensor, expected.params)
    assert outcome(request) == outcome(expected)


def body_of(records: Sequence[dict[str, Any]], **top: Any) -> bytes:
    return json.dumps({"dataframe_records": records, **top}).encode()


def test_usual_records_are_decoded() -> None:
    assert DECODER is not None
    records = [GOLDEN, GOLDEN | {"known": None, "job": None, "age": 41.0}] * 3
    request = DECODER.request(body_of(records, client_request_id="a"), MAX_ROWS)
    assert request is not None
    assert request.rows is not None
    assert [*request.rows] == records
    assert request.rows[1:2] == records[1:2]
    assert request.client_request_id == "a"


@pytest.mark.parametrize(
    "body",
    [
        body_of([]),
        body_of([GOLDEN] * (MAX_ROWS + 1)),
        body_of([GOLDEN | {"other": 1}]),
        body_of([{"age": 41}]),
        body_of([GOLDEN | {"place": "a:b"}]),
        body_of([GOLDEN | {"age": 2**63}]),
        body_of([GOLDEN], params={}),
        body_of([GOLDEN]).replace(b'"age": 41', b'"age": 40, "age": 41'),
        body_of([GOLDEN]) + b"x",
        b'{"dataframe_records": [1]}',
        b"[]",
        b"\xff",
    ],
    ids=lambda body: re.sub(rb"\W+", b" ", body[-30:]).decode(),
)
def test_unusual_bodies_are_left_to_the_other_decoder(body: bytes) -> None:
    assert DECODER is not None
    assert DECODER.request(body, MAX_ROWS) is None


def test_a_field_that_cannot_be_an_attribute_leaves_all_requests_to_the_other_decoder() -> None:
    encodings = ENCODINGS.validate_python([{"column": "monthly income", "as": "number"}])
    assert RecordDecoder.of(replace(ENCODER, encodings=encodings)) is None


def test_versions_of_an_endpoint_share_a_decoder_only_if_they_read_the_same_fields() -> None:
    other = RecordDecoder.of(replace(ENCODER, encodings=ENCODER.encodings[1:3]))
    models = {
        name: ContractModel(SCORER.respond, decoder=each)
        for name, each in {"a": DECODER, "b": RecordDecoder.of(ENCODER), "c": other, "d": None}.items()
    }
    shared = {"ab": DECODER, "c": other, "ac": None, "abd": None, "d": None, "": None}
    for names, decoder in shared.items():
        traffic = Traffic({name: models[name] for name in names}, (), {})
        assert traffic.decoder == decoder
