"""Keys of requests: exact in JSON with the answer of batch scoring, or refused with the type that is expected."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import decode
from deployment.model_server.http.scoring_request import parse
from deployment.model_server.models.version_files import VersionFiles, VersionReader
from lakehouse.session import open_session
from scoring.scorer import Scorer
from tests.contract.feature_store.homes import Declared, LocalHome
from tests.golden.write_versions import FOLDER
from tests.unit.in_memory_reader import use_case
from training.batch_scoring import ScoringVersion, score
from training.feature_store.local import ONLINE

VERSION = FOLDER / "compiled_blend_regression"
LARGE = 2**53 + 1
RECORDS: list[dict[str, Any]] = [{"amount": row / 7, "place": "Bonn", "known": row} for row in range(3)]
KEYS = [LARGE, LARGE + 1, LARGE + 2]
DAY = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LocalHome:
    """A feature table, published, whose keys no double can tell apart."""
    home = LocalHome(open_session(), tmp_path_factory.mktemp("warehouse"))
    features = scorer_of(VERSION).encoder.features_of(RECORDS)
    columns = {"entity": KEYS, "known_at": pa.array([DAY] * 3, TIME), **features}
    home.write("gold.people", pa.table(columns), Declared(("entity",)))
    home.store.publish("gold.people")
    return home


@pytest.fixture(scope="module")
def reader(home: LocalHome) -> VersionReader:
    return VersionReader("", "", home.root / ONLINE)


def scorer_of(folder: Path) -> Scorer:
    return Scorer.load({file.name: str(file) for file in (folder / "artifacts").iterdir()})


def answers(reader: VersionReader, body: str, **lookup: Any) -> list[dict[str, Any]]:
    """Predictions of the endpoint for a JSON body, looked up by key."""
    files = VersionFiles.of(VERSION, 0.0)
    declared = {"keys": ["entity"], "tables": {"gold.people": []}, **lookup}
    model, _ = reader.read(replace(files, metadata=dict(files.metadata) | {"lookup": declared}))
    found: list[dict[str, Any]] = json.loads(model.predictions(parse(decode(body.encode()), 10)))["predictions"]
    return found


def test_endpoint_batch_and_records_agree_on_keys_beyond_a_double(home: LocalHome, reader: VersionReader) -> None:
    scorer = scorer_of(VERSION)
    records = json.dumps({"dataframe_records": [{"entity": key} for key in KEYS]})
    found = answers(reader, records)
    assert found == answers(reader, json.dumps({"inputs": {"entity": KEYS}})) == scorer.respond(RECORDS)
    assert len({json.dumps(answer) for answer in found}) == 3
    home.write("gold.new", pa.table({"entity": KEYS, "at": pa.array([DAY] * 3, TIME)}))
    score(use_case("gold.people"), ScoringVersion(1, scorer), home.store, "gold.new", "gold.responses")
    rows = home.store.rows("gold.responses").toArrow().sort_by("entity")
    assert (rows["entity"].to_pylist(), rows.select(list(found[0])).to_pylist()) == (KEYS, found)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (f'"{LARGE}"', "field 'entity': expected an integer, as the key of gold.people, got '9007199254740993'"),
        (f"{LARGE}.0", "field 'entity': expected a whole number or text, got 9007199254740992.0"),
        (str(LARGE + 9), "field 'entity': expected a key of gold.people, got 9007199254741002"),
    ],
)
def test_a_key_that_is_not_in_the_table_is_refused_with_its_digits(
    reader: VersionReader, key: str, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        answers(reader, f'{{"dataframe_records": [{{"entity": {key}}}]}}')
    assert message in str(refused.value)


def test_a_key_of_another_type_is_refused_where_unknown_entities_have_defaults(reader: VersionReader) -> None:
    defaults = {"unknown": "defaults", "defaults": RECORDS[0]}
    assert answers(reader, '{"dataframe_records": [{"entity": 8}]}', **defaults) == answers(
        reader, json.dumps({"dataframe_records": [RECORDS[0]]})
    )
    with pytest.raises(ApiError, match="expected an integer"):
        answers(reader, f'{{"dataframe_records": [{{"entity": "{LARGE}"}}]}}', **defaults)
