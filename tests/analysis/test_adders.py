"""Graphs of adders: they are the matrix, they share, and their bounds are reached."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tritloom.analysis.adders import ZERO, AdderGraph, plain_adders, share


def matrix_of(graph: AdderGraph) -> np.ndarray:
    """What every row adds up, of unit vectors."""
    return rows_of(graph)[list(graph.outputs)]


def rows_of(graph: AdderGraph) -> np.ndarray:
    """Each value's weights; the last row is ZERO's."""
    values = [*np.eye(graph.inputs, dtype=np.int64)]
    zero = np.zeros(graph.inputs, np.int64)
    for adder in graph.adders:
        left = zero if adder.left == ZERO else values[adder.left]
        values.append(left - values[adder.right] if adder.subtract else left + values[adder.right])
    return np.stack([*values, zero])


TRITS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-1, 1))


@given(trits=TRITS, low=st.integers(-8, 0), high=st.integers(1, 8))
def test_a_graph_is_its_matrix(trits, low, high):
    graph = share(trits)
    np.testing.assert_array_equal(matrix_of(graph), trits)
    assert len(graph.adders) <= plain_adders(trits)
    weights = rows_of(graph)[graph.inputs : -1]
    ends = np.stack([weights * low, weights * high])
    assert graph.ranges(low, high) == list(zip(ends.min(0).sum(1), ends.max(0).sum(1), strict=True))


def one_at_a_time(trits: np.ndarray) -> int:
    """Adders of the textbook's greedy: the most frequent pair, everything counted again, signs left aside."""
    rows, made = trits.astype(np.int64), 0
    while True:
        either, product = np.abs(rows).T @ np.abs(rows), rows.T @ rows
        counts = np.triu(np.stack([either + product, either - product]) // 2, 1)
        if counts.max() < 2:
            return made + int(np.maximum(np.count_nonzero(rows, axis=1) - 1, 0).sum())
        kind, i, j = np.unravel_index(counts.argmax(), counts.shape)
        having = rows[:, i] * rows[:, j] == (-1 if kind else 1)
        rows = np.concatenate([rows, np.where(having, rows[:, i], 0)[:, None]], axis=1)
        rows[having, i] = rows[having, j] = 0
        made += 1


@pytest.mark.parametrize("size", [32, 64])
def test_it_shares_as_much_as_the_textbook(size):
    """Ties are broken in another order: over some matrices it evens out."""
    drawn = [np.random.default_rng(seed).integers(-1, 2, (size, size)).astype(np.int8) for seed in range(4)]
    graphs = [share(trits) for trits in drawn]
    ours = sum(adder.left != ZERO for graph in graphs for adder in graph.adders)
    theirs = sum(map(one_at_a_time, drawn))
    assert ours <= 1.01 * theirs
    assert ours < 0.55 * sum(map(plain_adders, drawn))


def test_rows_without_weights_and_equal_rows():
    graph = share(np.array([[0, 0, 0], [1, -1, 1], [1, -1, 1], [-1, 0, 0]], np.int8))
    assert graph.outputs[0] == ZERO
    assert graph.outputs[1] == graph.outputs[2]
    assert (len(graph.adders), graph.depth()) == (3, 2)
