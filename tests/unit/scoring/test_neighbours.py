"""Nearest rows: the same as a full search in double precision."""

import numpy as np
import pytest

from lakehouse.arrays import Floats
from scoring.compiled.neighbours import LARGEST, CompiledNeighbours, NearestRows

RNG = np.random.default_rng(7)


def mixed(rows: int) -> Floats:
    """Rows of numbers and of 0/1 columns, some of them twice."""
    numbers = RNG.normal(size=(rows, 3)).round(1)
    flags = (RNG.random((rows, 9)) < 0.2).astype(float) * RNG.uniform(0.5, 20, 9)
    return np.hstack([numbers, flags])


ROWS = {
    "mixed": mixed(3000),
    "numbers": RNG.normal(size=(2000, 12)),
    "far from zero": RNG.normal(size=(1000, 5)) + 1e5,
    "one far outlier": np.vstack([RNG.normal(size=(1000, 5)), np.full((1, 5), 1e6)]),
    "all the same": np.ones((1000, 4)),
    "two kinds": np.repeat([[0.0, 1.0], [5.0, 0.0]], [20, 900], axis=0),
    "few": mixed(255),
}


@pytest.mark.parametrize("count", [1, 50, 120])
@pytest.mark.parametrize("kind", ROWS)
def test_the_nearest_rows_are_those_of_a_full_search(kind: str, count: int) -> None:
    rows = ROWS[kind].astype(np.float32)
    index = NearestRows(rows)
    elsewhere = RNG.normal(size=(5, rows.shape[1])) * 3
    overflowing = np.full((1, rows.shape[1]), LARGEST)
    for row in np.vstack([rows[:20], elsewhere, overflowing]).astype(np.float32).astype(np.float64):
        squares = np.square(rows - row).sum(axis=1)
        expected = np.lexsort((np.arange(len(rows)), squares))[:count]
        indices, found = index.nearest(row, count)
        np.testing.assert_allclose(found, squares[expected], rtol=1e-12)
        assert len(set(indices.tolist())) == count


def test_rows_at_equal_distance_come_in_row_order() -> None:
    rows = np.zeros((1000, 2), dtype=np.float32)
    rows[500:, 0] = 9
    indices, squares = NearestRows(rows).nearest(np.zeros(2), 100)
    assert indices.tolist() == list(range(100))
    assert not squares.any()


@pytest.mark.parametrize("kind", ["mixed", "numbers", "far from zero", "one far outlier"])
def test_few_rows_are_measured_exactly(kind: str) -> None:
    rows = ROWS[kind].astype(np.float32)
    index = NearestRows(rows)
    measured = [len(index._candidates(row, 10)) for row in rows[:50].astype(np.float64)]
    assert sum(measured) / 50 < len(rows) / 50


def test_the_share_of_a_class_is_never_above_one() -> None:
    """Its sum and the sum of all weights add in different orders: the share was 1.0000000000000004."""
    rows = RNG.normal(size=(200, 3)).astype(np.float32)
    options = np.array([60, 3, 0, 0, 1, 1], dtype=np.int64)
    model = CompiledNeighbours(rows, np.full(200, 2.0), np.ones(3), np.zeros((3, 2), dtype=np.int64), options)
    shares = np.array([model.predict_scaled(row) for row in RNG.normal(size=(300, 3))])
    assert shares.max() <= 1.0
    assert (shares[:, 2] > 1 - 1e-12).all()
