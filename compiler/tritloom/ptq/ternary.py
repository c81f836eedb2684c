"""Trits and a scale for a float matrix that was not trained to be ternary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
Trits = NDArray[np.int8]

_BLOCK: Final = 1 << 20
_TWN_THRESHOLD: Final = 0.7
_SMALLEST: Final = 1e-5


@dataclass(frozen=True)
class Grid:
    """`W` as `scale * T`: T is +1 or -1 where |W| is over the threshold."""

    threshold: float
    scale: float

    def trits(self, values: Floats) -> Trits:
        """int8, of the shape of `values`."""
        wide = values.astype(np.float32, copy=False)
        return (np.sign(wide) * (np.abs(wide) > np.float32(self.threshold))).astype(np.int8)


def blocks(values: Floats) -> Iterator[NDArray[np.float64]]:
    """All values as float64, some at a time."""
    flat = values.reshape(-1)
    return (flat[start : start + _BLOCK].astype(np.float64) for start in range(0, flat.size, _BLOCK))


def _mean_magnitude(values: Floats) -> float:
    return sum(float(np.abs(block).sum()) for block in blocks(values)) / max(values.size, 1)


def absmean(values: Floats) -> Grid:
    """`beta = mean|W|`, `T = clamp(round(W / beta), -1, 1)` (BitNet b1.58, arXiv 2402.17764)."""
    beta = max(_mean_magnitude(values), _SMALLEST)
    return Grid(beta / 2, float(np.float32(beta)))


def twn(values: Floats) -> Grid:
    """Threshold 0.7 mean|W|, scale the mean of the magnitudes over it (Ternary weight networks, arXiv 1605.04711)."""
    threshold = _TWN_THRESHOLD * _mean_magnitude(values)
    total = count = 0.0
    for block in blocks(values):
        over = np.abs(block)[np.abs(block) > threshold]
        total, count = total + float(over.sum()), count + over.size
    return Grid(threshold, float(np.float32(max(total / max(count, 1.0), _SMALLEST))))


METHODS: Final[dict[str, Callable[[Floats], Grid]]] = {"absmean": absmean, "twn": twn}


def distance(values: Floats, grid: Grid) -> float:
    """Root mean square of `W - scale * T`, relative to that of W."""
    error = size = 0.0
    for block in blocks(values):
        error += float(((block - grid.scale * grid.trits(block)) ** 2).sum())
        size += float((block**2).sum())
    return float(np.sqrt(error / size)) if size else 0.0
