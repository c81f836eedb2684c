"""Graphs of adders: they are the matrix, and their bounds are reached."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrices import TRITS, matrix_of, rows_of
from tritloom.analysis.adders import ZERO, GraphBuilder, plain_adders, width_of


@given(trits=TRITS, low=st.integers(-8, 0), high=st.integers(1, 8))
def test_trees_of_rows(trits, low, high):
    """Each row a tree of its own: as many adders as it needs, their bounds those of its codes."""
    builder = GraphBuilder(trits.shape[1])
    rows = [[(int(k), bool(row[k] < 0)) for k in np.flatnonzero(row)] for row in trits]
    graph = builder.graph([builder.tree(row) for row in rows])
    np.testing.assert_array_equal(matrix_of(graph), trits)
    assert len(graph.adders) == plain_adders(trits)
    weights = rows_of(graph)[graph.inputs : -1]
    ends = np.stack([weights * low, weights * high])
    assert graph.ranges(low, high) == list(zip(ends.min(0).sum(1), ends.max(0).sum(1), strict=True))


def test_a_tree_takes_the_narrow_summands_first():
    builder = GraphBuilder(4)
    wide = builder.add(0, 1, False)
    narrow = builder.add(ZERO, 2, True)
    assert builder.tree([(wide, False), (narrow, True), (3, False)]) == 7
    assert [(adder.left, adder.right, adder.subtract) for adder in builder.adders[2:]] == [
        (3, narrow, True),
        (wide, 6, False),
    ]


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (0, 1, 1), (0, 255, 8), (0, 256, 9), (-1, 0, 1), (-1, 1, 2), (-128, 127, 8), (-129, 0, 9), (-5, 8, 5)],
)
def test_the_width_of_a_range(low: int, high: int, bits: int) -> None:
    assert width_of(low, high) == bits
