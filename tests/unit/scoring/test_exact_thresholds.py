"""Thresholds of a graph: every double takes the branch that the library takes after it rounds to single precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.compiled.trees import TreesMetadata
from training.registry.probes import neighbours_of
from training.registry.tree_graph import LEQ, LT, TreeGraph, last_left
from training.registry.tree_readers import TINY, _without_tiny

NUMBERS = st.floats(-1e16, 1e16, allow_nan=False)


@given(NUMBERS, NUMBERS)
def test_a_double_is_left_of_the_last_one_if_it_is_after_rounding(threshold: float, elsewhere: float) -> None:
    last = last_left(threshold)
    for value in (*neighbours_of(threshold), *neighbours_of(last), elsewhere):
        assert (float(np.float32(value)) <= threshold) is (value <= last)


@given(st.floats(-1e-34, 1e-34), st.floats(-1e-34, 1e-34))
def test_tiny_numbers_split_as_zero_does_in_lightgbm(threshold: float, value: float) -> None:
    for each in (value, TINY, -TINY, 0.0, *(float(np.nextafter(edge, np.inf)) for edge in (TINY, -TINY))):
        seen = 0.0 if abs(each) <= TINY else each
        assert (seen <= threshold) is (each <= _without_tiny(threshold))


@pytest.mark.parametrize("single", [False, True])
def test_a_graph_compares_and_sums_in_the_precision_of_its_library(single: bool) -> None:
    graph = TreeGraph(1, 1, single=single)
    split = 1.7e12
    graph.tree(graph.leaf(0.1))
    graph.tree(graph.split(0, split, graph.leaf(0.2), graph.leaf(1e9), mode=LT if single else LEQ))
    graph.tree(graph.membership(0, [3, 70, 2000], graph.leaf(0.3), graph.leaf(0.0)))
    compiled = graph.compiled(TreesMetadata("identity"))
    kind = np.float32 if single else np.float64
    rows = [*neighbours_of(split), 3.0, 4.0, 70.0, 2000.0, 1999.0]
    expected = []
    for row in rows:
        is_left = kind(row) < kind(split) if single else row <= split
        total = kind(0.1) + (kind(0.2) if is_left else kind(1e9))
        expected.append(float(total + kind(0.3 if row in {3.0, 70.0, 2000.0} else 0.0)))
    assert compiled.predict_many(np.asarray(rows)[:, None]).tolist() == expected
    assert [compiled.predict_one([row]) for row in rows] == expected


@pytest.mark.parametrize("rows", [1, 2, 7, 100])
def test_leaves_of_many_numbers_are_summed_in_the_order_of_the_trees(rows: int) -> None:
    draw = np.random.default_rng(rows)
    graph, values, splits = TreeGraph(1, 9), draw.normal(size=(50, 2, 9)), draw.normal(size=50)
    for split, (left, right) in zip(splits.tolist(), values.tolist(), strict=True):
        graph.tree(graph.split(0, split, graph.leaf_of_many(left), graph.leaf_of_many(right)))
    numbers = draw.normal(size=rows)
    expected = np.zeros((rows, 9))
    for split, (left, right) in zip(splits, values, strict=True):
        expected += np.where(numbers[:, None] <= split, left, right)
    sums = graph.compiled(TreesMetadata("shares")).predict_many(numbers[:, None])
    np.testing.assert_array_equal(sums, expected)
