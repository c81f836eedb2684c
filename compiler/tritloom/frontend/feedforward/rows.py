"""Exact numbers by channel: a row has one entry for every channel, or one for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Row = tuple[Fraction, ...]

ZERO: Row = (Fraction(0),)
ONE: Row = (Fraction(1),)
_ROOT_BITS = 208
"""Bits of a square root behind the binary point: 62 decimal digits."""


def row(values: Iterable[Fraction]) -> Row:
    """A row; one entry where all are equal."""
    found = tuple(values)
    return found[:1] if len(found) > 1 and all(value == found[0] for value in found) else found


def exactly(values: NDArray[np.generic]) -> Row:
    """Floats or integers as the rational numbers that they are."""
    flat = values.reshape(-1)
    return row(Fraction(value) for value in (flat.tolist() if flat.dtype.kind in "iu" else flat.astype(float).tolist()))


def at(values: Row, channel: int) -> Fraction:
    """The entry of a channel."""
    return values[channel] if len(values) > 1 else values[0]


def each(function: Callable[..., Fraction], *rows: Row) -> Row:
    """`function` of the entries of every channel."""
    count = max(len(values) for values in rows)
    return row(function(*(at(values, channel) for values in rows)) for channel in range(count))


def plus(a: Row, b: Row) -> Row:
    """a + b."""
    return each(lambda x, y: x + y, a, b)


def times(a: Row, b: Row) -> Row:
    """a * b."""
    return a if b == ONE else each(lambda x, y: x * y, a, b)


def negated(a: Row) -> Row:
    """-a."""
    return tuple(-x for x in a)


def inverse(a: Row) -> Row:
    """1 / a."""
    return each(lambda x: 1 / x, a)


def spread(values: Row, channels: int) -> Row:
    """An entry for every channel."""
    return values if len(values) == channels else values * channels


def root(value: Fraction) -> Fraction:
    """Square root, to 62 decimal digits behind the point."""
    return Fraction(math.isqrt((value.numerator << 2 * _ROOT_BITS) // value.denominator), 1 << _ROOT_BITS)
