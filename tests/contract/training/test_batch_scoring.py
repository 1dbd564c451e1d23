"""Batch scoring: a table of the endpoint's responses, to the bit, written completely or not at all."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.tracking import MlflowClient

from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.loader import ContractModel
from lakehouse.payload_limit import PayloadTooLarge
from lakehouse.session import open_session
from lakehouse.tables.warehouse import TableNotFound
from scoring.batch import PackedScorer
from scoring.hooks import Hooks
from scoring.scorer import RejectedRecord, ResponseFormat, Scorer
from scoring.tasks import MULTICLASS
from tests.contract.feature_store.homes import Declared, LocalHome
from tests.unit.frames import ENCODER, alternating
from tests.unit.in_memory_reader import use_case
from tests.unit.scoring.test_scorer import PIPELINE
from training.feature_store.errors import TableExists
from training.score import ScoreRefused, ScoringVersion, counts, find_version, score
from training.search.fitting import fit
from training.space.joint_space import Candidate

BOTH = ResponseFormat(("label", "probability"), 0.5)
GOLDEN = {"amount": 1.5, "place": "Bonn", "known": None}
BANDED = Hooks.find(None, "scoring.hooks.probability_band:add_band", GOLDEN, BOTH.samples())
PLAIN, HOOKED = Scorer(PIPELINE, ENCODER, BOTH), Scorer(PIPELINE, ENCODER, BOTH, BANDED)
NEIGHBOURS = Candidate(
    "knn", {"n_neighbors": 5, "weights": "distance", "distance": "cosine", "numeric_shape": "as_is"}
)
CASE = use_case("gold.people")
PLACES = ("Aachen", "Bonn", "Celle", "Bonn", None)
RECORDS: list[dict[str, Any]] = [
    {"amount": row / 7 - 3, "place": PLACES[row % 5], "known": None if row % 3 == 0 else row % 9} for row in range(60)
]
DAY = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


@pytest.fixture
def home(tmp_path: Path) -> LocalHome:
    return LocalHome(open_session(), tmp_path)


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


def test_responses_that_cannot_be_columns_are_refused_before_scoring(home: LocalHome) -> None:
    home.write("gold.new", table(RECORDS[:2]))
    spoken = ResponseFormat(("probabilities", "label"), 0.5, MULTICLASS, ("an oak", "elm", "ash"))
    with pytest.raises(ScoreRefused, match="'probability_an oak' is not a valid column name"):
        scored(home, Scorer(PIPELINE, ENCODER, spoken))
    case = use_case("gold.people").model_dump()
    case["labels"]["entity"] = "label"
    home.write("gold.new", pa.Table.from_pylist([{"label": 1, **RECORDS[1]}]))
    with pytest.raises(ScoreRefused, match="two columns would be named label"):
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
