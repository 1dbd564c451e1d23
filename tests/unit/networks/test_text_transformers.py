"""Transformers over texts: trained from scratch or from a checkpoint, and served as the graph of their trials."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from tests.unit.frames import alternating
from tests.unit.networks.points import require
from tests.unit.scoring.test_texts import UMLAUT, frame_of, records_of
from training.evaluation.metrics import METRICS
from training.frame.refusals import FrameRefused
from training.registry.compilation import Compilation, compile_scorer
from training.registry.signature import requirements
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.stages.texts import plan_for_texts
from training.use_case.search import SearchPlan

TEXT_FAMILIES = ("text_transformer", "fine_tuned_transformer")
SHARED: dict[str, Any] = {"class_weight": None, "recency_half_life_days": None, "weight_decay": 0.01, "dropout": 0.0}
POINTS: dict[str, dict[str, Any]] = {
    "text_transformer": {
        **SHARED, "learning_rate": 0.005, "blocks": 1, "width": 32, "tokens": 24, "vocabulary": 400, "max_epochs": 6,
    },
    "fine_tuned_transformer": {**SHARED, "learning_rate": 0.02, "tokens": 24, "max_epochs": 6},
}  # fmt: skip
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
NOTES = [record["note"] or "" for record in records_of(240)[0]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny BERT with random weights, as Hugging Face writes it."""
    require("fine_tuned_transformer")
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder)
    yield folder


