"""Decoding a large request as columns gives the response, the bytes and the refusal of decoding it as records."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.model_server.data_plane.traffic import Traffic
from deployment.model_server.http import record_decoder
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.record_decoder import RecordDecoder
from deployment.model_server.http.request_body import decode
from deployment.model_server.http.scoring_request import ScoringRequest, parse
from deployment.model_server.models.contract_model import ContractModel
from scoring.compiled.linear import CompiledLinear
from scoring.encodings import ENCODINGS
from scoring.encodings.field_types import ChoiceField, NumberField, RequestFields
from scoring.hooks import Hooks
from scoring.record_table import RecordTable
from scoring.row_reader import MANY
from scoring.scorer import ResponseFormat, Scorer
from tests.unit.model_server import in_process
from tests.unit.model_server.in_process import ROOT, Caller, FakeRegistry, Scenario, creating
from tests.unit.scoring.test_row_reader import ENCODER, FIELDS, ODD, usual

run_scenario, registry = in_process.run_scenario, in_process.registry
FEATURES = len(ENCODER.features)
LINEAR = CompiledLinear("logistic", False, [0.1], [[0.001 * at for at in range(FEATURES)]], [1.0] * FEATURES)
RESPONSES = ResponseFormat(("label", "probability"), 0.5)
GOLDEN = {"age": 41, "amount": 2.5, "known": 3, "job": "nurse", "level": "high", "place": "Bonn", "active": True}
BAND = Hooks.find(None, "scoring.hooks.probability_band:add_band", GOLDEN, RESPONSES.samples())
SCORER = Scorer(None, ENCODER, RESPONSES, BAND, compiled=LINEAR)


def model_of(scorer: Scorer) -> ContractModel:
    return ContractModel(scorer.respond, decoder=RecordDecoder.of(scorer.encoder))


MODEL = model_of(SCORER)
OPEN_ENCODER = replace(ENCODER, unknown_categories="missing")
with pytest.MonkeyPatch.context() as patched:
    patched.setattr(record_decoder, "MANY_CHOICES", 1)
    LOOKED_UP = [model_of(replace(SCORER, encoder=replace(each))) for each in (ENCODER, OPEN_ENCODER)]
MODELS = [MODEL, model_of(replace(SCORER, encoder=OPEN_ENCODER)), *LOOKED_UP]
DECODER = MODEL.decoder
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


def outcome(request: ScoringRequest, model: ContractModel = MODEL) -> bytes | tuple[int, dict[str, Any]]:
    try:
        return model.predictions(request)
    except ApiError as err:
        return err.status, err.body()


@settings(max_examples=600, deadline=None)
@given(
    records=st.lists(usual, min_size=1, max_size=MAX_ROWS + 1),
    changes=st.lists(change, max_size=2),
    top=st.sampled_from(TOP),
    edit=st.none() | st.tuples(st.floats(0, 1), st.integers(0, 2), st.sampled_from(EDITS)),
    model=st.sampled_from(MODELS),
)
def test_a_decoded_request_is_the_one_of_the_other_decoder_or_none(
    records: list[dict[str, Any]],
    changes: list[Any],
    top: dict[str, Any],
    edit: tuple[float, int, str] | None,
    model: ContractModel,
) -> None:
    for row, field, value in changes:
        if row < len(records):
            records[row][field] = value
    text = json.dumps({"dataframe_records": records} | top)
    if edit is not None:
        at = int(edit[0] * len(text))
        text = text[:at] + edit[2] + text[at + edit[1] :]
    body = text.encode("latin-1")
    assert model.decoder is not None
    request = model.decoder.request(body, MAX_ROWS)
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
    assert outcome(request, model) == outcome(expected, model)


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
        body_of([GOLDEN | {"age": 41.5}]),
        body_of([GOLDEN | {"age": 17}]),
        body_of([GOLDEN | {"age": None}]),
        body_of([GOLDEN | {"job": "pilot"}]),
        body_of([GOLDEN | {"active": None}]),
        body_of([GOLDEN | {"active": 1}]),
        body_of([GOLDEN, GOLDEN | {"known": None}, GOLDEN | {"known": 0.5}]),
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


@pytest.mark.parametrize("model", MODELS[1::2], ids=["decoded as places", "looked up"])
def test_text_outside_an_open_vocabulary_is_decoded_and_stays_in_the_record(model: ContractModel) -> None:
    records = [GOLDEN | {"job": job, "place": place} for job in ("pilot", None, "") for place in ("", "Celle", None)]
    assert model.decoder is not None
    request = model.decoder.request(body_of(records), MAX_ROWS)
    assert request is not None
    assert outcome(request, model) == outcome(ScoringRequest(records), model)
    assert [*(request.rows or ())] == records


def test_a_batch_of_decoded_requests_reads_no_record() -> None:
    assert DECODER is not None
    groups = [[GOLDEN | {"age": 20 + number}] * number for number in (1, 2, MANY)]
    unread = []
    for records in groups:
        request = DECODER.request(body_of(records), MAX_ROWS)
        assert request is not None
        assert isinstance(request.rows, RecordTable)
        unread.append(ScoringRequest(replace(request.rows, make_records=_unread)))
    assert MODEL.batch_predictions(unread) == [outcome(ScoringRequest(records)) for records in groups]
    mixed = [unread[0], ScoringRequest(groups[1])]
    with pytest.raises(AssertionError, match="read"):
        MODEL.batch_predictions(mixed)


def _unread() -> list[dict[str, Any]]:
    raise AssertionError("a record was read")


def test_codes_of_another_version_are_not_read() -> None:
    reordered = {"gold.place_index": ("", "Bonn", "Aachen")}
    other = model_of(replace(SCORER, encoder=replace(ENCODER, vocabularies=reordered)))
    request = DECODER.request(body_of([GOLDEN] * MANY), MAX_ROWS) if DECODER else None
    assert request is not None
    assert outcome(request, other) == outcome(ScoringRequest([GOLDEN] * MANY), other) != outcome(request)


def test_each_version_of_an_endpoint_reads_a_large_request_by_its_own_decoder(
    run_scenario: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    reordered = replace(ENCODER, vocabularies={"gold.place_index": ("", "Bonn", "Aachen")})
    models = {"1": MODEL, "2": model_of(replace(SCORER, encoder=reordered)), "3": ContractModel(SCORER.respond)}
    monkeypatch.setattr(FakeRegistry, "__call__", lambda self, name, version: models[version])
    body = body_of([GOLDEN] * 64)
    assert len(body) > record_decoder.LARGE_BODY

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1", "2", "3", traffic={"1": 50, "2": 50, "3": 0}))
        await call.settled()
        for version, model in models.items():
            response = await call("POST", f"/serving-endpoints/e/served-models/m-{version}/invocations", body)
            assert response.body == json.loads(model.predictions(ScoringRequest([GOLDEN] * 64)))

    run_scenario(scenario)
    traffic = Traffic({version: models[version] for version in "32"}, (), {})
    assert traffic.decoder is models["2"].decoder


def test_encodings_of_one_field_admit_what_all_of_them_accept() -> None:
    low, high = NumberField(0, 9, whole=True, nullable=True), NumberField(2, 12, whole=False, nullable=True)
    fields = RequestFields.of([("a", high), ("a", low), ("b", high)])
    assert fields is not None
    assert dict(fields.types) == {"a": NumberField(2, 9, whole=True, nullable=True), "b": high}
    known, some, free = ChoiceField(("x", "y"), True), ChoiceField(("y", "z"), False), ChoiceField(("z",), True, True)
    assert known.merged(some) == ChoiceField(("y",), False)
    assert known.merged(free) == known
    assert free.merged(replace(free, values=("w",))) == ChoiceField(("z", "w"), True, True)
    assert RequestFields.of([("a", known), ("a", low)]) is None
    assert RequestFields.of([("a", None), ("b", low)]) is None
