"""The order of scores, as integers: one key for each sum, larger where the score is.

`key = multiplier[c] * sum + bias[c]` stands for `score = scale[c] * sum + offset[c]` of channel c. Scales and offsets
are exact rationals. Where the scales are multiples of one number, and be they all the same, the keys order every two
sums as the rational scores do, ties included: in units of that number a score is an integer and a constant fraction,
and the fraction's rank takes its place. So it is with float32 scales by channel, times what is common to all. Scales
that are multiples of nothing large enough are rounded, each by at most 2^-25 of itself: float32 does no less to their
products with a sum.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
Exact = tuple[Fraction, ...]

FINEST: Final = 1 << 24
"""Parts of the smallest scale that scales are counted in, at most: a float32 number is a multiple of such a part."""
KEY_BITS: Final = 62
"""Most bits of a key, with its sign: one key less than the least, and their negatives, are int64."""


@dataclass(frozen=True)
class Ranking:
    """Keys of sums: int64 `multiplier` and `bias`, each of every channel or one for all; and the exact scores."""

    scale: Exact
    offset: Exact
    multiplier: I64
    bias: I64
    bits: int
    """Of a key of the sums that it was made for, with its sign, one key below the least included."""
    exact: bool
    """Whether the keys order sums as the rational scores do; otherwise their scales were rounded."""

    @property
    def multiplier_bits(self) -> int:
        """Bits of the widest multiplier, with its sign, without the zeros that all end in; 0 where one shift does."""
        common = math.gcd(*map(int, self.multiplier))
        widest = int(np.abs(self.multiplier).max()) // max(1, common & -common)
        return 0 if len(self.multiplier) == 1 and widest <= 1 else 1 + widest.bit_length()

    @cached_property
    def digest(self) -> str:
        """sha256 of both tables."""
        rows = (" ".join(map(str, table.tolist())) for table in (self.multiplier, self.bias))
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def keys(self, sums: NDArray[np.generic]) -> I64:
        """Keys of integer sums [..., C]."""
        return sums.astype(np.int64, copy=False) * self.multiplier + self.bias


def best(keys: I64, count: int, last: bool) -> I64:
    """Indices [..., count] of the largest keys [..., C], the largest first; of equal ones the lower index goes first,
    or with `last` the higher one."""
    channels = keys.shape[-1]
    in_order = keys[..., ::-1] if last else keys
    found = np.argsort(-in_order, axis=-1, kind="stable")[..., :count]
    return channels - 1 - found if last else found


def ranking(scales: Sequence[Fraction], offset: Sequence[Fraction], low: int, high: int) -> Ranking | None:
    """Keys of sums in low .. high; None where they need more than `KEY_BITS` bits.

    `scales` and `offset` have an entry for every channel, or one for all.
    """
    unit, exact = _unit(scales)
    multiples = [round(scale / unit) for scale in scales]
    bias, fraction_bits = _constants([place / unit for place in offset])
    multipliers = [multiple << fraction_bits for multiple in multiples]
    ends = [_ends(multiplier, low, high) for multiplier in multipliers]
    least = min(end for end, _ in ends) + min(bias) - 1
    most = max(end for _, end in ends) + max(bias)
    bits = 1 + max((~least).bit_length() if least < 0 else least.bit_length(), most.bit_length())
    if bits > KEY_BITS:
        return None
    return Ranking(tuple(scales), tuple(offset), _table(multipliers), _table(bias), bits, exact)


def _unit(scales: Sequence[Fraction]) -> tuple[Fraction, bool]:
    """What scales are counted in: the largest number that all are multiples of, or, where that is too small beside
    the smallest scale, a part of this one; and whether it is the former."""
    sizes = {abs(scale) for scale in scales if scale}
    if not sizes:
        return Fraction(1), True
    common, finest = min(sizes), min(sizes) / FINEST
    for size in sizes:
        common = _common_measure(common, size)
        if common < finest:
            return finest, False
    return common, True


def _common_measure(a: Fraction, b: Fraction) -> Fraction:
    """The largest number that both are multiples of."""
    numerator = math.gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    return Fraction(numerator, a.denominator * b.denominator)


def _constants(places: Sequence[Fraction]) -> tuple[list[int], int]:
    """Integers in the order of numbers, and the bits by which they are finer: floor and rank of the fraction.

    An integer more or less in front of a number's fraction is as much as 2^bits in its constant.
    """
    whole = [math.floor(place) for place in places]
    fractions = [place - floor for place, floor in zip(places, whole, strict=True)]
    ranks = {fraction: rank for rank, fraction in enumerate(sorted(set(fractions)))}
    bits = (len(ranks) - 1).bit_length()
    lowest = min(whole)
    constants = [(floor - lowest << bits) + ranks[part] for floor, part in zip(whole, fractions, strict=True)]
    return constants, bits


def _ends(multiplier: int, low: int, high: int) -> tuple[int, int]:
    ends = sorted((multiplier * low, multiplier * high))
    return ends[0], ends[1]


def _table(values: Sequence[int]) -> I64:
    """One entry where all are equal."""
    alike = all(value == values[0] for value in values)
    return np.array(values[:1] if alike else values, np.int64)
