"""Weights to trits, as docs/numerics.md and the importer have it, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .safetensors import F32, StoredTensor

FLOOR: Final = 1e-5
"""Least mean |W|."""


def absmean(tensor: StoredTensor) -> np.float32:
    """`beta = max(mean|W|, 1e-5)`: summed in float64, rounded to float32 once."""
    total = math.fsum(float(np.abs(block).sum(dtype=np.float64)) for block in tensor.blocks())
    return np.float32(max(np.float32(total / tensor.size), np.float32(FLOOR)))


def trits(tensor: StoredTensor, beta: np.float32) -> Iterator[NDArray[np.int8]]:
    """`clamp(round_half_even(W / beta), -1, 1)` in float32, flat, block by block."""
    for block in tensor.blocks():
        yield np.clip(np.rint(block / beta), -1, 1).astype(np.int8)


def lower_bounds(table: F32) -> F32:
    """LB [L, d]: the cumulated softmax over the layers, less its first row; computed in float64, rounded once."""
    wide = table.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=0))
    cumulated = np.cumsum(powers / powers.sum(axis=0), axis=0)
    bounds: F32 = (cumulated - cumulated[0]).astype(np.float32)
    return bounds
