"""Step functions against their definition in rational arithmetic, one boundary at a time."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.ir.interpreter.net_ops import quantize_floats
from tritloom.ir.steps import Boundary, StepFunction, uniform

HALF = Fraction(1, 2)
ROUND = {
    "half_even": lambda v: math.floor(v) + ((v - math.floor(v), math.floor(v) % 2) > (HALF, 0)),
    "half_up": lambda v: math.floor(v + HALF),
    "half_down": lambda v: math.ceil(v - HALF),
    "half_away": lambda v: math.floor(v + HALF) if v >= 0 else math.ceil(v - HALF),
    "half_to_zero": lambda v: math.ceil(v - HALF) if v >= 0 else math.floor(v + HALF),
    "away": lambda v: math.ceil(v) if v >= 0 else math.floor(v),
    "floor": math.floor,
    "ceil": math.ceil,
    "to_zero": math.trunc,
}
rationals = st.fractions(-9, 9, max_denominator=12)


@pytest.mark.parametrize("rounding", ROUND)
def test_a_uniform_quantiser_is_a_rounded_quotient(rounding: str) -> None:
    scale, zero = Fraction(3, 7), Fraction(1, 2)
    function = StepFunction(((Fraction(1, 14),),), (Fraction(0),), (uniform(-3, 4, scale, zero, rounding),), -3)
    for a in range(-60, 61):
        wanted = max(-3, min(4, ROUND[rounding](Fraction(a, 14) / scale + zero)))
        assert function.exact(0, [a]) == wanted, a


@st.composite
def functions(draw: st.DrawFn, operands: int, zero_scales: bool = True) -> StepFunction:
    channels = draw(st.integers(1, 3))
    scale = rationals if zero_scales else rationals.filter(bool)
    levels = draw(st.integers(1, 4))

    def row(values: st.SearchStrategy[Fraction]) -> tuple[Fraction, ...]:
        return tuple(draw(values) for _ in range(draw(st.sampled_from([1, channels]))))

    def boundaries() -> tuple[Boundary, ...]:
        places = sorted(draw(rationals) for _ in range(levels))
        return tuple(
            sorted((Boundary(at, draw(st.booleans())) for at in places), key=lambda b: (b.at, not b.inclusive))
        )

    steps = tuple(boundaries() for _ in range(draw(st.sampled_from([1, channels]))))
    return StepFunction(
        tuple(row(scale) for _ in range(operands)),
        row(rationals),
        steps,
        draw(st.integers(-3, 3)),
        draw(st.integers(1, 2)),
    )


def by_definition(function: StepFunction, channel: int, values: tuple[int, ...]) -> int:
    pick = lambda row: row[channel] if len(row) > 1 else row[0]  # noqa: E731
    v = pick(function.offset) + sum(pick(row) * a for row, a in zip(function.scales, values, strict=True))
    passed = [v > at or (inclusive and v == at) for at, inclusive in pick(function.boundaries)]
    return function.low + function.step * sum(passed)


@settings(deadline=None)
@given(functions(1))
def test_the_codes_of_integers(function: StepFunction) -> None:
    values = np.arange(-30, 31).repeat(function.channels).reshape(-1, function.channels)
    wanted = [[by_definition(function, c, (int(a),)) for c, a in enumerate(row)] for row in values]
    np.testing.assert_array_equal(function(values), wanted)
    assert [[function.exact(c, [int(a)]) for c, a in enumerate(row)] for row in values] == wanted


@settings(deadline=None, max_examples=40)
@given(functions(2))
def test_the_codes_of_two_operands(function: StepFunction) -> None:
    pairs = np.array(list(product(range(-4, 5), range(-6, 7))))
    a, b = (pairs[:, i, None].repeat(function.channels, 1) for i in (0, 1))
    wanted = [[by_definition(function, c, (int(x), int(y))) for c in range(function.channels)] for x, y in pairs]
    np.testing.assert_array_equal(function(a, b), wanted)


@settings(deadline=None, max_examples=40)
@given(functions(2), st.sampled_from([0, 1]), st.sampled_from([Fraction(1), Fraction(3, 2**30), Fraction(2**61, 7)]))
def test_the_thresholds_beside_a_fixed_operand(function: StepFunction, index: int, stretch: Fraction) -> None:
    """The float64 short cut against the rational function of each value, also far beyond what float64 counts."""
    steps = tuple(tuple(Boundary(at * stretch, inclusive) for at, inclusive in row) for row in function.boundaries)
    function = StepFunction(function.scales, function.offset, steps, function.low, function.step)
    values = np.arange(-9, 10)
    found = function.thresholds_given(index, values)
    for row, value in zip(found.table, values, strict=True):
        wanted = function.given(index, int(value)).thresholds
        np.testing.assert_array_equal(row, np.broadcast_to(wanted.table, row.shape))
        np.testing.assert_array_equal(found.negative, np.broadcast_to(wanted.negative, found.negative.shape))


@settings(deadline=None)
@given(functions(1, zero_scales=False), st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=20))
def test_the_codes_of_floats(function: StepFunction, numbers: list[float]) -> None:
    """Each boundary itself, where it is a float, and its neighbours among them."""
    for c in range(function.channels):
        single = function.at_channel(c)
        places = [float(np.float32((at - single.offset[0]) / single.scales[0][0])) for at, _ in single.boundaries[0]]
        numbers = [
            *numbers,
            *places,
            *(float(np.nextafter(np.float32(p), np.float32(d))) for p in places for d in (-99, 99)),
        ]
    values = np.array(numbers, np.float32)[:, None].repeat(function.channels, 1)
    pick = lambda row, c: row[c] if len(row) > 1 else row[0]  # noqa: E731

    def wanted(x: np.float32, c: int) -> int:
        v = pick(function.scales[0], c) * Fraction(float(x)) + pick(function.offset, c)
        return function.low + function.step * sum(
            v > at or (inclusive and v == at) for at, inclusive in pick(function.boundaries, c)
        )

    np.testing.assert_array_equal(
        quantize_floats(function, values), [[wanted(x, c) for c, x in enumerate(row)] for row in values]
    )


def test_floats_that_are_no_numbers() -> None:
    function = StepFunction(((Fraction(1),),), (Fraction(0),), (uniform(-2, 1),), -2)
    values = np.array([[np.nan], [np.inf], [-np.inf]], np.float32)
    assert quantize_floats(function, values)[:, 0].tolist() == [0, 1, -2]


def test_several_operands_have_no_thresholds() -> None:
    function = StepFunction(((Fraction(1),), (Fraction(1),)), (Fraction(0),), (uniform(0, 1),), 0)
    with pytest.raises(ValueError, match="2 operands have no thresholds"):
        _ = function.thresholds
    with pytest.raises(ValueError, match="2 operands are needed, not 1"):
        function(np.zeros((1, 1), np.int64))


def test_the_digest_tells_functions_apart() -> None:
    base = StepFunction(((Fraction(1),),), (Fraction(0),), (uniform(0, 3),), 0)
    others = [
        StepFunction(((Fraction(2),),), base.offset, base.boundaries, 0),
        StepFunction(base.scales, (Fraction(1),), base.boundaries, 0),
        StepFunction(base.scales, base.offset, (uniform(0, 3, rounding="half_up"),), 0),
        StepFunction(base.scales, base.offset, base.boundaries, 1),
        StepFunction(base.scales, base.offset, base.boundaries, 0, 2),
    ]
    assert len({function.digest for function in [base, *others]}) == 6
