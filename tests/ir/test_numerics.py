"""The arithmetic against literal loops written from docs/numerics.md, and its accuracy against float64."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.ir import numerics

F32 = np.float32
VECTOR = st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=1, max_size=300)
SMALLEST_NORMAL = 2.0**-126


def bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def slow_sum128(values: list[np.float32]) -> np.float32:
    """`sum128` of docs/numerics.md, word for word."""
    p = [F32(0.0)] * 128
    padded = values + [F32(0.0)] * (-len(values) % 128)
    for j, value in enumerate(padded):
        p[j % 128] = F32(p[j % 128] + value)
    for w in (64, 32, 16, 8, 4, 2, 1):
        for i in range(w):
            p[i] = F32(p[i] + p[i + w])
    return p[0]


def slow_exp_neg(t: np.float32) -> np.float32:
    """`exp_neg` of docs/numerics.md, word for word."""
    exp_c, exp_hi, exp_lo = (F32(float.fromhex(h)) for h in ("0x1.715476p+8", "0x1.628p-9", "0x1.90bfbep-19"))
    k = round(float(F32(t * exp_c)))  # Python rounds halves to even
    r = F32(F32(t - F32(F32(k) * exp_hi)) - F32(F32(k) * exp_lo))
    p = F32(r + F32(F32(r * r) * F32(0.5)))
    m = F32(2.0 ** ((k % 256) / 256))
    return F32(float(F32(m + F32(m * p))) * 2.0 ** (k // 256))


@settings(max_examples=60, deadline=None)
@given(values=VECTOR)
def test_sum128_has_the_documented_order(values: list[float]) -> None:
    vector = np.array(values, F32)
    assert numerics.sum128(vector)[0].tobytes() == slow_sum128(list(vector)).tobytes()


def test_sum128_of_many_rows() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 5, 1000)).astype(F32)
    sums = numerics.sum128(rows)
    assert sums.shape == (3, 5, 1)
    assert all(sums[i, j, 0] == slow_sum128(list(rows[i, j])) for i in range(3) for j in range(5))


def test_the_order_of_the_sum_matters() -> None:
    """Fails if numpy's own (pairwise) sum took its place."""
    vector = np.random.default_rng(1).standard_normal(1000).astype(F32)
    assert numerics.sum128(vector)[0] != vector.sum()


def test_mean_and_norm_factors() -> None:
    a = np.random.default_rng(2).standard_normal(77).astype(F32)
    z = a * F32(1.5)
    mean = F32(slow_sum128(list(a * a)) / F32(77))
    first = F32(F32(1) / np.sqrt(F32(mean + F32(1e-6))))
    mean_z = F32(slow_sum128(list(z * z)) / F32(77))
    second = F32(F32(1) / np.sqrt(F32(F32(F32(first * first) * mean_z) + F32(1e-5))))
    assert numerics.mean(a * a)[0] == mean
    assert numerics.norm_factor(a, F32(1e-6))[0] == first
    assert numerics.double_norm_factor(a, z, F32(1e-6), F32(1e-5))[0] == F32(first * second)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (-2.5, -2), (126.5, 126), (127.5, 128), (0.49999997, 0)],
)
def test_halves_go_to_the_even_side(value: float, wanted: int) -> None:
    assert numerics.round_half_even(np.array([value], F32)).tolist() == [wanted]


@given(value=st.floats(-(2.0**22), 2.0**22, width=32))
def test_round_half_even_is_the_exact_one(value: float) -> None:
    assert int(numerics.round_half_even(np.array([value], F32))[0]) == round(value)


GRID = np.concatenate(
    [np.linspace(-32, 32, 400_001), np.geomspace(1e-30, 32, 50_000), -np.geomspace(1e-30, 32, 50_000)]
).astype(F32)


def test_exp_neg_is_the_documented_one() -> None:
    t = -np.abs(GRID[::97])
    wanted = np.array([slow_exp_neg(x) for x in t], F32)
    assert numerics.exp_neg(t).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ["exp_neg", "sigmoid", "silu"])
def test_functions_are_accurate(name: str) -> None:
    x = -np.abs(GRID) if name == "exp_neg" else GRID
    exact64 = x.astype(np.float64)
    exact = {
        "exp_neg": lambda v: np.exp(v),
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "silu": lambda v: v / (1 + np.exp(-v)),
    }[name](exact64)
    got = getattr(numerics, name)(x).astype(np.float64)
    kept = exact != 0
    assert np.max(np.abs(got[kept] / exact[kept] - 1)) <= 1e-6
    assert (got[~kept] == 0).all()


