"""Rows that test a compiled model where it could differ: at thresholds and bounds, and at missing values."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled
from scoring.compiled.trees import CompiledTrees
from scoring.compiled.wrappers.blend import CompiledBlend
from scoring.compiled.wrappers.calibrated import CompiledCalibrated
from scoring.compiled.wrappers.stack import CompiledStack
from scoring.encoder import Encoder
from scoring.encodings import LARGEST
from training.registry.tree_graph import thresholds_of

MOST_ROWS = 20_000
MOST_BLANK, BLANK_ROWS = 4_000, 500  # probes with missing numbers, of which some have no other change
FeatureValues = dict[int, set[float]]  # by feature


def probe_rows(rows: Floats, encoder: Encoder, compiled: Compiled, most: int = MOST_ROWS) -> Floats:
    """Rows of (rows, features) whose numbers are replaced by values at which a compiled model could differ.

    Each row tests a value of every feature at once. FeatureValues are in random order, so each meets many others.
    Further rows lack numbers at random, of the features that may be missing.

    Args:
        rows: the rows that the probes vary, such as the holdout.
        most: largest number of probes; beyond it, values are drawn.
    """
    if not len(rows):
        return rows
    draw = np.random.default_rng(0)
    values = {feature: sorted(some) for feature, some in _values(encoder, compiled).items()}
    count = min(most, max(map(len, values.values()), default=0))
    probes = rows[draw.integers(len(rows), size=count)].copy()
    for feature, some in values.items():
        chosen = draw.permutation(np.resize(draw.permutation(some), count))
        keep = draw.random(count) < 1 / 2 if len(some) < count / 2 else np.zeros(count, dtype=np.bool_)
        probes[:, feature] = np.where(keep, probes[:, feature], chosen)
    nullable = [index for index, name in enumerate(encoder.features) if name in encoder.nullable_features]
    if not nullable:
        return probes
    blanks = np.concatenate([probes, rows[draw.integers(len(rows), size=BLANK_ROWS)]])[-min(most, MOST_BLANK) :]
    for feature, share in zip(nullable, draw.random(len(nullable)), strict=True):
        blanks[draw.random(len(blanks)) < share, feature] = np.nan
    return np.concatenate([probes, blanks])


def neighbours_of(threshold: float) -> Iterator[float]:
    """The doubles beside a threshold, its neighbours in single precision, and the doubles at which those round."""
    single = np.float32(threshold)
    singles = [np.nextafter(single, np.float32(-np.inf)), single, np.nextafter(single, np.float32(np.inf))]
    middles = [(float(low) + float(high)) / 2 for low, high in pairwise(singles)]
    for value in (float(threshold), *map(float, singles), *middles):
        yield from (float(np.nextafter(value, -np.inf)), value, float(np.nextafter(value, np.inf)))


def _values(encoder: Encoder, compiled: Compiled) -> Mapping[int, set[float]]:
    indexed = {encoder.features.index(encoder.number_features[at]): n for at, n in encoder.categories().items()}
    values: FeatureValues = {index: set(map(float, range(size))) for index, size in indexed.items()}
    for encoding in encoder.encodings:
        for index in encoder.feature_indices(encoding):
            if index not in values:
                values[index] = set(encoding.boundary_values(encoder.features[index]))
    for feature, thresholds in _thresholds(compiled).items():
        if feature not in indexed and feature in values:
            # A split of the missing numbers from all others has a threshold beyond every number.
            within = [threshold for threshold in thresholds if abs(threshold) <= 2 * LARGEST]
            values[feature] |= {each for threshold in within for each in neighbours_of(threshold)}
    return {feature: {each for each in some if abs(each) <= LARGEST} for feature, some in values.items() if some}


def _thresholds(compiled: Compiled) -> FeatureValues:
    """The thresholds of each feature in the graphs of a compiled model."""
    found: FeatureValues = {}
    for feature, threshold in _splits(compiled):
        found.setdefault(feature, set()).add(threshold)
    return found


def _splits(compiled: Compiled) -> Iterator[tuple[int, float]]:
    if isinstance(compiled, CompiledCalibrated):
        for feature, threshold in _splits(compiled.inner):
            yield (feature if compiled.indices is None else compiled.indices[feature]), threshold
    elif isinstance(compiled, CompiledBlend):
        for member in compiled.members:
            yield from _splits(member)
    elif isinstance(compiled, CompiledStack):
        for part in (*compiled.bases, compiled.final_estimator):  # features beyond the encoder's are predictions
            yield from _splits(part)
    elif isinstance(compiled, CompiledTrees):
        yield from thresholds_of(compiled)
