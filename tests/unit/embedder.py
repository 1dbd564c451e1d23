"""An embedder for tests, which needs no package: other texts have other numbers, and each text its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from unicodedata import normalize

import numpy as np

from scoring.texts import embedder as module
from scoring.texts.embedder import EmbeddedText
from scoring.texts.embedding_model import MINILM_L6_INT8


class LetterEmbedder:
    """384 numbers by the digests of the words of a text, summed, of length 1; some letters make them positive."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @property
    def content(self) -> Mapping[str, bytes]:
        return {}

    def embed(self, text: str) -> EmbeddedText:
        self.texts.append(text)
        total = np.full(MINILM_L6_INT8.dimensions, 1e-3)
        for word in normalize("NFC", text).lower().split():
            seed = int.from_bytes(sha256(word.encode()).digest()[:4], "big")
            total += np.random.default_rng(seed).normal(size=len(total))
        embedding: EmbeddedText = (total / np.linalg.norm(total)).astype(np.float32)
        return embedding


@contextmanager
def letters_embed() -> Iterator[LetterEmbedder]:
    """The embedder in place of the pretrained model, until the end of the block."""
    before, embedder = dict(module._OPENED), LetterEmbedder()
    module._OPENED[MINILM_L6_INT8.name] = embedder
    try:
        yield embedder
    finally:
        module._OPENED.clear()
        module._OPENED.update(before)