def slow_log(x: np.float32) -> np.float32:
    """`log` of docs/numerics.md, word for word."""
    ln2_hi, ln2_lo, root = (F32(float.fromhex(h)) for h in ("0x1.63p-1", "-0x1.bd0106p-13", "0x1.6a09e6p-1"))
    m, e = math.frexp(float(x))
    if m < root:
        m, e = 2 * m, e - 1
    z = F32(F32(F32(m) - F32(1)) / F32(F32(m) + F32(1)))
    w = F32(z * z)
    p = F32(F32(2 / 9) * w)
    for odd in (7, 5, 3):
        p = F32(F32(p + F32(2 / odd)) * w)
    return F32(F32(F32(e) * ln2_hi) + F32(F32(F32(e) * ln2_lo) + F32(F32(p + F32(2)) * z)))


def test_log_is_the_documented_one() -> None:
    x = np.geomspace(1, 2.0**24, 3001).astype(F32)
    assert numerics.log(x).tobytes() == np.array([slow_log(value) for value in x], F32).tobytes()


def test_log_is_accurate() -> None:
    x = np.concatenate([np.linspace(1, 4, 300_001), np.geomspace(1, 2.0**24, 300_001)]).astype(F32)
    exact = np.log(x.astype(np.float64))
    assert (np.abs(numerics.log(x) - exact) <= 3e-7 * exact).all()


VECTORS = st.integers(0, 2**32 - 1).map(
    lambda seed: (np.random.default_rng(seed).standard_normal((3, 1 + seed % 300)) * 10.0 ** (seed % 4)).astype(F32)
)


@settings(max_examples=40, deadline=None)
@given(x=VECTORS)
def test_softmax_is_the_documented_one(x: np.ndarray) -> None:
    for row, shares, logs in zip(x, numerics.softmax(x), numerics.log_softmax(x), strict=True):
        largest = max(row)
        powers = [slow_exp_neg(max(F32(value - largest), F32(-32))) for value in row]
        total = slow_sum128(powers)
        wanted = np.array([F32(power / total) for power in powers], F32)
        assert shares.tobytes() == wanted.tobytes()
        wanted = np.array([F32(F32(value - largest) - slow_log(total)) for value in row], F32)
        assert logs.tobytes() == wanted.tobytes()


@settings(max_examples=40, deadline=None)
@given(x=VECTORS)
def test_softmax_is_accurate(x: np.ndarray) -> None:
    shifted = x.astype(np.float64) - x.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(numerics.softmax(x), np.exp(shifted) / total, rtol=0, atol=3e-7)
    np.testing.assert_allclose(numerics.log_softmax(x), shifted - np.log(total), rtol=2e-7, atol=1e-6)


def test_sigmoid_is_clamped_and_symmetric_at_zero() -> None:
    x = np.array([-1e30, -40, -32, 0, 32, 40, 1e30], F32)
    s = numerics.sigmoid(x)
    assert s[0] == s[1] == s[2]
    assert s[4] == s[5] == s[6] == 1
    assert s[3] == 0.5


def test_nothing_is_subnormal() -> None:
    for values in (numerics.exp_neg(-np.abs(GRID)), numerics.sigmoid(GRID)):
        assert (np.abs(values) >= SMALLEST_NORMAL).all()
    silu = numerics.silu(GRID)
    assert ((silu == 0) | (np.abs(silu) >= SMALLEST_NORMAL)).all()


def test_relu_and_flush() -> None:
    assert [bits(x) for x in numerics.relu(np.array([-1, -0.0, 0.0, 2], F32))] == [0, 0, 0, bits(2.0)]
    small = 2.0**-40
    below = float(np.nextafter(F32(small), F32(0)))
    values = np.array([small, below, -small, -below, -0.0, 1.0], F32)
    assert [bits(x) for x in numerics.flush(values)] == [bits(small), 0, bits(-small), 0, 0, bits(1.0)]


