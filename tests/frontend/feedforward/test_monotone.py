"""Rising functions: what passes a boundary of the result passes the one found for the operand, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.frontend.feedforward.monotone import (
    Clamp,
    Leaky,
    Logistic,
    Passed,
    Rescale,
    Rising,
    Rounded,
    RoundedToFloat32,
)
from tritloom.frontend.feedforward.rows import root
from tritloom.ir.steps import Boundary

numbers = st.fractions(-6, 6, max_denominator=8)


def of(*values: float) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, values))


def passes(value: Fraction, boundary: Passed) -> bool:
    if isinstance(boundary, bool):
        return boundary
    return value >= boundary.at if boundary.inclusive else value > boundary.at


EXACT: dict[str, tuple[Rising, Callable[[Fraction], Fraction]]] = {
    "clamp": (Clamp(of(-1), of(2)), lambda v: min(max(v, Fraction(-1)), Fraction(2))),
    "at least": (Clamp(of(0), None), lambda v: max(v, Fraction(0))),
    "at most": (Clamp(None, of(1)), lambda v: min(v, Fraction(1))),
    "rescale": (Rescale(of(0.75), of(-2)), lambda v: v * Fraction(3, 4) - 2),
    "leaky": (Leaky(of(0.25)), lambda v: v if v >= 0 else v / 4),
    "floor": (Rounded("floor"), lambda v: Fraction(math.floor(v))),
    "half even": (Rounded("half_even"), lambda v: Fraction(round(v))),
}


@pytest.mark.parametrize("name", EXACT)
@settings(deadline=None)
@given(numbers, numbers, st.booleans())
def test_exact_functions(name: str, value: Fraction, at: Fraction, inclusive: bool) -> None:
    stage, function = EXACT[name]
    boundary = Boundary(at, inclusive)
    assert passes(value, stage.passed(boundary, 0)) == passes(function(value), boundary)


@given(st.lists(st.booleans(), min_size=2, max_size=2), numbers, numbers.filter(bool), numbers)
def test_a_clamp_behind_a_rescale(present: list[bool], value: Fraction, scale: Fraction, offset: Fraction) -> None:
    low, high = of(-1) if present[0] else None, of(2) if present[1] else None

    def clamped(clamp: Clamp, v: Fraction) -> Fraction:
        v = v if clamp.low is None else max(v, clamp.low[0])
        return v if clamp.high is None else min(v, clamp.high[0])

    moved = Clamp(low, high).rescaled((scale,), (offset,))
    assert moved is not None
    assert clamped(moved, value * scale + offset) == clamped(Clamp(low, high), value) * scale + offset


def test_a_clamp_of_signs_that_differ() -> None:
    assert Clamp(of(0), None).rescaled(of(1, -1), of(0)) is None
    assert Clamp(of(-1), of(2)).rescaled(of(1, -1), of(0)) == Clamp(of(-1, -2), of(2, 1))


@given(st.floats(-20, 20), st.floats(0.001, 0.999))
def test_the_logistic_function(value: float, at: float) -> None:
    found = Logistic().passed(Boundary(Fraction(at), True), 0)
    assert isinstance(found, Boundary)
    assert math.isclose(1 / (1 + math.exp(-float(found.at))), at, rel_tol=1e-12)
    assert Logistic().passed(Boundary(Fraction(0), False), 0) is True
    assert Logistic().passed(Boundary(Fraction(1), True), 0) is False


def test_the_logistic_function_to_many_digits() -> None:
    found = Logistic().passed(Boundary(Fraction(2, 3), True), 0)
    assert isinstance(found, Boundary)
    assert abs(found.at - Fraction("0.693147180559945309417232121458176568075500134360255254120680")) < Fraction(
        1, 10**57
    )


@settings(deadline=None, max_examples=300)
@given(st.integers(-300, 300), st.booleans(), st.integers(-3, 3), st.integers(1, 7))
def test_rounding_to_float32(halves: int, inclusive: bool, units: int, divisor: int) -> None:
    """Near half an ulp below the boundary, where float32 decides."""
    at = np.float32(halves / 2)
    below = float(np.nextafter(at, np.float32(-np.inf)))
    middle = (Fraction(float(at)) + Fraction(below)) / 2
    value = middle + units * Fraction(1, 2**60 * divisor)
    nearest = _nearest(value)
    boundary = Boundary(Fraction(float(at)), inclusive)
    assert passes(value, RoundedToFloat32().passed(boundary, 0)) == passes(nearest, boundary)


def _nearest(value: Fraction) -> Fraction:
    """The float32 number next to a value, ties to even, by search."""
    guess = np.float32(float(value))
    near = [guess, np.nextafter(guess, np.float32(np.inf)), np.nextafter(guess, np.float32(-np.inf))]
    best = min(abs(Fraction(float(x)) - value) for x in near)
    found = [x for x in near if abs(Fraction(float(x)) - value) == best]
    even = [x for x in found if int(np.float32(x).view(np.uint32)) % 2 == 0]
    return Fraction(float((even if len(found) > 1 else found)[0]))


@given(st.fractions(Fraction(1, 10**6), 10**6))
def test_the_square_root(value: Fraction) -> None:
    found = root(value)
    assert found**2 <= value < (found + Fraction(1, 2**208)) ** 2
