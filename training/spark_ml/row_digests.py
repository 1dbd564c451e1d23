"""Digests of rows: executors make them, so that a fingerprint of rows on Spark needs none of their features here."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from scoring.encoder import Encoder
from scoring.encodings import FeatureColumns

ROWS_AT_ONCE = 10_000  # that are dense in memory
LENGTH = 16  # bytes


@dataclass(frozen=True)
class RowDigests:
    """Digest of each row of feature columns, as the model reads them."""

    encoder: Encoder

    def __call__(self, features: FeatureColumns) -> list[bytes]:
        rows = len(features[self.encoder.features[0]])
        digests = list[bytes]()
        for start in range(0, rows, ROWS_AT_ONCE):
            part = {name: features[name][start : start + ROWS_AT_ONCE] for name in self.encoder.features}
            dense = self.encoder.dense(part) + 0.0  # so that -0.0 is 0.0, as in a sparse matrix
            digests += [blake2b(np.ascontiguousarray(row).tobytes(), digest_size=LENGTH).digest() for row in dense]
        return digests
