"""Step functions as a multiplication and a shift: found, and proved equal over the whole range of the operands.

`clamp((sum_i multiplier_i[c] * a_i + bias[c]) >> shift, low, high)`. A staircase is equal to this if it is so at both
sides of every step, since both are monotone: that is what is checked, for every channel, and with two operands for
every value of the narrower one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .steps import I64, StepFunction, Thresholds

Range = tuple[int, int]

MULTIPLIER_BITS: Final = 25
"""Widest multiplier, with its sign: the wider port of a DSP48E1 has 25 bits."""
ENUMERATED: Final = 1 << 10
"""Most values that the narrower of two operands may have."""
_LONGEST_SHIFT: Final = 46


@dataclass(frozen=True)
class MultiplyShift:
    """`clamp((sum_i multipliers[i][c] * a_i + bias[c]) >> shift, low, high)`: int64 [operands, C or 1] and [C or 1]."""

    multipliers: I64
    bias: I64
    shift: int
    low: int
    high: int

    def __call__(self, *operands: NDArray[np.generic]) -> I64:
        """Codes of integer arrays [..., C]."""
        total = np.zeros(1, np.int64) + self.bias
        for row, operand in zip(self.multipliers, operands, strict=True):
            total = total + operand.astype(np.int64, copy=False) * row
        return np.clip(total >> self.shift, self.low, self.high)

    @property
    def multiplier_bits(self) -> int:
        """Bits of the widest multiplier, with its sign."""
        return 1 + int(np.abs(self.multipliers).max()).bit_length()


def multiply_shift(function: StepFunction, ranges: list[Range]) -> MultiplyShift | None:
    """The smallest shift, with its multipliers and biases, that equals `function` for all operands within `ranges`.

    None where there is none: steps of 2, unevenly spaced boundaries, two wide operands, or too fine a slope.
    """
    pitch = _pitch(function)
    wide = max(range(len(ranges)), key=lambda i: ranges[i][1] - ranges[i][0])
    others = [i for i in range(len(ranges)) if i != wide]
    if pitch is None or function.step != 1 or len(others) > 1:
        return None
    narrow = others[0] if others else None
    if narrow is not None and ranges[narrow][1] - ranges[narrow][0] >= ENUMERATED:
        return None
    slopes = [[scale / pitch for scale in row] for row in function.scales]
    cases = _cases(function, narrow, ranges)
    steepest = max((abs(slope) for row in slopes for slope in row), default=Fraction(0))
    for shift in range(_LONGEST_SHIFT + 1):
        if (steepest * 2**shift).__ceil__().bit_length() >= MULTIPLIER_BITS:
            return None
        multipliers = _rounded(slopes, shift, function.channels)
        bias = _bias(function, cases, multipliers, ranges, wide, narrow, shift)
        if bias is not None:
            return MultiplyShift(multipliers, bias, shift, function.low, function.high)
    return None


def _pitch(function: StepFunction) -> Fraction | None:
    """Distance of the boundaries, where it is one for all channels and levels; 1 where there is one level."""
    if function.levels == 1:
        return Fraction(1)
    pitches = {b.at - a.at for steps in function.boundaries for a, b in pairwise(steps)}
    pitch = pitches.pop()
    return pitch if not pitches and pitch > 0 else None


def _cases(function: StepFunction, narrow: int | None, ranges: list[Range]) -> tuple[I64, Thresholds]:
    """Values of the narrow operand, and the thresholds of the wide one for each; the value 0 alone without one."""
    if narrow is None:
        values, found = np.zeros(1, np.int64), function.thresholds
        return values, Thresholds(found.table[np.newaxis], found.negative)
    low, high = ranges[narrow]
    values = np.arange(low, high + 1, dtype=np.int64)
    return values, function.thresholds_given(narrow, values)


def _rounded(slopes: list[list[Fraction]], shift: int, channels: int) -> I64:
    rows = [[round(slope * 2**shift) for slope in row] for row in slopes]
    return np.array([row if len(row) == channels else row * channels for row in rows], np.int64)


def _bias(
    function: StepFunction,
    cases: tuple[I64, Thresholds],
    multipliers: I64,
    ranges: list[Range],
    wide: int,
    narrow: int | None,
    shift: int,
) -> I64 | None:
    """A bias for every channel that puts all steps where they belong; None where a channel has none."""
    values, thresholds = cases
    low, high = ranges[wide]
    negative = thresholds.negative[:, np.newaxis]
    first, last = np.where(negative, -high, low), np.where(negative, -low, high)
    slope = np.where(negative, -1, 1) * multipliers[wide][:, np.newaxis]
    if (slope < 0).any():
        return None
    levels = (function.low + 1 + np.arange(function.levels, dtype=np.int64)) << shift
    least = np.full(function.channels, -(2**62), np.int64)
    most = np.full(function.channels, 2**62, np.int64)
    for value, table in zip(values, thresholds.table, strict=True):
        rest = 0 if narrow is None else (multipliers[narrow] * value)[:, np.newaxis]
        reached = np.where(table <= last, levels - np.maximum(table, first) * slope - rest, -(2**62))
        missed = np.where(table > first, levels - (np.minimum(table, last + 1) - 1) * slope - rest, 2**62)
        least = np.maximum(least, reached.max(axis=1))
        most = np.minimum(most, missed.min(axis=1) - 1)
        if (least > most).any():
            return None
    return _plain(least, most)


def _plain(least: I64, most: I64) -> I64:
    """A number between two bounds each: the middle, or the one bound that binds."""
    open_below, open_above = least <= -(2**61), most >= 2**61
    middle = least + (most - least) // 2
    found: I64 = np.where(open_below & open_above, 0, np.where(open_below, most, np.where(open_above, least, middle)))
    return found
