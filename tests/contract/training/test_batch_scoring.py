"""Batch scoring: a table of the endpoint's responses, to the bit, written completely or not at all."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.tracking import MlflowClient

from benchmarks.harness.jvm_spark import available
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel
from lakehouse.engine.payload_limit import PayloadTooLarge
from lakehouse.session import new_session, open_session
from lakehouse.tables.warehouse import TableNotFound
from scoring.batch import PackedScorer
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.hooks import Hooks
from scoring.scorer import RejectedRecord, ResponseFormat, Scorer
from scoring.tasks import MULTICLASS
from tests.contract.feature_store.homes import Declared, LocalHome
from tests.unit.frames import ENCODER, alternating
from tests.unit.in_memory_reader import use_case
from tests.unit.scoring.test_scorer import PARAMS, PIPELINE
from training.batch_scoring import ScoreRefused, ScoringVersion, counts, find_version, score
from training.feature_store.errors import KeyTypesDiffer, TableExists
from training.frame.raw_inputs import without_features
from training.registry.frame_declaration import FRAME, frame_declaration
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Params
from training.use_case.use_case import LookupDeclaration

BOTH = ResponseFormat(("label", "probability"), 0.5)
GOLDEN = {"amount": 1.5, "place": "Bonn", "known": None}
BANDED = Hooks.find(None, "scoring.hooks.probability_band:add_band", GOLDEN, BOTH.samples())
PLAIN, HOOKED = Scorer(PIPELINE, ENCODER, BOTH), Scorer(PIPELINE, ENCODER, BOTH, BANDED)
NEIGHBOURS = Candidate(
    "knn", {"n_neighbors": 5, "weights": "distance", "distance": "cosine", "numeric_shape": "as_is"}
)
CASE = use_case("gold.people")
NUMBERS = without_features(alternating(80), ["place_index"])
PLACES = ("Aachen", "Bonn", "Celle", "Bonn", None)
RECORDS: list[dict[str, Any]] = [
    {"amount": row / 7 - 3, "place": PLACES[row % 5], "known": None if row % 3 == 0 else row % 9} for row in range(60)
]
DAY = datetime(2024, 1, 1, tzinfo=UTC)
NO_JAVA = pytest.mark.skipif(not available(), reason="no java on the PATH")
TIME = pa.timestamp("us", "UTC")


@pytest.fixture
def home(tmp_path: Path) -> LocalHome:
    return LocalHome(open_session(), tmp_path)


@pytest.fixture(params=["sail", pytest.param("jvm", marks=[NO_JAVA, pytest.mark.jvm])])
def any_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalHome]:
    if request.param == "sail":
        yield LocalHome(open_session(), tmp_path)
    else:
        session = new_session(request.getfixturevalue("jvm_spark"))
        yield LocalHome(session, tmp_path)
        session.stop()


def table(records: Sequence[dict[str, Any]]) -> pa.Table:
    """The records with a key each, and an unused column."""
    return pa.Table.from_pylist([{"entity": row, **record, "remark": "-"} for row, record in enumerate(records)])


def served(scorer: Scorer, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predictions of the endpoint, from its JSON body."""
    body = ContractModel(scorer.respond).predictions(ScoringRequest(json.loads(json.dumps(records))))
    responses: list[dict[str, Any]] = json.loads(body)["predictions"]
    return responses


def scored(home: LocalHome, scorer: Scorer, source: str = "gold.new", target: str = "gold.responses") -> pa.Table:
    score(CASE, ScoringVersion(7, scorer), home.store, source, target)
    return home.store.rows(target).toArrow().sort_by("entity")


@pytest.mark.parametrize(
    "scorer",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(HOOKED, id="hooked"),
        pytest.param(Scorer(fit(NEIGHBOURS, alternating(80), 0), ENCODER, BOTH), id="neighbours"),
    ],
)
def test_batch_predictions_equal_those_of_the_endpoint_to_the_bit(home: LocalHome, scorer: Scorer) -> None:
    home.write("gold.new", table(RECORDS))
    before = datetime.now(UTC)
    rows = scored(home, scorer)
    expected = served(scorer, RECORDS)
    assert rows.select(list(expected[0])).to_pylist() == expected
    assert rows.column_names == ["entity", *expected[0], "refused_because", "model_version", "scored_at"]
    assert rows["entity"].to_pylist() == list(range(60))
    assert set(rows["model_version"].to_pylist()) == {7}
    (scored_at,) = set(rows["scored_at"].to_pylist())
    assert before - timedelta(seconds=1) <= scored_at <= datetime.now(UTC)
    assert counts(home.store.rows("gold.responses")) == {None: 60}


