"""The use case `recommended_by_meaning` on some of the reviews: embeddings in a table, training, gate, server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from scoring.texts.embedder import OnnxEmbedder, embedder
from scoring.texts.embedding_model import MINILM_L6_INT8, EmbedderChanged
from tests.checkout import Checkout
from tests.e2e.test_texts import LANDING, ask, record

pytest.importorskip("tokenizers", reason="the extra text is not installed: make text")
ROWS, NAME = 600, "recommended_by_meaning"
ODD = ["", None, "这件衣服很好 👗", "x" * 9_000, "Das Kleid ist wunderschön"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """A checkout whose endpoint serves a version of the first reviews, and the output of its training."""
    checkout = Checkout.below(tmp_path_factory.mktemp("embeddings"))
    case = checkout.root / "training/use_cases/recommended_by_meaning.yml"
    few = case.read_text(encoding="utf-8").replace("minimum: 0.85", "minimum: 0.5")
    case.write_text(few.replace("max_calibration_error: 0.05", "max_calibration_error: 0.5"), encoding="utf-8")
    reviews = pq.read_table(checkout.root / LANDING)
    pq.write_table(reviews.slice(0, ROWS), checkout.root / LANDING)
    models = ("--select", "tag:clothing_reviews", "+tag:review_embeddings", "--exclude", "resource_type:unit_test")
    checkout.run("dbt", "build", *models)
    output = checkout.run("training.run", "--use-case", NAME, "--max-evals", "1", "--parallelism", "1")
    checkout.run("deployment.run", "promote", "--use-case", NAME)
    checkout.run("deployment.run", "serve", "--use-case", NAME, "--detach")
    yield checkout, output
    checkout.run("deployment.run", "stop")


def answers(checkout: Checkout, texts: list[Any]) -> list[Any]:
    status, response = ask(checkout, [record(text) for text in texts], "recommended-by-meaning")
    assert status == 200, response
    return list(response["predictions"])


def test_a_review_is_answered_as_its_row_of_the_table_is_predicted(trained: tuple[Checkout, str]) -> None:
    checkout, output = trained
    assert "compiled as linear: max difference 0" in output
    staged = DeltaTable(checkout.root / "warehouse/staging/stg_clothing_reviews").to_pyarrow_table().slice(0, 40)
    rows = DeltaTable(checkout.root / "warehouse/gold/review_embedding_features").to_pyarrow_table()
    stored = dict(zip(rows["review_id"].to_pylist(), rows["review_embedding"].to_pylist(), strict=True))
    opened = embedder(MINILM_L6_INT8.name)
    for key, text in zip(staged["review_id"].to_pylist(), staged["review"].to_pylist(), strict=True):
        np.testing.assert_array_equal(opened.embed(text or ""), np.asarray(stored[key], dtype=np.float32))
    texts = staged["review"].to_pylist()
    together = answers(checkout, [*texts, *ODD])
    assert [answers(checkout, [text])[0] for text in [*texts[:5], *ODD]] == [*together[:5], *together[40:]]
    assert together[40] == together[41]  # a missing text is the empty one


def test_texts_are_embedded_once_and_a_second_build_adds_none(trained: tuple[Checkout, str]) -> None:
    checkout, _ = trained
    table = checkout.root / "warehouse/staging/stg_review_embeddings"
    before = DeltaTable(table).to_pyarrow_table()
    checkout.run("dbt", "build", "--select", "stg_review_embeddings")
    assert DeltaTable(table).to_pyarrow_table().num_rows == before.num_rows <= ROWS
    assert set(before["model"].to_pylist()) == {"minilm_l6_int8"}


@pytest.mark.parametrize("text", ["x" * 100_000, "a\0b", "half \ud83d", 7], ids=["long", "nul", "half", "number"])
def test_a_text_that_no_request_may_send_is_refused(trained: tuple[Checkout, str], text: Any) -> None:
    status, response = ask(trained[0], [record(text)], "recommended-by-meaning")
    assert status == 400
    assert "review" in response["message"] or "UTF-8" in response["message"]


def test_german_letters_have_one_embedding_in_both_unicode_forms_and_umlauts_are_plain_vowels() -> None:
    opened = embedder(MINILM_L6_INT8.name)
    np.testing.assert_array_equal(opened.embed("sch\u00f6n"), opened.embed("scho\u0308n"))
    np.testing.assert_array_equal(opened.embed("sch\u00f6n"), opened.embed("SCHON"))  # the model reads no accents
    compounds = [opened.embed(text) for text in ("Lieferzeit", "Lieferung", "Blumentopf")]
    assert compounds[0] @ compounds[1] > compounds[0] @ compounds[2]  # pieces of words are shared


def test_a_text_beyond_the_tokens_of_the_model_has_the_embedding_of_its_start() -> None:
    opened, start = embedder(MINILM_L6_INT8.name), "dress " * MINILM_L6_INT8.tokens
    np.testing.assert_array_equal(opened.embed(start), opened.embed(start + "and everything after it"))


def test_changed_files_of_a_model_are_refused_with_both_digests(tmp_path: Path) -> None:
    content = dict(embedder(MINILM_L6_INT8.name).content)
    name = "embedding.minilm_l6_int8.json"
    with pytest.raises(EmbedderChanged, match=f"{name} of the embedding model minilm_l6_int8 has the SHA-256"):
        OnnxEmbedder(MINILM_L6_INT8, MINILM_L6_INT8.checked({**content, name: content[name] + b" "}))