class TestQuantize:
    def codes(self, *values: float) -> tuple[list[int], float]:
        codes, scale = numerics.quantize(np.array(values, F32))
        assert codes.dtype == np.int8
        assert scale.dtype == F32
        assert scale.shape == (1,)
        return codes.tolist(), float(scale[0])

    def test_zero_vector(self) -> None:
        assert self.codes(0, -0.0, 0) == ([0, 0, 0], 0.0)

    def test_below_the_floor(self) -> None:
        below = float(np.nextafter(F32(2.0**-60), F32(0)))
        assert self.codes(below, 0) == ([0, 0], 0.0)
        assert self.codes(2.0**-60, 0) == ([127, 0], 2.0**-60)

    def test_single_element(self) -> None:
        assert self.codes(3.7) == ([127], float(F32(3.7)))

    def test_the_largest_is_negative(self) -> None:
        assert self.codes(-2.0, 1.0) == ([-127, 64], 2.0)  # 63.5 to the even 64

    def test_ties(self) -> None:
        assert self.codes(127.0, 0.5, 1.5, -2.5, 126.5)[0] == [127, 0, 2, -2, 126]

    def test_rows_are_independent(self) -> None:
        codes, scales = numerics.quantize(np.array([[1, 2], [0, 0], [-4, 1]], F32))
        assert codes.tolist() == [[64, 127], [0, 0], [-127, 32]]
        assert scales.tolist() == [[2], [0], [4]]

    @given(values=VECTOR)
    def test_codes_are_those_of_a_literal_loop(self, values: list[float]) -> None:
        vector = np.array(values, F32)
        largest = max(bits(abs(float(v))) for v in vector)
        a = struct.unpack("<f", struct.pack("<I", largest))[0]
        codes, scale = numerics.quantize(vector)
        if a < 2.0**-60:
            wanted = [0] * len(values)
            a = 0.0
        else:
            s = F32(F32(127) / F32(a))
            wanted = [max(-128, min(127, round(float(F32(u * s))))) for u in vector]
        assert codes.tolist() == wanted
        assert float(scale[0]) == a


@given(rows=st.integers(1, 5), length=st.integers(1, 300), positions=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_dot_is_exact(rows: int, length: int, positions: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(-128, 128, (positions, length)).astype(np.int8)
    trits = random.integers(-1, 2, (rows, length)).astype(np.int8)
    wanted = codes.astype(np.int64) @ trits.astype(np.int64).T
    got = numerics.dot(codes, trits)
    assert got.dtype == np.int32
    assert (got == wanted).all()


def test_dot_is_exact_where_float32_would_not_be() -> None:
    codes = np.full((1, 2**17 + 1), 127, np.int8)
    trits = np.ones((1, 2**17 + 1), np.int8)
    assert numerics.dot(codes, trits)[0, 0] == 127 * (2**17 + 1)


def test_code_constant_is_rounded_once() -> None:
    """Of all scales between 1 and 2, some would differ if the division were done in binary32 of an unrounded scale."""
    for scale in (0.1, 1 / 3, 0.0275418814):
        assert numerics.code_constant(scale) == F32(float(F32(scale)) / 127.0)
        assert isinstance(numerics.code_constant(scale), np.float32)


def test_dequantize_multiplies_the_scales_first() -> None:
    acc = np.array([[1_000_003]], np.int32)
    scale, constant = np.array([[0.1]], F32), F32(0.3)
    assert numerics.dequantize(acc, scale, constant)[0, 0] == F32(F32(1_000_003) * F32(F32(0.1) * F32(0.3)))


def test_hgrn_is_the_documented_step() -> None:
    random = np.random.default_rng(4)
    f0, i0, h = (random.standard_normal(100).astype(F32) * 3 for _ in range(3))
    lower = random.uniform(0, 1, 100).astype(F32)
    state, result = numerics.hgrn(f0, i0, lower, h)
    for j in range(100):
        f = numerics.sigmoid(f0[j : j + 1])[0]
        f = F32(lower[j] + F32(F32(F32(1) - lower[j]) * f))
        gated = F32(numerics.silu(i0[j : j + 1])[0] * F32(F32(1) - f))
        wanted = F32(F32(f * h[j]) + gated)
        wanted = F32(0) if abs(wanted) < 2.0**-40 else wanted
        assert state[j] == wanted
        assert result[j] == numerics.silu(np.array([wanted]))[0]
    assert (numerics.hgrn(f0 * 0 - 32, i0 * 0, lower * 0, h * 0)[0] == 0).all()


@pytest.mark.parametrize("name", ["exp_neg", "sigmoid", "silu", "relu", "flush", "absmax", "sum128", "mean"])
def test_results_are_float32(name: str) -> None:
    assert getattr(numerics, name)(np.array([-0.5, -0.25], F32)).dtype == F32