def test_a_rejected_row_has_a_reason_and_the_others_their_predictions(home: LocalHome) -> None:
    records = [
        *RECORDS[:3],
        {"amount": None, "place": "Bonn", "known": -2},
        {"amount": 1e300, "place": "", "known": 1},
    ]
    home.write("gold.new", table(records))
    rows = scored(home, HOOKED).to_pylist()
    outcomes = HOOKED.outcomes(records)
    reasons = [outcome.reason if isinstance(outcome, RejectedRecord) else None for outcome in outcomes]
    assert [row["refused_because"] for row in rows] == reasons
    assert reasons[3:] == [
        "amount: expected double, got null",
        "amount: expected double, got 1e+300; place: expected one of Aachen, Bonn, Celle or null, got ''",
    ]
    assert [row["band"] is None for row in rows] == [False, False, False, True, True]
    assert [row["probability"] for row in rows[:3]] == [
        response["probability"] for response in served(PLAIN, records[:3])
    ]
    assert counts(home.store.rows("gold.responses")) == {None: 3, reasons[3]: 1, reasons[4]: 1}


def test_types_that_json_lacks_are_converted(home: LocalHome) -> None:
    home.write("gold.new", table([record | {"amount": Decimal("1.25")} for record in RECORDS[:3]]))
    rows = scored(home, PLAIN)
    responses = served(PLAIN, [record | {"amount": 1.25} for record in RECORDS[:3]])
    assert rows.select(["label", "probability"]).to_pylist() == responses


LARGE = 2**53 + 1


@pytest.mark.parametrize("text_column", [True, False])
def test_every_key_comes_back_once_beyond_the_integers_of_a_double_and_beside_null(
    home: LocalHome, text_column: bool
) -> None:
    keys = [*range(LARGE, LARGE + 2_000), None]
    numbers = Encoder(ENCODER.encodings[::2], {}, ("amount", "known", "known_is_missing"))
    scorer = (
        PLAIN if text_column else Scorer(fit(Candidate("logistic_regression", PARAMS), NUMBERS, 0), numbers, BOTH)
    )
    records = [RECORDS[row % 60] for row in range(len(keys))]
    records = records if text_column else [{name: r[name] for name in ("amount", "known")} for r in records]
    home.write("gold.new", pa.Table.from_pylist([{"entity": k, **r} for k, r in zip(keys, records, strict=True)]))
    rows = scored(home, scorer)
    assert rows["entity"].to_pylist() == keys
    assert rows.select(["label", "probability"]).to_pylist() == served(scorer, records)


KEPT: dict[str, pa.Array] = {
    "whole": pa.array([LARGE, None, -LARGE]),
    "narrow": pa.array([1, None, -1], pa.int16()),
    "text": pa.array(["00123", None, "a|b\\"]),
    "decimal": pa.array([Decimal("12345678901234567890123456.01"), None, Decimal("0.10")], pa.decimal128(38, 2)),
    "moment": pa.array(
        [datetime.min.replace(tzinfo=UTC), None, datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)],
        TIME,
    ),
    "wall": pa.array([253_402_300_799_999_999, None, 1], pa.timestamp("us")),
    "day": pa.array([date.min, None, date.max]),
    "flag": pa.array([True, None, False]),
    "code": pa.array([b"\x00\xff", None, b""]),
    "double": pa.array([0.1, None, 5e-324]),
    "nested": pa.array([{"id": LARGE, "of": [LARGE, None]}, None, {"id": None, "of": []}]),
    "texts": pa.array([{"of": ["ä", None]}, None, {"of": []}]),
}


def test_kept_columns_of_every_type_come_back_as_they_were(any_home: LocalHome) -> None:
    case = CASE.model_dump()
    case["labels"] |= {"entity": list(KEPT), "timestamp": "moment"}
    any_home.write("gold.new", pa.table({**KEPT, **pa.Table.from_pylist(RECORDS[:3]).to_pydict()}))
    score(type(CASE).model_validate(case), ScoringVersion(7, PLAIN), any_home.store, "gold.new", "gold.responses")
    rows = any_home.store.rows("gold.responses")
    assert rows.select(*KEPT).schema == any_home.store.rows("gold.new").select(*KEPT).schema
    given = pa.table(KEPT).to_pylist()
    assert sorted(map(str, rows.select(*KEPT).toArrow().to_pylist())) == sorted(map(str, given))


