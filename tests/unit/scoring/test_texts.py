"""Texts: their terms, the input contract, the matrix, and one prediction for a text on every path."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scoring.contract import ContractViolation
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.pyfunc import ScoringModel
from scoring.row_reader import RowReader
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import TASKS
from scoring.texts.terms import Analysis
from tests.unit.points import POINTS
from training.frame.constants import without_constants
from training.frame.frame import TrainingFrame
from training.models import FAMILIES
from training.population.bins import MISSING, UNKNOWN, NumberBins
from training.registry.compilation import compile_scorer
from training.search.fitting import fit
from training.space.joint_space import Candidate

DECLARED: list[dict[str, Any]] = [
    {"column": "age", "as": "number", "impute": 40},
    {"column": "note", "as": "text", "words": [1, 2], "characters": [3, 4], "max_characters": 400},
    {"column": "town", "as": "category_index", "index": "gold.town_index"},
]
FEATURES = ("age", "age_is_missing", "note_length", "note", "town_index")
TOWNS = ("", "Aachen", "Bonn")
OTHER_WORDS = [
    "Lieferung",
    "Farbe",
    "Straße",
    "größer",
    "passt",
    "Kleid",
    "kam",
    "heute",
    "这件",
    "衣服",
    "فستان",
    "👗",
]
WORDS = {
    0: ["schlecht", "zurück", "Fehlkauf"],
    1: ["schön", "Lieblingskleid", "gerne"],
    2: ["naja", "mittel", "egal"],
}
ABLE = [
    (family, task)
    for family in ("logistic_regression", "ridge", "elastic_net", "knn", "lightgbm")
    for task in ("binary", "multiclass", "regression")
    if TASKS[task] in FAMILIES[family].tasks
]
UMLAUT = "sch\u00f6n", "scho\u0308n"  # one code point, and two
pytestmark = pytest.mark.filterwarnings("ignore:The max_iter was reached")


def encoder_of(records: list[dict[str, Any]]) -> tuple[Encoder, Any]:
    """The encoder after it learned the terms of the records, and their feature columns."""
    plain = Encoder(ENCODINGS.validate_python(DECLARED), {"gold.town_index": TOWNS}, FEATURES)
    columns = plain.features_of(records)
    learned = plain.encodings[1].vocabularies_of(columns)
    return replace(plain, vocabularies={**plain.vocabularies, **learned}), columns


def records_of(count: int) -> tuple[list[dict[str, Any]], list[int]]:
    draw = np.random.default_rng(8)
    labels = [index % 3 for index in range(count)]
    records = []
    for label in labels:
        words = [*draw.choice(OTHER_WORDS, 6), *draw.choice(WORDS[label if draw.random() < 0.9 else 0], 2)]
        note = None if draw.random() < 0.05 else " ".join(draw.permutation(words).tolist())
        age = None if draw.random() < 0.1 else int(draw.integers(18, 90))
        records.append({"age": age, "note": note, "town": [None, "Aachen", "Bonn"][draw.integers(3)]})
    return records, labels


@cache
def frame_of(task: str) -> TrainingFrame:
    records, labels = records_of(240)
    encoder, columns = encoder_of(records)
    matrix = encoder.matrix(columns)
    y = np.asarray(labels)
    y = np.minimum(y, 1) if task == "binary" else y.astype(np.float64) if task == "regression" else y
    classes = {"binary": (0, 1), "multiclass": ("bad", "good", "so so"), "regression": ()}[task]
    times = np.datetime64("2020-01-01", "us") + np.arange(len(y)) * np.timedelta64(1, "h")
    return TrainingFrame(
        TASKS[task], matrix.values, matrix.columns, columns, y, times, np.arange(len(y)), encoder, {"t": 1}, classes
    )


@cache
def fitted(family: str, task: str) -> Scorer:
    rows = frame_of(task)
    params = {**dict(POINTS)[family], **({"alpha": 0.01} if family == "elastic_net" else {})}
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    form = FAMILIES[family].matrix_format
    return Scorer(fit(Candidate(family, params), rows, 0), rows.encoder, answering, matrix_format=form)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (UMLAUT[0], UMLAUT[1]),
        ("STRASSE", "Straße"),
        ("ÄRGER", "ärger"),
        ("\ufb01t", "fit"),
        ("ein\r\nKleid", "ein Kleid"),
    ],
)
def test_a_word_has_the_same_terms_in_each_spelling_of_its_letters(one: str, other: str) -> None:
    analysis = Analysis((1, 2), (3, 4))
    assert list(analysis.terms(one)) == list(analysis.terms(other))


def test_an_umlaut_is_no_plain_vowel_and_other_scripts_have_words() -> None:
    words = Analysis((1, 1))
    assert list(words.terms("schön")) != list(words.terms("schon"))
    assert list(words.terms("这件衣服, فستان جميل! Ещё")) == ["这件衣服", "فستان", "جميل", "ещё"]
    assert list(words.terms("...  👗\n")) == []


def test_compound_words_share_their_parts() -> None:
    parts = Analysis(None, (4, 6))
    first, last = set(parts.terms("Lieferzeit")), set(parts.terms("Expresslieferung"))
    assert "#liefer" in first & last
    assert "# liefe" in first - last  # at the start of a word


def test_the_vocabulary_has_the_terms_of_enough_texts() -> None:
    assert Analysis((1, 1), min_documents=2).vocabulary(["b a a", "a c", "b"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "is_accepted"),
    [
        (None, True),
        ("", True),
        (" ", True),
        ("x" * 400, True),
        ("ä" * 401, False),
        ("x" * 100_000, False),
        ("a\0b", False),
        ("half \ud83d", False),
        ("whole \U0001f457", True),
        (3, False),
        (["a"], False),
        (float("nan"), False),
    ],
)
def test_a_request_sends_a_text_of_limited_length_without_nul_and_half_surrogate_pairs(
    text: Any, is_accepted: bool
) -> None:
    encoder, _ = encoder_of([{"age": 1, "note": "ein Kleid", "town": None}] * 2)
    records = [{"age": 1, "note": text, "town": "Bonn"}]
    if is_accepted:
        assert RowReader(encoder).rows(records)[0][3] == (text or "")
    else:
        with pytest.raises(
            ContractViolation, match="'note': expected text of at most 400 characters without NUL and"
        ):
            RowReader(encoder).rows(records)


def test_rows_and_columns_of_texts_agree_and_the_length_counts_letters() -> None:
    records, _ = records_of(40)
    records[3]["note"], records[4]["note"] = UMLAUT
    encoder, columns = encoder_of(records)
    rows = RowReader(encoder).matrix(records)
    assert encoder.table(columns).tolist() == rows
    assert columns["note_length"][3] == columns["note_length"][4] == 5
    again = encoder.columns_of(encoder.table_of(rows))
    assert all(np.array_equal(again[name], columns[name]) for name in FEATURES)


@pytest.mark.parametrize("rows_at_once", [7, 2**17])
def test_the_matrix_counts_every_term_between_the_other_columns(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring.encoder._ROWS_AT_ONCE", rows_at_once)
    records, _ = records_of(60)
    encoder, columns = encoder_of(records)
    matrix = encoder.matrix(columns)
    (start, end, least), reader = encoder.term_columns()[0], Analysis((1, 2), (3, 4))
    assert (start, least) == (3, 2)
    assert matrix.values.has_canonical_format
    for row in (0, 17, 59):
        found = list(reader.terms(records[row]["note"] or ""))
        expected = [found.count(term) for term in encoder.vocabularies["note"]]
        assert matrix.values[row, start:end].toarray()[0].tolist() == expected
    dense = encoder.dense(columns)
    assert dense.shape == (60, 4)
    others = matrix.values[:, [0, 1, 2]].toarray()
    np.testing.assert_array_equal(others, dense[:, :3])
    assert matrix.columns[end:] == ("town_index=0", "town_index=1", "town_index=2")


def test_terms_that_are_rare_in_the_fitted_rows_weigh_nothing() -> None:
    """The vocabulary is that of the whole frame, so a fold must not learn which of its terms the other rows have."""
    rows = frame_of("binary")
    half = rows.rows(np.arange(len(rows)) < 30)
    pipeline = fit(Candidate("logistic_regression", dict(POINTS)["logistic_regression"]), half, 0)
    start, end, _ = rows.encoder.term_columns()[0]
    factors, texts = pipeline["terms"].factors_[start:end], half.x[:, start:end].getnnz(axis=0)
    assert (factors[texts < 2] == 0).all()
    assert (factors[texts >= 2] > 0).all()
    weighted = pipeline["terms"].transform(half.x)[:, start:end].power(2).sum(axis=1)
    assert set(np.round(np.asarray(weighted).ravel(), 12)) <= {0.0, 1.0}


@pytest.mark.parametrize(("family", "task"), ABLE)
def test_a_text_has_one_prediction_alone_beside_others_in_batch_and_in_pyfunc(
    tmp_path: Path, family: str, task: str
) -> None:
    rows, scorer = frame_of(task), fitted(family, task)
    compilation = compile_scorer(scorer, rows.features)
    if family == "knn":
        assert compilation.reason == "neighbours: ValueError: unsupported steps: terms"
    else:
        assert compilation.compiled is not None, compilation.reason
        assert compilation.difference == 0
        assert compilation.compiled.kind == ("onnx" if family == "lightgbm" else "text")
    read = Scorer.load(compilation.applied_to(scorer).save(tmp_path))
    np.testing.assert_array_equal(read.predict(rows.features), scorer.predict(rows.features))
    records = [*records_of(240)[0][:98], {"age": 1, "note": "völlig Neues 👗", "town": None}]
    records.append({"age": None, "note": "", "town": "Bonn"})
    together = read.respond(records)
    assert [read.respond([record])[0] for record in records] == together
    assert read.outcomes(records) == together
    features = read.encoder.features_of(records)
    assert read.outcomes_of_features(features, records) == together
    served: Any = ScoringModel()
    served.scorer = read
    frame = pd.DataFrame({name: pd.Series([each[name] for each in records], dtype=object) for name in records[0]})
    assert served.predict(None, frame).to_dict("records") == together
    assert len({json.dumps(each) for each in together}) > 3


def test_a_compiled_text_model_ignores_inputs_that_are_left_out(tmp_path: Path) -> None:
    rows = frame_of("binary")
    params = dict(POINTS)["logistic_regression"]
    for number, left_out in enumerate(("age", "note", "town")):
        pipeline = fit(Candidate("logistic_regression", {**params, f"without.{left_out}": True}), rows, 0)
        scorer = replace(fitted("logistic_regression", "binary"), pipeline=pipeline)
        compilation = compile_scorer(scorer, rows.features)
        assert compilation.difference == 0, compilation.reason
        folder = tmp_path / str(number)
        folder.mkdir()
        read = Scorer.load(compilation.applied_to(scorer).save(folder))
        np.testing.assert_array_equal(read.predict(rows.features), scorer.predict(rows.features))


def test_rows_with_another_text_have_another_fingerprint_and_other_rows_do_not_matter() -> None:
    rows = frame_of("binary")
    changed = dict(rows.features)
    changed["note"] = changed["note"].copy()
    changed["note"][5] += " zzz"  # a term of one text, which is no column
    assert replace(rows, features=changed).fingerprint() != rows.fingerprint()
    records, _ = records_of(240)
    encoder, columns = encoder_of([*records, {"age": 1, "note": "zzz zzy", "town": None}] * 2)
    matrix = encoder.matrix(columns)
    more = replace(rows, x=matrix.values, columns=matrix.columns, features=columns, encoder=encoder)
    same = replace(more, x=more.x[:240], features={name: values[:240] for name, values in columns.items()})
    assert same.fingerprint() == rows.fingerprint()


def test_a_constant_number_beside_a_text_is_left_out() -> None:
    rows = frame_of("binary")
    features = {**rows.features, "age": np.full(len(rows), 7.0)}
    matrix = rows.encoder.matrix(features)
    kept = without_constants(replace(rows, x=matrix.values, features=features))
    assert kept.constant == {"age": 7.0}
    assert kept.encoder.features == FEATURES[1:]


def test_monitoring_counts_lengths_of_texts() -> None:
    bins = NumberBins((3.0, 10.0), 1, 20, (2, 5, 12), of_texts=True)
    indices, outside = bins.index(["ab", "abcd", "x" * 30, "", None, 7, UMLAUT[1], "[redacted]"])
    assert indices.tolist() == [0, 1, 2, MISSING, MISSING, UNKNOWN, 1, -3]
    assert outside.tolist() == [False, False, True, False, False, False, False, False]
