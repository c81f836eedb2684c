"""Rising functions between a sum and its quantiser: each says where it passes a boundary.

A condition `f(v) >= at` (or `> at`) on the result of a function becomes one on its operand. Functions are applied by
channel; clamps, leaky and saturating activations and rescales behind them are all there is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

import numpy as np

from ...ir.steps import Boundary, uniform
from .rows import Row, at, each, plus, times

_DIGITS: Final = 60

Passed = Boundary | bool
"""A boundary of the operand; True where every operand passes, False where none does."""


@dataclass(frozen=True)
class Rising(ABC):
    """A function that never falls."""

    @property
    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """Its parameters."""

    @property
    def keeps_order(self) -> bool:
        """Whether it keeps the order of any two numbers, in whatever channels they are."""
        return False

    @abstractmethod
    def passed(self, boundary: Boundary, channel: int) -> Passed:
        """Where the operand makes the result pass `boundary`."""

    def behind(self, boundary: Passed, channel: int) -> Passed:
        """`passed`, where the boundary is not settled yet."""
        return boundary if isinstance(boundary, bool) else self.passed(boundary, channel)


@dataclass(frozen=True)
class Clamp(Rising):
    """`min(max(v, low), high)`; a bound that is missing is None."""

    low: Row | None
    high: Row | None

    @property
    def rows(self) -> Sequence[Row]:
        return [bound for bound in (self.low, self.high) if bound is not None]

    def passed(self, boundary: Boundary, channel: int) -> Passed:
        place, inclusive = boundary
        if self.high is not None and not _reaches(at(self.high, channel), boundary):
            return False
        if self.low is not None and (place <= at(self.low, channel) if inclusive else place < at(self.low, channel)):
            return True
        return boundary

    def rescaled(self, scale: Row, offset: Row) -> Clamp | None:
        """The clamp behind the rescale instead of in front of it; None where signs differ and a bound is missing."""
        low, high = (None if bound is None else plus(times(bound, scale), offset) for bound in (self.low, self.high))
        if all(factor > 0 for factor in scale):
            return Clamp(low, high)
        if all(factor < 0 for factor in scale):
            return Clamp(high, low)
        return None if low is None or high is None else Clamp(each(min, low, high), each(max, low, high))


def _reaches(value: Fraction, boundary: Boundary) -> bool:
    return value >= boundary.at if boundary.inclusive else value > boundary.at


@dataclass(frozen=True)
class Rescale(Rising):
    """`scale * v + offset`, every scale above 0."""

    scale: Row
    offset: Row

    @property
    def rows(self) -> Sequence[Row]:
        return [self.scale, self.offset]

    @property
    def keeps_order(self) -> bool:
        return len(self.scale) == len(self.offset) == 1

    def passed(self, boundary: Boundary, channel: int) -> Passed:
        return Boundary((boundary.at - at(self.offset, channel)) / at(self.scale, channel), boundary.inclusive)


@dataclass(frozen=True)
class Leaky(Rising):
    """`v` where it is positive, `slope * v` below; slope above 0."""

    slope: Row

    @property
    def rows(self) -> Sequence[Row]:
        return [self.slope]

    @property
    def keeps_order(self) -> bool:
        return len(self.slope) == 1

    def passed(self, boundary: Boundary, channel: int) -> Passed:
        place = boundary.at if boundary.at >= 0 else boundary.at / at(self.slope, channel)
        return Boundary(place, boundary.inclusive)


@dataclass(frozen=True)
class Logistic(Rising):
    """`1 / (1 + exp(-v))`, or tanh as `2 * logistic(2v) - 1`; its inverse to 60 digits."""

    @property
    def rows(self) -> Sequence[Row]:
        return []

    @property
    def keeps_order(self) -> bool:
        return True

    def passed(self, boundary: Boundary, channel: int) -> Passed:
        if not 0 < boundary.at < 1:
            return boundary.at <= 0
        odds = boundary.at / (1 - boundary.at)
        with localcontext(prec=_DIGITS):
            place = (Decimal(odds.numerator) / Decimal(odds.denominator)).ln()
        return Boundary(Fraction(place), boundary.inclusive)


@dataclass(frozen=True)
class Rounded(Rising):
    """v as an integer; the rounding is one of `ir.steps.uniform`."""

    rounding: str

    @property
    def rows(self) -> Sequence[Row]:
        return []

    def passed(self, boundary: Boundary, channel: int) -> Passed:
        smallest = math.ceil(boundary.at) if boundary.inclusive else math.floor(boundary.at) + 1
        return uniform(smallest - 1, smallest, rounding=self.rounding)[0]


@dataclass(frozen=True)
class RoundedToFloat32(Rising):
    """The float32 number next to v, ties to even: what onnxruntime's integer kernels make of a rescaled sum."""

    @property
    def rows(self) -> Sequence[Row]:
        return []

    def passed(self, boundary: Boundary, channel: int) -> Passed:
        smallest = _float32_from(boundary)
        below = np.nextafter(smallest, np.float32(-np.inf))
        even = int(smallest.view(np.uint32)) % 2 == 0
        return Boundary((Fraction(float(smallest)) + Fraction(float(below))) / 2, even)


def _float32_from(boundary: Boundary) -> np.float32:
    """The smallest float32 number that passes a boundary."""
    found = np.float32(float(boundary.at))
    while not _reaches(Fraction(float(found)), boundary):
        found = np.nextafter(found, np.float32(np.inf))
    while _reaches(Fraction(float(below := np.nextafter(found, np.float32(-np.inf)))), boundary):
        found = below
    return found
