"""The nearest rows, found in blocks, are those that measuring every row finds."""

from typing import Any

import numpy as np
import pytest

from lakehouse.arrays import Floats
from scoring.compiled.neighbours import BLOCK, LARGEST, Blocks, NeighbourIndices

RNG = np.random.default_rng(7)


def mixed(rows: int) -> Floats:
    """Rows of numbers and of 0/1 columns, some of them twice."""
    numbers = RNG.normal(size=(rows, 3)).round(1)
    flags = (RNG.random((rows, 9)) < 0.2).astype(float) * RNG.uniform(0.5, 20, 9)
    return np.hstack([numbers, flags])


ROWS = {
    "mixed": mixed(3000),
    "numbers": RNG.normal(size=(2000, 12)),
    "all the same": np.ones((1000, 4)),
    "two kinds": np.repeat([[0.0, 1.0], [5.0, 0.0]], [20, 900], axis=0),
    "fewer than a block": mixed(BLOCK - 1),
}


@pytest.mark.parametrize("wanted", [1, 50, 120])
@pytest.mark.parametrize("kind", ROWS)
def test_the_nearest_rows_are_those_of_a_full_search(kind: str, wanted: int) -> None:
    rows = ROWS[kind].astype(np.float32)
    blocks = Blocks(rows)
    others = RNG.normal(size=(5, rows.shape[1])) * 3
    far = np.full((1, rows.shape[1]), LARGEST)
    for asked in np.vstack([rows[:20], others, far]).astype(np.float32).astype(np.float64):
        squares = np.square(rows - asked).sum(axis=1)
        expected = np.lexsort((np.arange(len(rows)), squares))[:wanted]
        places, found = blocks.nearest(asked, wanted)
        np.testing.assert_allclose(found, squares[expected], rtol=1e-12)
        assert len(set(places.tolist())) == wanted


def test_of_rows_at_one_distance_the_first_one_counts() -> None:
    rows = np.zeros((1000, 2), dtype=np.float32)
    rows[500:, 0] = 9
    places, squares = Blocks(rows).nearest(np.zeros(2), 100)
    assert places.tolist() == list(range(100))
    assert not squares.any()


def test_few_of_many_rows_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, measured = Blocks(ROWS["mixed"].astype(np.float32)), list[int]()
    measure = blocks._measured

    def counted(asked: Any, of: NeighbourIndices) -> tuple[NeighbourIndices, Any]:
        found = measure(asked, of)
        measured.append(len(found[0]))
        return found

    monkeypatch.setattr(blocks, "_measured", counted)
    for asked in ROWS["mixed"][:50]:
        blocks.nearest(asked, 10)
    assert sum(measured) / 50 < len(ROWS["mixed"]) / 5
