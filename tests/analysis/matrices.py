"""Matrices of trits, and what a graph of adders makes of unit vectors."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tritloom.analysis.adders import ZERO, AdderGraph

TRITS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-1, 1))


def matrix_of(graph: AdderGraph) -> np.ndarray:
    """What every row adds up."""
    return rows_of(graph)[list(graph.outputs)]


def rows_of(graph: AdderGraph) -> np.ndarray:
    """Each value's weights; the last row is ZERO's."""
    values = [*np.eye(graph.inputs, dtype=np.int64)]
    zero = np.zeros(graph.inputs, np.int64)
    for adder in graph.adders:
        left = zero if adder.left == ZERO else values[adder.left]
        values.append(left - values[adder.right] if adder.subtract else left + values[adder.right])
    return np.stack([*values, zero])