def test_a_key_that_is_also_a_field_reaches_the_hook_exactly(home: LocalHome, tmp_path: Path) -> None:
    """Integers, and decimals without a fraction, are integers of a request."""
    (tmp_path / "hook.py").write_text(KEY_HOOK)
    before = "hook:without_key"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        hooks = Hooks.find(before, "hook:with_key", {"entity": LARGE, **GOLDEN, "known": 3}, BOTH.samples())
    scorer = Scorer(PIPELINE, ENCODER, BOTH, hooks)
    for kind in (pa.int64(), pa.decimal128(20, 0)):
        keys = pa.array([Decimal(LARGE), Decimal(LARGE + 2), Decimal(LARGE + 4)], pa.decimal128(20, 0)).cast(kind)
        home.write("gold.new", table(RECORDS[:3]).set_column(0, "entity", keys))
        rows = scored(home, scorer, target=f"gold.{kind.id}")
        assert rows["key_of_record"].to_pylist() == [str(LARGE), str(LARGE + 2), str(LARGE + 4)]


KEY_HOOK = """
def without_key(record):
    return {name: value for name, value in record.items() if name != "entity"}

def with_key(response, record):
    return response | {"key_of_record": str(record["entity"])}
"""


def test_a_spine_is_scored_with_its_features_as_of_its_times(home: LocalHome) -> None:
    features = ENCODER.features_of(RECORDS[:4])
    at = [DAY + timedelta(days=row) for row in range(4)]
    people = {
        "entity": range(4),
        "known_at": pa.array(at, TIME),
        **{name: features[name] for name in ENCODER.features},
    }
    home.write("gold.people", pa.table({**people, "unread": [None] * 3 + [1.0]}), Declared(("entity",)))
    home.write("gold.place_index", pa.table({"place": ["Bonn"], "place_index": [2]}))
    asked = [at[0], at[1] + timedelta(days=9), at[2] - timedelta(days=1), at[3]]
    home.write("gold.new", pa.table({"entity": range(4), "at": pa.array(asked, TIME)}))
    rows = scored(home, HOOKED).to_pylist()
    expected = served(HOOKED, RECORDS[:4])
    assert [rows[row]["probability"] for row in (0, 1, 3)] == [expected[row]["probability"] for row in (0, 1, 3)]
    assert [rows[row]["band"] for row in (0, 1, 3)] == [expected[row]["band"] for row in (0, 1, 3)]
    assert rows[2]["refused_because"] == "no row in gold.people as of its time"
    assert [row["at"] for row in rows] == asked
    assert rows[2]["probability"] is None


def test_a_row_without_any_number_is_scored_and_no_row_is_rejected(home: LocalHome) -> None:
    """All numbers of the table may be missing, so that no feature tells whether it has a row."""
    declared = [{"column": name, "as": "number", "type": "double", "missing": "keep"} for name in ("amount", "known")]
    encoder = replace(ENCODER, encodings=ENCODINGS.validate_python(declared), features=("amount", "known"))
    rows = without_features(alternating(80), ["place_index", "known_is_missing"])
    numbers = {**rows.features, "known": np.where(np.arange(80) % 3 == 0, np.nan, rows.features["known"])}
    trained = replace(rows, encoder=encoder, features=numbers, x=encoder.matrix(numbers).values)
    params: Params = {"n_neighbors": 5, "weights": "uniform", "distance": "euclidean", "numeric_shape": "as_is"}
    scorer = Scorer(fit(Candidate("knn", params), trained, 0), encoder, BOTH)
    records: list[dict[str, Any]] = [
        {"amount": 1.0, "known": None}, {"amount": None, "known": None}, {"amount": 0.0, "known": 2.0},
    ]  # fmt: skip
    features = encoder.features_of(records)
    people = {"entity": range(3), "known_at": pa.array([DAY] * 3, TIME)}
    people |= {name: pa.array(values, from_pandas=True) for name, values in features.items()}
    home.write("gold.people", pa.table(people), Declared(("entity",), encodings=declared))
    home.write("gold.new", pa.table({"entity": range(4), "at": pa.array([DAY] * 4, TIME)}))
    found = scored(home, scorer).to_pylist()
    assert [row["probability"] for row in found[:3]] == [each["probability"] for each in served(scorer, records)]
    assert found[3]["refused_because"] == "no row in gold.people as of its time"


