"""Embeddings of texts by a pretrained model, with the same bits in tables, batches and requests.

Each text is embedded alone and without padding. The graph quantises activations by the extremes of a whole batch, so
beside other texts the embedding of a text would be another one.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from scoring.texts.embedding_model import EMBEDDING_MODELS, EmbedderMissing, EmbeddingModel, EmbeddingModelName

EmbeddedText = npt.NDArray[np.float32]  # (dimensions,) of length 1
CACHED = 4_096  # texts whose embeddings are remembered
PACKAGES = frozenset({"onnxruntime", "tokenizers"})


class Embedder(Protocol):
    """An opened model."""

    def embed(self, text: str) -> EmbeddedText:
        """(dimensions,) the embedding of a text."""
        ...

    @property
    def content(self) -> Mapping[str, bytes]:
        """The files of the model by their name in a version."""
        ...


class OnnxEmbedder:
    """A model of ONNX Runtime on one thread: the mean of the hidden states of all tokens, of length 1."""

    def __init__(self, model: EmbeddingModel, content: Mapping[str, bytes]) -> None:
        """Open checked files.

        Raises:
            EmbedderMissing: the package `tokenizers` is not installed.
        """
        if find_spec("tokenizers") is None:
            raise EmbedderMissing.of(model.name, "tokenizers")
        from tokenizers import Tokenizer

        from scoring.onnx_graphs.session import open_session

        self.content = content
        graph, tokenizer = model.files
        self._session = open_session(content[graph])
        self._tokenizer: Any = Tokenizer.from_str(content[tokenizer].decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(model.tokens)
        self.embed = lru_cache(CACHED)(self._embedded)

    def _embedded(self, text: str) -> EmbeddedText:
        """(dimensions,) the embedding; both Unicode forms of a letter are one."""
        ids = np.asarray([self._tokenizer.encode(normalize("NFC", text)).ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(["last_hidden_state"], inputs)
        mean = states[0].astype(np.float64).mean(axis=0)
        embedding: EmbeddedText = (mean / np.linalg.norm(mean)).astype(np.float32)
        embedding.flags.writeable = False  # it is remembered
        return embedding


# The opened models of this process. Their files are pinned by digest, so all versions share them.
_OPENED: dict[EmbeddingModelName, Embedder] = {}
_OPENING = Lock()


def embedder(name: EmbeddingModelName, files: Mapping[str, str] | None = None) -> Embedder:
    """The model of this name, opened once in a process: from the files of a version, else from installed packages.

    Args:
        files: paths by name in a version.

    Raises:
        EmbedderMissing: a package is not installed.
        EmbedderChanged: a file has another digest than the pinned one.
    """
    with _OPENING:
        if name not in _OPENED:
            model = EMBEDDING_MODELS[name]
            content = {
                each: file.read(name) if files is None else Path(files[each]).read_bytes()
                for each, file in model.files.items()
            }
            _OPENED[name] = OnnxEmbedder(model, model.checked(content))
        return _OPENED[name]
