"""Step functions: what lies between one integer tensor and the next in a net with static quantisers.

Rescale, bias, batch norm, ReLU, clip and quantiser of one channel together are a monotone staircase over an affine sum
of integers. It is kept as exact rationals, so that every code is the exact evaluation of the ONNX graph, and becomes
integer thresholds or a multiplication and a shift (the pass `to-thresholds`) that are proved equal to it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
T = TypeVar("T")

LARGEST_FACTOR = 64
"""Of the integers that two scales are as."""
_FAR = 2**62
"""Beyond every accumulator."""
_UNSURE = 1e-14
"""Relative distance of a float64 quotient to an integer under which its own error may decide; that is below 1e-15."""


class Boundary(NamedTuple):
    """Where a staircase steps up: at `at` itself if `inclusive`, else directly behind it."""

    at: Fraction
    inclusive: bool


@dataclass(frozen=True)
class StepFunction:
    """`code = low + step * #{k : v passes boundary k}` with `v = sum_i scales[i][c] * a_i + offset[c]`.

    `scales` has a row for each operand; it, `offset` and `boundaries` have one entry for every channel, or one for all.
    Boundaries ascend, an inclusive one before another at the same place. The counts of channels agree.
    """

    scales: tuple[tuple[Fraction, ...], ...]
    offset: tuple[Fraction, ...]
    boundaries: tuple[tuple[Boundary, ...], ...]
    low: int
    step: int = 1

    @property
    def operands(self) -> int:
        return len(self.scales)

    @property
    def levels(self) -> int:
        """Steps: there is one code more."""
        return len(self.boundaries[0])

    @property
    def high(self) -> int:
        return self.low + self.step * self.levels

    @cached_property
    def channels(self) -> int:
        """1 where all channels are alike."""
        return max(len(self.offset), len(self.boundaries), *(len(row) for row in self.scales))

    @cached_property
    def digest(self) -> str:
        """sha256 of the whole function."""
        state = hashlib.sha256(f"{self.low} {self.step}\n".encode())
        for row in (*self.scales, self.offset):
            state.update((" ".join(map(str, row)) + "\n").encode())
        for steps in self.boundaries:
            state.update((" ".join(f"{at}{'=' if inclusive else ''}" for at, inclusive in steps) + "\n").encode())
        return state.hexdigest()

    def at_channel(self, channel: int) -> StepFunction:
        """The function of one channel."""
        return StepFunction(
            tuple((_pick(row, channel),) for row in self.scales),
            (_pick(self.offset, channel),),
            (_pick(self.boundaries, channel),),
            self.low,
            self.step,
        )

    def exact(self, channel: int, values: Sequence[int]) -> int:
        """The code of one element, in rational arithmetic."""
        total = _pick(self.offset, channel)
        for row, value in zip(self.scales, values, strict=True):
            total += _pick(row, channel) * value
        steps = _pick(self.boundaries, channel)
        return self.low + self.step * sum(total >= at if inclusive else total > at for at, inclusive in steps)

    @cached_property
    def thresholds(self) -> Thresholds:
        """Of one operand: the staircase over the integers themselves.

        Raises:
            ValueError: there are several operands.
        """
        if self.operands != 1:
            raise ValueError(f"{self.operands} operands have no thresholds")
        rows = [_integer_thresholds(self.at_channel(channel)) for channel in range(self.channels)]
        return Thresholds(
            np.array([row for row, _ in rows], np.int64).reshape(len(rows), self.levels),
            np.array([negative for _, negative in rows]),
        )

    @cached_property
    def float_thresholds(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Of one float32 operand: the smallest float32 number that passes each boundary, [C or 1, levels], and whether
        the operand is negated first, bool [C or 1]. A boundary that no number passes is +inf, which infinity passes."""
        tables = np.empty((self.channels, self.levels), np.float32)
        negative = np.empty(self.channels, bool)
        for channel in range(self.channels):
            single = self.at_channel(channel)
            scale, offset = single.scales[0][0], single.offset[0]
            if scale == 0:
                raise ValueError("a scale of zero has no thresholds among the floats")
            negative[channel] = scale < 0
            for level, (at, inclusive) in enumerate(single.boundaries[0]):
                tables[channel, level] = _smallest_float((at - offset) / abs(scale), inclusive)
        return tables, negative

    @cached_property
    def small_ratio(self) -> tuple[int, int] | None:
        """p, q where in every channel the scales of two operands are as p to q, both at most `LARGEST_FACTOR`."""
        if self.operands != 2:
            return None
        first, second = self.scales
        pairs = {(_pick(first, c), _pick(second, c)) for c in range(max(len(first), len(second)))}
        if any(scale == 0 for _, scale in pairs) or len(ratios := {a / b for a, b in pairs}) != 1:
            return None
        ratio = ratios.pop()
        fits = ratio > 0 and max(ratio.numerator, ratio.denominator) <= LARGEST_FACTOR
        return (ratio.numerator, ratio.denominator) if fits else None

    @cached_property
    def of_sum(self) -> StepFunction:
        """The function of `p * a_0 + q * a_1`, p and q being the small ratio.

        Raises:
            ValueError: there is none.
        """
        if self.small_ratio is None:
            raise ValueError("the scales of the operands have no small ratio")
        scales = tuple(scale / self.small_ratio[0] for scale in self.scales[0])
        return StepFunction((scales,), self.offset, self.boundaries, self.low, self.step)

    def given(self, index: int, value: int) -> StepFunction:
        """The function of the other operands, one operand being fixed."""
        count = max(len(self.offset), len(self.scales[index]))
        offset = tuple(_pick(self.offset, c) + _pick(self.scales[index], c) * value for c in range(count))
        return StepFunction(
            self.scales[:index] + self.scales[index + 1 :], offset, self.boundaries, self.low, self.step
        )

    def thresholds_given(self, index: int, values: I64) -> Thresholds:
        """Of two operands: the staircase over the other one for each value of operand `index`, [V, C or 1, levels].

        float64 decides; what lies too near to an integer for it is evaluated as a rational number.
        """
        tables = np.empty((len(values), self.channels, self.levels), np.int64)
        negative = np.empty(self.channels, bool)
        for channel in range(self.channels):
            single = self.at_channel(channel)
            (scale,), (fixed,) = single.scales[1 - index], single.scales[index]
            negative[channel] = scale < 0
            if scale == 0:
                rows = [single.given(index, int(value)).thresholds.table[0] for value in values]
                tables[:, channel] = rows
                continue
            quotients = [(at - single.offset[0]) / abs(scale) for at, _ in single.boundaries[0]]
            tables[:, channel] = _thresholds_along(quotients, single.boundaries[0], fixed / abs(scale), values)
        return Thresholds(tables, negative)

    def __call__(self, *operands: NDArray[np.generic]) -> I64:
        """Codes of integer arrays [..., C], all of one shape."""
        if len(operands) != self.operands:
            raise ValueError(f"{self.operands} operands are needed, not {len(operands)}")
        if self.operands == 1:
            return self._counted(self.thresholds, operands[0])
        # The operand with the fewest values is fixed.
        values = [np.unique(operand) for operand in operands]
        index = min(range(len(values)), key=lambda i: len(values[i]))
        others = [operand for i, operand in enumerate(operands) if i != index]
        if self.operands == 2:
            return self._counted_at(index, values[index].astype(np.int64), operands[index], others[0])
        codes = np.empty(operands[0].shape, np.int64)
        for value in values[index]:
            where = operands[index] == value
            codes[where] = self.given(index, int(value))(*others)[where]
        return codes

    def _counted_at(self, index: int, values: I64, fixed: NDArray[np.generic], other: NDArray[np.generic]) -> I64:
        thresholds = self.thresholds_given(index, values)
        row = np.searchsorted(values, fixed)
        channel = np.arange(other.shape[-1]) % self.channels if self.channels > 1 else np.zeros(1, np.int64)
        compared = np.where(thresholds.negative[channel], -1, 1) * other.astype(np.int64, copy=False)
        count = np.zeros(other.shape, np.int64)
        for level in range(self.levels):
            count += compared >= thresholds.table[row, channel, level]
        return self.low + self.step * count

    def _counted(self, thresholds: Thresholds, operand: NDArray[np.generic]) -> I64:
        values = operand.astype(np.int64, copy=False)
        codes = np.empty(values.shape, np.int64)
        for channel in range(values.shape[-1]):
            at = channel if self.channels > 1 else 0
            part = -values[..., channel] if thresholds.negative[at] else values[..., channel]
            codes[..., channel] = np.searchsorted(thresholds.table[at], part, side="right")
        return self.low + self.step * codes


