"""Ternary matrices behind a product: where their values are, and how trits and scale are computed from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .constants import Constant, check_finite

TIE = 1e-5
"""A master weight this near to a rounding boundary, in units of the scale, may round differently in onnxruntime."""

Trits = NDArray[np.int8]


@dataclass(frozen=True)
class Masters:
    """Float weights that the graph quantises: `beta = max(mean|W|, floor)`, `T = clamp(round(W / beta), -1, 1)`."""

    floor: float
    reciprocal: bool
    """The graph multiplies by 1/beta instead of dividing by beta."""


SourceKey = tuple[str, bool, Masters | None]


@dataclass(frozen=True, eq=False)
class TernarySource:
    """A matrix [rows, cols] of the graph: stored trits, stored {-s, 0, +s}, or masters."""

    constant: Constant
    transposed: bool
    masters: Masters | None = None

    @property
    def key(self) -> SourceKey:
        """Equal for the same matrix."""
        return self.constant.name, self.transposed, self.masters

    @property
    def rows(self) -> int:
        return self.constant.shape[1 if self.transposed else 0]

    @property
    def cols(self) -> int:
        return self.constant.shape[0 if self.transposed else 1]

    def read(self) -> tuple[Trits, float]:
        """Trits [rows, cols], and the scale that the stored values have.

        Raises:
            InputError: the values are not ternary, or not finite.
        """
        values = self.constant.load()
        if self.masters is not None:
            trits, scale = _quantise(self.constant.name, values, self.masters)
        else:
            trits, scale = _split(self.constant, values)
        return np.ascontiguousarray(trits.T if self.transposed else trits), scale

    def trits(self) -> Trits:
        """Trits [rows, cols]: the loader of the weight store."""
        return self.read()[0]

    def near_ties(self) -> int:
        """Masters so near to a rounding boundary that onnxruntime, which sums mean|W| in float32, may differ."""
        if self.masters is None:
            return 0
        values = self.constant.load()
        ratio = np.abs(values.astype(np.float64)) / absmean(values, self.masters.floor)
        return int(np.count_nonzero(np.abs(ratio - 0.5) < TIE))


def absmean(values: NDArray[np.generic], floor: float) -> float:
    """max(mean|W|, floor): summed in float64, rounded to float32 once."""
    mean = np.float32(np.abs(values).mean(dtype=np.float64))
    return float(np.maximum(mean, np.float32(floor)))


def _quantise(name: str, values: NDArray[np.generic], masters: Masters) -> tuple[Trits, float]:
    """Trits of masters, computed in float32 as the graph does; the scale is part of the graph, so 1 here."""
    weights = values.astype(np.float32, copy=False)
    check_finite(name, weights)
    beta = np.float32(absmean(weights, masters.floor))
    scaled = weights * (np.float32(1.0) / beta) if masters.reciprocal else weights / beta
    return np.clip(np.rint(scaled), -1, 1).astype(np.int8), 1.0


def _split(constant: Constant, values: NDArray[np.generic]) -> tuple[Trits, float]:
    """Trits and scale of stored values."""
    if values.dtype != np.int8:
        check_finite(constant.name, values.astype(np.float32, copy=False))
    largest = max(abs(float(values.max())), abs(float(values.min()))) if values.size else 0.0
    if values.dtype == np.int8 and largest <= 1:
        return values.astype(np.int8, copy=False), 1.0
    if largest == 0.0:
        return np.zeros(values.shape, np.int8), 1.0
    trits = np.sign(values).astype(np.int8)
    if not np.array_equal(np.abs(values), np.abs(trits) * values.dtype.type(largest)):
        raise not_ternary(constant, values)
    return trits, largest


def not_ternary(constant: Constant, values: NDArray[np.generic]) -> InputError:
    """The error for a matrix of more than {-s, 0, +s}: its histogram, and how far from ternary it is."""
    shape = "x".join(str(dim) for dim in constant.shape)
    distinct = np.unique(values)
    kind = constant.dtype.name.lower()
    return InputError(
        f"tensor '{constant.name}' ({kind}, {shape}) is not ternary: {distinct.size:,} distinct values\n"
        f"  histogram: {_histogram(values, distinct)}\n"
        f"  {_distance(values)}",
        "export the quantised weights (-1, 0, +1 and a scale), or masters with the absmean quantiser in the graph",
    )


def _histogram(values: NDArray[np.generic], distinct: NDArray[np.generic]) -> str:
    if distinct.size <= 9:
        return ", ".join(f"{float(value):g}: {np.count_nonzero(values == value):,}" for value in distinct)
    counts, edges = np.histogram(values.astype(np.float64), bins=7)
    bins = zip(edges[:-1], edges[1:], counts, strict=True)
    return ", ".join(f"{low:.3g} to {high:.3g}: {count:,}" for low, high, count in bins)


def _distance(values: NDArray[np.generic]) -> str:
    """How far the nearest {-a, 0, +a} of absmean quantisation lies."""
    weights = values.astype(np.float64)
    trits = np.clip(np.rint(weights / np.abs(weights).mean()), -1, 1)
    scale = (weights * trits).sum() / max(float(np.abs(trits).sum()), 1.0)
    error = np.abs(weights - scale * trits)
    rms = float(np.sqrt((error**2).mean() / (weights**2).mean()))
    off = float((error > 0.1 * scale).mean())
    return (
        f"the nearest ternary tensor (scale {scale:.4g}) is {rms:.1%} rms away,"
        f" {off:.1%} of the values by more than a tenth of the scale"
    )
