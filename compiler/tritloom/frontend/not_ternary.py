"""The error for a matrix of more than {-s, 0, +s}: its histogram, and how far from ternary it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .constants import BLOCK, Constant

Array = NDArray[np.generic]

_BINS: Final = 7
_FEW: Final = 9
"""Distinct values that are told one by one."""


class NotTernary(InputError):
    """A matrix, as stored, that is not ternary; `brief` says it in one line."""

    def __init__(self, constant: Constant, values: Array) -> None:
        self.tensor = constant.name
        self.shape = constant.shape
        self.histogram = _histogram(values)
        self.rms, distance = _distance(values)
        sizes = "x".join(str(dim) for dim in constant.shape)
        what = f"tensor '{constant.name}' ({constant.dtype.name.lower()}, {sizes})"
        self.brief = f"{what}: {self.histogram}; {self.rms:.1%} rms from ternary"
        super().__init__(
            f"{what} is not ternary: {_distinct(values)} distinct values\n  histogram: {self.histogram}\n  {distance}",
            "export the quantised weights (-1, 0, +1 and a scale), or masters with the absmean quantiser in the graph;"
            " or quantise them now, after training: --ternarise absmean (or twn)",
        )


def _sample(values: Array) -> Array:
    """About a block of the values, evenly taken."""
    return values.reshape(-1)[:: max(1, values.size // BLOCK)]


def _distinct(values: Array) -> str:
    """How many distinct values there are; of large matrices with many, at least how many."""
    found = np.unique(_sample(values)).size
    return f"over {found:,}" if values.size > BLOCK and found > _FEW else f"{np.unique(values).size:,}"


def _histogram(values: Array) -> str:
    if np.unique(_sample(values)).size <= _FEW and (distinct := np.unique(values)).size <= _FEW:
        return ", ".join(f"{float(value):g}: {np.count_nonzero(values == value):,}" for value in distinct)
    low, high = float(values.min()), float(values.max())
    counts = np.zeros(_BINS, np.int64)
    for block in _blocks(values):
        counts += np.histogram(block, bins=_BINS, range=(low, high))[0]
    return f"{low:.3g} to {high:.3g} in {_BINS} bins: {' '.join(f'{count:,}' for count in counts)}"


def _blocks(values: Array) -> Iterator[NDArray[np.float64]]:
    """The rows as float64, some at a time."""
    rows = max(1, BLOCK // max(1, values.shape[-1]))
    return (values[start : start + rows].astype(np.float64) for start in range(0, len(values), rows))


def _distance(values: Array) -> tuple[float, str]:
    """How far the nearest {-a, 0, +a} of absmean quantisation lies."""
    mean = sum(float(np.abs(block).sum()) for block in _blocks(values)) / values.size
    kept = np.zeros(2)
    for block in _blocks(values):
        trits = np.clip(np.rint(block / mean), -1, 1)
        kept += (block * trits).sum(), np.abs(trits).sum()
    scale = float(kept[0] / max(kept[1], 1.0))
    squares, off, first = np.zeros(2), 0, ""
    row = 0
    for block in _blocks(values):
        error = np.abs(block - scale * np.clip(np.rint(block / mean), -1, 1))
        squares += (error**2).sum(), (block**2).sum()
        far = np.argwhere(error > 0.1 * scale)
        if len(far) and not off:
            at = [int(far[0][0]) + row, int(far[0][1])]
            first = f" (the first, {float(values[tuple(at)]):g}, at {at})"
        off, row = off + len(far), row + len(block)
    rms = float(np.sqrt(squares[0] / squares[1]))
    return rms, (
        f"the nearest ternary tensor (scale {scale:.4g}) is {rms:.1%} rms away,"
        f" {off:,} of {values.size:,} values by more than a tenth of the scale{first}"
    )
