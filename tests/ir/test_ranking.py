"""The keys of sums against the rational scores that they stand for, two sums at a time."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.ir.ranking import KEY_BITS, Ranking, best, ranking

LOW, HIGH = -7, 8
rationals = st.fractions(-9, 9, max_denominator=12)
floats = st.floats(2.0**-20, 16.0, width=32).map(Fraction)
signs = st.sampled_from([1, -1])


def order(a: Fraction | int, b: Fraction | int) -> int:
    return (a > b) - (a < b)


def made(scales: list[Fraction], offset: list[Fraction], low: int = LOW, high: int = HIGH) -> Ranking:
    found = ranking(scales, offset, low, high)
    assert found is not None
    return found


def keys_by_channel(found: Ranking, channels: int, low: int = LOW, high: int = HIGH) -> list[list[int]]:
    """Keys of every sum, of each channel."""
    sums = np.repeat(np.arange(low, high + 1)[:, np.newaxis], channels, axis=1)
    return [[int(key) for key in column] for column in found.keys(sums).T]


@settings(deadline=None)
@given(data=st.data(), channels=st.integers(1, 4))
def test_keys_order_all_sums_as_the_scores(data: st.DataObject, channels: int) -> None:
    """One scale, or multiples of one number; any offsets: exactly, ties included."""
    unit = data.draw(rationals.filter(bool))
    counts = [data.draw(st.integers(-5, 5)) for _ in range(data.draw(st.sampled_from([1, channels])))]
    offset = [data.draw(rationals) for _ in range(data.draw(st.sampled_from([1, channels])))]
    scales = [unit * count for count in counts]
    found = made(scales, offset)
    assert found.exact
    columns = keys_by_channel(found, channels)
    values = [
        [scales[c % len(scales)] * a + offset[c % len(offset)] for a in range(LOW, HIGH + 1)] for c in range(channels)
    ]
    pairs = list(zip(chain(*columns), chain(*values), strict=True))
    for (key, value), (other, score) in product(pairs, pairs):
        assert order(key, other) == order(value, score)
    assert -(1 << found.bits - 1) < min(min(column) for column in columns)
    assert max(max(column) for column in columns) < 1 << found.bits - 1


def test_one_scale_needs_no_multiplier() -> None:
    """Offsets of a third of a scale: two fractions, so a bit."""
    scale = Fraction(np.float32(0.0123).item())
    offset = [scale * Fraction(n, 3) for n in (0, 4, -3, 9)]
    found = made([scale], offset)
    assert (found.multiplier.tolist(), found.multiplier_bits) == ([2], 0)
    assert found.bias.tolist() == [2, 5, 0, 8]  # 0, 1 1/3, -1 and 3, from -1 on: floor * 2 + rank
    plain = made([scale], [Fraction(5)])
    assert (plain.multiplier.tolist(), plain.bias.tolist()) == ([1], [0])
    negated = made([-scale], [Fraction(5)])
    assert (negated.multiplier.tolist(), negated.multiplier_bits) == ([-1], 0)


def test_scales_by_channel_that_have_a_common_measure() -> None:
    found = made([Fraction(3, 8), Fraction(1, 4)], [Fraction(0)])
    assert found.exact
    assert (found.multiplier.tolist(), found.multiplier_bits) == ([3, 2], 3)
    found = made([Fraction(3, 8), Fraction(1, 4)], [Fraction(0), Fraction(1, 9)])
    assert (found.multiplier.tolist(), found.multiplier_bits) == ([6, 4], 3)


@settings(deadline=None)
@given(data=st.data(), channels=st.integers(2, 4))
def test_other_scales_are_rounded_as_float32_rounds_products(data: st.DataObject, channels: int) -> None:
    """Scores further apart than their products' errors keep their order."""
    scales = [data.draw(floats) * data.draw(floats) * data.draw(signs) for _ in range(channels)]
    offset = [data.draw(st.floats(-4, 4, width=32).map(Fraction)) for _ in range(channels)]
    found = ranking(scales, offset, -99, 99)
    if found is None:
        return
    columns = keys_by_channel(found, channels, -99, 99)
    sums = data.draw(st.lists(st.integers(-99, 99), min_size=channels, max_size=channels))
    values = [scale * a + place for scale, a, place in zip(scales, sums, offset, strict=True)]
    keys = [columns[c][a + 99] for c, a in enumerate(sums)]
    for c, d in product(range(channels), repeat=2):
        error = sum(abs(scales[i] * sums[i]) for i in (c, d)) * Fraction(1, 1 << 25)
        if abs(values[c] - values[d]) > error:
            assert order(keys[c], keys[d]) == order(values[c], values[d])


@given(common=floats, scales=st.lists(floats, min_size=2, max_size=5))
def test_float32_scales_of_one_activation_scale_are_ordered_exactly(common: Fraction, scales: list[Fraction]) -> None:
    found = ranking([common * scale for scale in scales], [Fraction(0)], -1, 1)
    assert found is None or found.exact


def test_scales_that_have_no_measure_are_told() -> None:
    """Products of two float32 numbers each."""
    a, b = ([Fraction(np.float32(x).item()) for x in xs] for xs in ((0.3, 0.7, 0.11), (0.1, 0.9, 0.7)))
    found = made([x * y for x, y in zip(a, b, strict=True)], [Fraction(0)], -1000, 1000)
    assert not found.exact
    assert found.multiplier_bits == 30  # the smallest has 25 bits, the largest is 21 times it
    assert min(found.multiplier.tolist()) == 1 << 24


def test_keys_that_are_too_wide() -> None:
    assert ranking([Fraction(1), Fraction(1, 3 * 2**50 + 1)], [Fraction(0)], -1000, 1000) is None
    assert ranking([Fraction(1)], [Fraction(0), Fraction(2**KEY_BITS)], -1000, 1000) is None
    assert ranking([Fraction(0)], [Fraction(1), Fraction(1, 2)], -10, 10) is not None


@given(data=st.data(), channels=st.integers(1, 6), last=st.booleans())
def test_the_best(data: st.DataObject, channels: int, last: bool) -> None:
    """Larger first; of equal keys the lower index, or the higher one."""
    keys = np.array([[data.draw(st.integers(-2, 2)) for _ in range(channels)] for _ in range(3)], np.int64)
    count = data.draw(st.integers(1, channels))
    wanted = [sorted(range(channels), key=lambda c: (-row[c], -c if last else c))[:count] for row in keys.tolist()]
    assert best(keys, count, last).tolist() == wanted


def test_the_digest_tells_rankings_apart() -> None:
    one, two = made([Fraction(1)], [Fraction(0), Fraction(1)]), made([Fraction(1)], [Fraction(1), Fraction(0)])
    assert one.digest != two.digest
    assert one.digest == made([Fraction(1, 7)], [Fraction(2), Fraction(15, 7)]).digest


@pytest.mark.parametrize("bits", range(1, 6))
def test_fractions_take_as_few_bits_as_their_number_has(bits: int) -> None:
    offset = [Fraction(n, 1 << bits) for n in range(1 << bits)]
    assert made([Fraction(1)], offset).multiplier.tolist() == [1 << bits]
    more = [*offset, Fraction(1, 3)]
    assert made([Fraction(1)], more).multiplier.tolist() == [2 << bits]