def test_rows_of_the_first_and_the_last_year_are_scored_or_rejected_alone(home: LocalHome) -> None:
    features = ENCODER.features_of(RECORDS[:3])
    columns = {"entity": [LARGE, LARGE + 2, LARGE + 4], "known_at": pa.array([DAY] * 3, TIME), **features}
    home.write("gold.people", pa.table(columns), Declared(("entity",)))
    home.write("gold.place_index", pa.table({"place": ["Bonn"], "place_index": [2]}))
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    asked = [(LARGE, first), (LARGE + 2, last), (LARGE + 4, DAY), (LARGE + 6, DAY), (None, DAY), (LARGE, None)]
    home.write(
        "gold.new", pa.table(list(zip(*asked, strict=True)), pa.schema([("entity", pa.int64()), ("at", TIME)]))
    )
    rows = {(row["entity"], row["at"]): row for row in scored(home, HOOKED).to_pylist()}
    assert rows.keys() == set(asked)
    expected = served(HOOKED, RECORDS[:3])
    assert rows[asked[1]]["probability"] == expected[1]["probability"]
    assert rows[asked[2]]["probability"] == expected[2]["probability"]
    others = (0, 3, 4, 5)
    assert {rows[asked[at]]["refused_because"] for at in others} == {"no row in gold.people as of its time"}


def test_a_version_looks_features_up_as_it_was_trained_although_the_use_case_changed(home: LocalHome) -> None:
    columns = {"entity": range(3), "known_at": pa.array([DAY] * 3, TIME), **ENCODER.features_of(RECORDS[:3])}
    home.write("gold.people", pa.table(columns), Declared(("entity",)))
    home.write("gold.place_index", pa.table({"place": ["Bonn"], "place_index": [2]}))
    home.write("gold.new", pa.table({"entity": range(3), "at": pa.array([DAY + timedelta(days=9)] * 3, TIME)}))
    lookup = LookupDeclaration(table="gold.people", exclude=("amount",), lookback_days=1)
    version = ScoringVersion(7, PLAIN, {FRAME: frame_declaration(CASE)})
    score(CASE.model_copy(update={"features": (lookup,)}), version, home.store, "gold.new", "gold.responses")
    rows = home.store.rows("gold.responses").toArrow().sort_by("entity").to_pylist()
    assert [row["probability"] for row in rows] == [each["probability"] for each in served(PLAIN, RECORDS[:3])]


def test_a_spine_whose_key_has_another_type_is_refused_with_both_types(home: LocalHome) -> None:
    features = ENCODER.features_of(RECORDS[:1])
    columns = {"entity": [LARGE + 3], "known_at": pa.array([DAY], TIME), **features}
    home.write("gold.people", pa.table(columns), Declared(("entity",)))
    home.write("gold.new", pa.table({"entity": [float(LARGE + 3)], "at": pa.array([DAY], TIME)}))
    told = r"the key 'entity' is of type bigint in gold\.people, and of type double in the spine gold\.new"
    with pytest.raises(KeyTypesDiffer, match=told):
        scored(home, PLAIN)


def test_a_version_with_features_that_no_table_has_is_refused(home: LocalHome) -> None:
    home.write(
        "gold.people",
        pa.table({"entity": [1], "known_at": pa.array([DAY], TIME), "amount": [1.0]}),
        Declared(("entity",)),
    )
    home.write("gold.new", pa.table({"entity": [1], "at": pa.array([DAY], TIME)}))
    with pytest.raises(ScoreRefused, match="lack features of the version: known, known_is_missing, place_index"):
        scored(home, PLAIN)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (["entity", "amount", "known"], r"gold\.new lacks place"),
        (["entity"], r"gold\.new lacks amount, place, known"),
        (["amount", "place", "known"], "has none of the columns entity, at"),
    ],
)
def test_an_input_with_missing_columns_is_refused(home: LocalHome, columns: list[str], told: str) -> None:
    home.write("gold.new", table(RECORDS).select(columns))
    with pytest.raises(ScoreRefused, match=told):
        scored(home, PLAIN)
    with pytest.raises(TableNotFound):
        home.store.rows("gold.responses")


def test_a_missing_source_and_an_existing_target_are_refused(home: LocalHome) -> None:
    home.write("gold.new", table(RECORDS[:2]))
    with pytest.raises(TableNotFound, match=r"gold\.mew is not in the warehouse\. Did you mean 'gold\.new'"):
        scored(home, PLAIN, source="gold.mew")
    first = scored(home, PLAIN)
    with pytest.raises(TableExists, match=r"gold\.responses already exists"):
        scored(home, PLAIN)
    assert home.store.rows("gold.responses").toArrow() == first