def write_checkpoint(folder: Path, **changed: Any) -> None:
    from safetensors.numpy import save_file

    from scoring.texts.token_rows import learned_tokenizer

    tokenizer = learned_tokenizer(NOTES, 300)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    vocabulary = len(json.loads(tokenizer)["model"]["vocab"])
    config = {"model_type": "bert", **SIZES, "vocab_size": vocabulary, "max_position_embeddings": 40, **changed}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    draw, width, hidden = np.random.default_rng(3), SIZES["hidden_size"], SIZES["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, width),
        "embeddings.position_embeddings.weight": (40, width),
        "embeddings.token_type_embeddings.weight": (2, width),
    }
    weights = {f"bert.{name}": draw.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = ["embeddings.LayerNorm"]
    for block in range(SIZES["num_hidden_layers"]):
        layer = f"encoder.layer.{block}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        linear = {f"attention.self.{each}": (width, width) for each in ("query", "key", "value")}
        linear |= {"attention.output.dense": (width, width), "intermediate.dense": (hidden, width)}
        for name, shape in {**linear, "output.dense": (width, hidden)}.items():
            weights[f"bert.{layer}.{name}.weight"] = draw.normal(0, 0.2, shape).astype(np.float32)
            weights[f"bert.{layer}.{name}.bias"] = np.zeros(shape[0], dtype=np.float32)
    for name in norms:
        weights |= {
            f"bert.{name}.weight": np.ones(width, np.float32),
            f"bert.{name}.bias": np.zeros(width, np.float32),
        }
    save_file(weights, folder / "model.safetensors")


@cache
def learned(family: str, task: str, folder: Path | None) -> tuple[Scorer, Compilation]:
    rows = frame_of(task)
    params = {**POINTS[family], **({"checkpoint": str(folder)} if folder else {})}
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    fitted = fit(Candidate(family, params), rows, 0)
    scorer = Scorer(fitted, rows.encoder, answering, matrix_format="table")
    return scorer, compile_scorer(scorer, rows.features)


def learned_by(family: str, request: pytest.FixtureRequest, task: str = "binary") -> tuple[Scorer, Compilation]:
    require(family)
    return learned(family, task, request.getfixturevalue("checkpoint") if "fine" in family else None)


@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_a_transformer_learns_from_texts_and_the_same_seed_gives_the_same_bits(
    family: str, request: pytest.FixtureRequest
) -> None:
    scorer, _ = learned_by(family, request)
    rows = frame_of("binary")
    predicted = scorer.predict(rows.features)
    assert METRICS["roc_auc"].function(rows.y, predicted, 0.5) > 0.85
    learned.cache_clear()
    again, _ = learned_by(family, request)
    np.testing.assert_array_equal(again.predict(rows.features), predicted)


@pytest.mark.parametrize(
    ("family", "task"), [(TEXT_FAMILIES[0], "binary"), (TEXT_FAMILIES[0], "multiclass"), (TEXT_FAMILIES[1], "binary")]
)
def test_a_version_predicts_bit_by_bit_alone_beside_others_in_pyfunc_and_without_torch(
    family: str, task: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    scorer, compilation = learned_by(family, request, task)
    assert (compilation.tags()["compiled"], compilation.difference) == ("tokens", 0), compilation.reason
    compiled = compilation.applied_to(scorer)
    artifacts = compiled.save(tmp_path)
    read = Scorer.load(artifacts)
    records = records_of(60)[0]
    together = scorer.respond(records)
    for batch in (1, 7, 60):
        parts = [read.respond(records[start : start + batch]) for start in range(0, 60, batch)]
        assert [response for part in parts for response in part] == together
    served: Any = ScoringModel()
    served.scorer = read
    assert served.respond(records[:3]) == together[:3]
    needed = {line.partition("==")[0] for line in requirements(compiled)}
    assert {"onnxruntime", "tokenizers"} <= needed and needed.isdisjoint({"torch", "safetensors", "onnx"})
    code = (
        "import json, sys\nfrom scoring.scorer import Scorer\n"
        "scorer = Scorer.load(json.loads(sys.argv[1]))\nprint(scorer.respond([json.loads(sys.argv[2])]))\n"
        "print({'torch', 'sklearn.linear_model', 'onnx'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, json.dumps(artifacts), json.dumps(records[0])]
    answered = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answered.stdout.splitlines() == [str([together[0]]), "set()"]


@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_odd_texts_have_predictions_and_german_letters_one_in_both_unicode_forms(
    family: str, request: pytest.FixtureRequest
) -> None:
    scorer, compilation = learned_by(family, request)
    texts = ["", None, "👗 这件", "x" * 400, "wort " * 80, *UMLAUT, "schon"]
    answers = compilation.applied_to(scorer).respond([{"age": 3, "note": text, "town": "Bonn"} for text in texts])
    found = [answer["probability"] for answer in answers]
    assert np.isfinite(found).all()
    assert found[0] == found[1] and found[5] == found[6] != found[7]


def test_a_tokenizer_knows_the_texts_of_its_fit_alone_and_compound_words_share_pieces() -> None:
    pytest.importorskip("tokenizers", reason="the extra text is not installed: make text")
    from scoring.texts.token_rows import TokenRows

    texts = ["Lieferung kam", "Lieferant", "Liefertermin", "Expresslieferung", "Kleid schön", "schön"] * 3
    rows = np.asarray([[1.0, text] for text in texts], dtype=object)
    tokens = TokenRows((1,), 8, 60).fit(rows)
    vocabulary = json.loads(tokens.tokenizer_)["model"]["vocab"]
    assert len(vocabulary) <= 60 and {"liefer", "schön"} <= set(vocabulary)
    assert TokenRows((1,), 8, 60).fit(rows).tokenizer_ == tokens.tokenizer_

    def ids(text: str) -> list[float]:
        (row,) = tokens.transform(np.asarray([[7.0, text]], dtype=object)).tolist()
        assert row[0] == 7 and len(row) == 9
        return [token for token in row[1:] if token]

    assert ids("SCHÖN") == ids("scho\u0308n") != ids("schon")
    assert set(ids("Lieferzeit")) & set(ids("Lieferschein")) >= {2.0, vocabulary["liefer"]}
    assert ids("") == [2.0]
    assert len(ids("Kleid " * 100)) == 8


def test_a_folder_without_a_file_or_of_another_architecture_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from training.networks.texts.pretrained import CheckpointRefused, Pretrained

    with pytest.raises(CheckpointRefused, match=r"has no config\.json"):
        Pretrained.read(str(tmp_path))
    write_checkpoint(tmp_path, model_type="gpt2")
    with pytest.raises(CheckpointRefused, match=r"has model_type 'gpt2' in config\.json, not 'bert'"):
        Pretrained.read(str(tmp_path))
    write_checkpoint(tmp_path, vocab_size=5)
    with pytest.raises(CheckpointRefused, match="and weights of 5 tokens"):
        Pretrained.read(str(tmp_path))


def test_the_packaged_checkpoint_embeds_texts_as_its_packaged_graph_does() -> None:
    require("fine_tuned_transformer")
    import torch

    from scoring.texts.embedder import embedder
    from scoring.texts.token_rows import TokenRows
    from training.networks.texts.encoder import TextEncoder
    from training.networks.texts.inputs import TextInputs
    from training.networks.texts.pretrained import Pretrained

    pretrained = Pretrained.read("minilm_l6")
    rows = TokenRows((0,), 32, 0, pretrained.tokenizer).fit_transform(
        np.asarray([["A lovely dress, soft fabric"], ["It tore after a week."]], dtype=object)
    )
    network = TextEncoder(TextInputs.of(rows, {}, 32), 1, pretrained.shape, dropout=0.0)
    weights = {name: torch.from_numpy(np.array(values)) for name, values in pretrained.weights().items()}
    assert {name.partition(".")[0] for name in network.load_state_dict(weights, strict=False)[0]} == {"last"}
    with torch.no_grad():
        states = network.eval().states(torch.from_numpy(rows.astype(np.int64))).numpy()
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    packaged = embedder("minilm_l6_int8")
    for state, text in zip(states, ("A lovely dress, soft fabric", "It tore after a week."), strict=True):
        assert float(state @ packaged.embed(text)) > 0.98  # the graph has weights of 8 bits


def test_a_search_of_texts_is_refused_without_a_text() -> None:
    plan = SearchPlan.model_validate({"families": ["text_transformer"]})
    with pytest.raises(FrameRefused, match="text_transformer read texts, and no feature is a text"):
        plan_for_texts(plan, alternating(40))


def test_a_use_case_may_name_a_folder_as_checkpoint() -> None:
    space = {"fine_tuned_transformer": {"checkpoint": ["models/my_bert"]}}
    plan = SearchPlan.model_validate({"families": ["fine_tuned_transformer"], "space": space})
    assert plan.joint_space().default("fine_tuned_transformer").params["checkpoint"] == "models/my_bert"