@dataclass(frozen=True)
class Thresholds:
    """`#{k : (negative[c] ? -a : a) >= table[c][k]}`: int64 [..., C or 1, levels], ascending; bool [C or 1]."""

    table: I64
    negative: NDArray[np.bool_]


def _integer_thresholds(function: StepFunction) -> tuple[list[int], bool]:
    """Thresholds of one channel, cut off at +-2^62, and whether the operand is negated."""
    scale, offset = function.scales[0][0], function.offset[0]
    found = []
    for at, inclusive in function.boundaries[0]:
        distance = at - offset
        if scale == 0:
            passed = distance <= 0 if inclusive else distance < 0
            found.append(-_FAR if passed else _FAR)
        else:
            found.append(_first_integer(distance / abs(scale), inclusive))
    return found, scale < 0


def _first_integer(quotient: Fraction, inclusive: bool) -> int:
    """The smallest integer at or above (or only above) `quotient`, cut off at +-2^62."""
    integer = math.ceil(quotient) if inclusive else math.floor(quotient) + 1
    return max(-_FAR, min(_FAR, integer))


def _thresholds_along(
    quotients: Sequence[Fraction], boundaries: Sequence[Boundary], slope: Fraction, values: I64
) -> I64:
    """Smallest integers that pass `quotient - slope * value`, [V, levels]."""
    places = np.array([float(quotient) for quotient in quotients])
    shifts = float(slope) * values[:, np.newaxis]
    found = places - shifts
    nearest = np.rint(found)
    tables: I64 = np.clip(np.ceil(found), -_FAR, _FAR).astype(np.int64)
    unsure = np.abs(found - nearest) <= _UNSURE * (np.abs(places) + np.abs(shifts) + 1)
    for row, level in zip(*np.nonzero(unsure), strict=True):
        tables[row, level] = _first_integer(quotients[level] - slope * int(values[row]), boundaries[level].inclusive)
    return tables