def test_an_empty_table_has_no_predictions(home: LocalHome) -> None:
    home.write("gold.new", table(RECORDS).slice(0, 0))
    assert scored(home, HOOKED).num_rows == 0


CLASSES = ("an oak", "an_oak", "Elm", "elm", 'it\'s "a" tree', "f.i.g", "Ölbaum=1;{2}", "桜")


def test_classes_of_any_text_are_columns(home: LocalHome) -> None:
    """Delta refuses some characters, and names that differ only in case."""
    home.write("gold.new", table(RECORDS[:9]))
    rows = alternating(80)
    frame = replace(rows, task=MULTICLASS, classes=CLASSES, y=np.arange(80) % len(CLASSES))
    linear = fit(Candidate("logistic_regression", PARAMS), frame, 0)
    scorer = Scorer(linear, ENCODER, ResponseFormat(("probabilities", "label"), 0.5, MULTICLASS, CLASSES))
    scored_rows = scored(home, scorer)
    columns = ["an_oak_2", "an_oak", "Elm", "elm_2", 'it\'s_"a"_tree', "f.i.g", "Ölbaum_1_2_", "桜"]
    assert scored_rows.column_names[1:9] == [f"probability_{column}" for column in columns]
    responses = served(scorer, RECORDS[:9])
    assert [list(row.values())[1:10] for row in scored_rows.to_pylist()] == [list(row.values()) for row in responses]


def test_responses_that_cannot_be_columns_are_refused_before_scoring(home: LocalHome) -> None:
    case = CASE.model_dump()
    case["labels"]["entity"] = "Label"
    home.write("gold.new", pa.Table.from_pylist([{"Label": 1, **RECORDS[1]}]))
    with pytest.raises(ScoreRefused, match="two columns would be named Label; two columns would be named label"):
        score(type(CASE).model_validate(case), ScoringVersion(7, PLAIN), home.store, "gold.new", "gold.responses")


def test_a_failure_during_scoring_leaves_no_table(home: LocalHome) -> None:
    home.write("gold.new", table(RECORDS))
    # A pipeline that cannot score: it was fitted on fewer columns.
    broken = Scorer(PIPELINE, type(ENCODER)(ENCODER.encodings, ENCODER.vocabularies, ("amount",)), BOTH)
    with pytest.raises(ScoreRefused, match=r"gold\.responses was not written: "):
        scored(home, broken)
    with pytest.raises(TableNotFound):
        home.store.rows("gold.responses")
    assert scored(home, PLAIN).num_rows == 60


def test_a_worker_without_the_folder_gets_the_files_or_an_error(tmp_path: Path) -> None:
    packed = PackedScorer.pack(tmp_path, HOOKED)
    elsewhere = PackedScorer("/nowhere", packed.digest, packed.content)
    assert elsewhere.scorer().respond(RECORDS) == HOOKED.respond(RECORDS)
    with pytest.raises(PayloadTooLarge, match="do not see /nowhere"):
        PackedScorer("/nowhere", "0", None).scorer()


def registry(**aliases: int) -> MlflowClient:
    """Versions 1 and 2, with these aliases."""
    versions = [SimpleNamespace(version=number) for number in (1, 2)]

    def by_alias(name: str, alias: str) -> Any:
        if alias not in aliases:
            raise MlflowException(f"{name} has no {alias}", RESOURCE_DOES_NOT_EXIST)
        return versions[aliases[alias] - 1]

    client = SimpleNamespace(
        get_registered_model=lambda name: SimpleNamespace(name=name),
        search_model_versions=lambda _: versions,
        get_model_version_by_alias=by_alias,
    )
    return cast(MlflowClient, client)


def test_the_champion_is_the_default_version() -> None:
    client = registry(champion=1, challenger=2)
    assert [int(find_version(client, "people", said).version) for said in (None, "2", "challenger")] == [1, 2, 2]


def test_a_missing_version_is_refused() -> None:
    with pytest.raises(ScoreRefused, match=r"people has no champion\n.*promote --use-case people"):
        find_version(registry(challenger=2), "people", None)
    for said in ("3", "winner"):
        with pytest.raises(ScoreRefused, match=f"people has no version '{said}'"):
            find_version(registry(), "people", said)
