"""How a graph writes the integer codes of a weight: stored, packed, behind a zero point, or rounded from masters.

An encoding reads the codes of its constant [rows, cols], as stored, and the scale that the graph multiplies to them
there, as a grid: one number, one a row, one a column, or one a block. Encodings nest: a DequantizeLinear of a Clip of a
QuantizeLinear is `Dequantized(Clamped(Rounded(AsStored())))`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .constants import Constant, check_finite

Array = NDArray[Any]

ROUNDINGS: Final[dict[str, Callable[[Array], Array]]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "ROUND_TO_ZERO": np.trunc,
    "DOWN": np.trunc,
}


@dataclass(frozen=True)
class Grid:
    """A parameter of a matrix: a constant scalar, a vector along `axis`, or a value a block.

    `axis` None stands for numpy's broadcasting, as Mul and Quant have it. `flipped` where the matrix is stored as the
    transpose of the one that the parameter belongs to.
    """

    constant: Constant
    axis: int | None = None
    flipped: bool = False

    def read(self) -> NDArray[np.float64]:
        """The values [1 or rows or blocks, 1 or columns or blocks] of the stored matrix."""
        values = self.constant.load().astype(np.float64)
        check_finite(self.constant.name, values)
        if values.ndim > 2 or values.size == 0:
            raise InputError(
                f"the scale or zero point '{self.constant.name}' has shape {list(self.constant.shape)}",
                "a weight matrix has one scale, one a row, or one a block",
            )
        if values.ndim == 1 and values.size > 1 and self.axis == 0:
            values = values[:, np.newaxis]
        values = values.reshape((1,) * (2 - values.ndim) + values.shape)
        return values.T if self.flipped else values


def spread(grid: Array, shape: tuple[int, ...]) -> Array:
    """A grid as numpy broadcasts it to `shape`: blocks written out.

    Raises:
        InputError: it does not fit.
    """
    for axis, size in enumerate(shape):
        given = grid.shape[axis]
        if given not in (1, size):
            block = -(-size // given)
            if -(-size // block) != given:
                raise InputError(
                    f"{given} scales or zero points do not divide {size} weights into blocks",
                    "the model file is damaged, or its blocks are unequal: export it again",
                )
            grid = np.repeat(grid, block, axis)
            grid = grid[:size] if axis == 0 else grid[:, :size]
    return grid


@dataclass(frozen=True)
class Encoding(ABC):
    """How the codes of a matrix are computed from its constant."""

    def shape(self, constant: Constant) -> tuple[int, ...]:
        """Rows and columns of the matrix."""
        return constant.shape

    @abstractmethod
    def codes(self, constant: Constant) -> Array:
        """The codes, integers or floats, without a scale."""

    def scale(self) -> NDArray[np.float64] | None:
        """The grid of scales, where there is one."""
        return None


@dataclass(frozen=True)
class AsStored(Encoding):
    """The values of an initialiser."""

    def codes(self, constant: Constant) -> Array:
        values = constant.load()
        return values.astype(np.int8) if constant.dtype.is_integer() and constant.dtype.bitwidth < 8 else values


STORED: Final = AsStored()


@dataclass(frozen=True)
class Masters(Encoding):
    """Float weights that the graph quantises: `beta = max(mean|W|, floor)`, `T = clamp(round(W / beta), -1, 1)`."""

    floor: float
    reciprocal: bool
    """The graph multiplies by 1/beta instead of dividing by beta."""
    axis: int | None = None
    """One mean for each index of this axis; one for the matrix where it is None."""

    def codes(self, constant: Constant) -> Array:
        weights = constant.load().astype(np.float32, copy=False)
        check_finite(constant.name, weights)
        beta = np.asarray(absmean(weights, self.floor, self.axis), np.float32)
        scaled = weights * (np.float32(1.0) / beta) if self.reciprocal else weights / beta
        return np.clip(np.rint(scaled), -1, 1).astype(np.int8)


@dataclass(frozen=True)
class Rounded(Encoding):
    """Float weights on a static grid: `clamp(round(W / s) + z, low, high)`, in float32 as the graph computes it."""

    step: Grid
    low: float
    high: float
    zero: Grid | None = None
    reciprocal: bool = False
    """The graph multiplies by the step instead of dividing by it."""
    rounding: str = "ROUND"
    inner: Encoding = STORED

    def codes(self, constant: Constant) -> Array:
        weights = self.inner.codes(constant).astype(np.float32, copy=False)
        check_finite(constant.name, weights)
        step = spread(self.step.read(), weights.shape).astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scaled = weights * step if self.reciprocal else weights / step
        check_finite(constant.name, scaled)
        codes = ROUNDINGS[self.rounding](scaled)
        if self.zero is not None:
            codes = codes + spread(self.zero.read(), weights.shape).astype(np.float32)
        return np.clip(codes, self.low, self.high).astype(np.int16)


@dataclass(frozen=True)
class Signs(Encoding):
    """Float weights of which the graph keeps the sign; 0 counts as positive."""

    def codes(self, constant: Constant) -> Array:
        weights = constant.load()
        check_finite(constant.name, weights.astype(np.float32, copy=False))
        return np.where(weights.astype(np.float32, copy=False) >= 0, np.int8(1), np.int8(-1))


@dataclass(frozen=True)
class Clamped(Encoding):
    """`clamp(codes, low, high)`."""

    inner: Encoding
    low: float | None
    high: float | None

    def shape(self, constant: Constant) -> tuple[int, ...]:
        return self.inner.shape(constant)

    def codes(self, constant: Constant) -> Array:
        codes = self.inner.codes(constant)
        limits = (np.iinfo if codes.dtype.kind in "iu" else np.finfo)(codes.dtype)
        low = limits.min if self.low is None else max(self.low, limits.min)
        high = limits.max if self.high is None else min(self.high, limits.max)
        return np.clip(codes, codes.dtype.type(low), codes.dtype.type(high))


@dataclass(frozen=True)
class Dequantized(Encoding):
    """`(codes - zero) * step`."""

    inner: Encoding
    step: Grid | None
    zero: Grid | None = None

    def shape(self, constant: Constant) -> tuple[int, ...]:
        return self.inner.shape(constant)

    def codes(self, constant: Constant) -> Array:
        codes = self.inner.codes(constant)
        if self.zero is None:
            return codes
        zero = self.zero.read()
        if not zero.any():
            return codes
        wide = codes.astype(np.int32 if codes.dtype.kind in "iu" else np.float32)
        return wide - spread(zero, codes.shape).astype(wide.dtype)

    def scale(self) -> NDArray[np.float64] | None:
        return self.step.read() if self.step is not None else None


@dataclass(frozen=True)
class Packed(Encoding):
    """MatMulNBits: [rows, blocks, bytes] of `bits` a code, the lowest bits first, minus a zero point a block."""

    bits: int
    block: int
    rows: int
    cols: int
    step: Constant
    zero: Constant | None

    def shape(self, constant: Constant) -> tuple[int, ...]:
        return self.rows, self.cols

    @property
    def _blocks(self) -> int:
        return -(-self.cols // self.block)

    def codes(self, constant: Constant) -> Array:
        packed = np.asarray(constant.load(), np.uint8).reshape(self.rows * self._blocks, -1)
        codes = self._unpacked(packed)[:, : self.block].astype(np.int16)
        codes = codes.reshape(self.rows, self._blocks, self.block)
        return (codes - self._zeros()).reshape(self.rows, -1)[:, : self.cols]

    def _zeros(self) -> Array:
        if self.zero is None:
            return np.full((1, 1, 1), 1 << (self.bits - 1), np.int16)
        zeros = self.zero.load()
        if zeros.dtype == np.uint8:
            zeros = self._unpacked(zeros.reshape(self.rows, -1))[:, : self._blocks]
        whole = np.rint(zeros.astype(np.float64))
        if not np.array_equal(whole, zeros.astype(np.float64)):
            raise InputError(
                f"the zero points '{self.zero.name}' are not integers",
                "a ternary weight has integer codes: quantise it symmetrically",
            )
        return whole.reshape(self.rows, self._blocks, 1).astype(np.int16)

    def _unpacked(self, packed: Array) -> Array:
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        mask = np.uint8((1 << self.bits) - 1)
        return ((packed[..., np.newaxis] >> shifts) & mask).reshape(packed.shape[0], -1)

    def scale(self) -> NDArray[np.float64] | None:
        values = self.step.load().astype(np.float64)
        check_finite(self.step.name, values)
        return values.reshape(self.rows, self._blocks)


def absmean(values: Array, floor: float, axis: int | None = None) -> NDArray[np.float32]:
    """max(mean|W|, floor), of all or for each index of `axis`: summed in float64, rounded to float32 once."""
    over = None if axis is None else 1 - axis
    mean = np.abs(values).mean(axis=over, dtype=np.float64, keepdims=axis is not None)
    return np.maximum(np.asarray(mean, np.float32), np.float32(floor))