def _smallest_float(bound: Fraction, inclusive: bool) -> np.float32:
    """The smallest float32 number at or above (or only above) `bound`."""
    infinity = np.float32(np.inf)

    def passes(value: np.float32) -> bool:
        number = Fraction(float(value))
        return number >= bound if inclusive else number > bound

    with np.errstate(over="ignore"):
        found = np.float32(float(bound))
    while np.isfinite(found) and not passes(found):
        found = np.nextafter(found, infinity)
    while np.isfinite(below := np.nextafter(found, -infinity)) and passes(below):
        found = below
    return found


def uniform(
    low: int,
    high: int,
    scale: Fraction = Fraction(1),
    zero: Fraction = Fraction(0),
    rounding: str = "half_even",
) -> tuple[Boundary, ...]:
    """Boundaries of `clamp(round(v / scale + zero), low, high)`, scale > 0.

    `rounding`: half_even; half_up, half_down, half_away (from 0), half_to_zero; floor, ceil, away, to_zero.
    """
    half = Fraction(1, 2)
    found = []
    for code in range(low + 1, high + 1):
        positive = code > 0
        at, inclusive = {
            "half_even": (code - half, code % 2 == 0),
            "half_up": (code - half, True),
            "half_down": (code - half, False),
            "half_away": (code - half, positive),
            "half_to_zero": (code - half, not positive),
            "floor": (Fraction(code), True),
            "ceil": (Fraction(code - 1), False),
            "away": (Fraction(code - 1), False) if positive else (Fraction(code), True),
            "to_zero": (Fraction(code), True) if positive else (Fraction(code - 1), False),
        }[rounding]
        found.append(Boundary((at - zero) * scale, inclusive))
    return tuple(found)


def _pick(row: Sequence[T], channel: int) -> T:
    return row[channel] if len(row) > 1 else row[0]
