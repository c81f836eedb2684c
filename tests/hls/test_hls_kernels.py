"""Each kernel alone against docs/numerics.md, with our headers and with AMD's."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path

import kernel_library
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs_hls import gain, trits
from tritloom.ir import numerics
from tritloom.ir.encoding import DECODE_TABLE, encode_slices, pack_linear
from tritloom.ir.instruction import QuantizeFlag, QuantizeFunction
from tritloom.resources import templates_dir

F32 = np.float32
BATCH = 3


class Probe:
    def __init__(self, path: Path, lanes: int):
        self.handle = ctypes.CDLL(str(path))
        self.handle.probe_sum128.restype = ctypes.c_float
        self.lanes = lanes

    def call(self, name: str, *arguments: object) -> object:
        """Arrays by address, ints as uint32, floats as float."""
        passed = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous
                passed.append(ctypes.c_void_p(argument.ctypes.data))
            elif isinstance(argument, float):
                passed.append(ctypes.c_float(argument))
            else:
                passed.append(ctypes.c_int32(argument))
        return getattr(self.handle, name)(*passed)

    def map(self, name: str, x: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        y = np.zeros(x.size, dtype)
        self.call(name, x, y, x.size)
        return y


def compile_probe(lanes: int, headers: Path | None) -> Probe:
    include = templates_dir() / "hls" / "include"
    out = kernel_library.folder() / f"probe{lanes}{'-amd' if headers else ''}.so"
    flags = ["-std=c++14", "-O1", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]
    if headers is None:
        flags += ["-Wpedantic", "-Werror"]
    else:
        flags += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]
    command = ["g++", *flags, f"-DPROBE_LANES={lanes}", "-shared", "-fPIC", f"-I{include}"]
    command += ["-isystem", str(headers or include / "emulation"), str(Path(__file__).with_name("probe.cpp"))]
    done = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Probe(out, lanes)


@pytest.fixture(scope="module", params=["4", "8", "16", "8-amd"])
def probe(request: pytest.FixtureRequest) -> Probe:
    lanes, _, amd = request.param.partition("-")
    return compile_probe(int(lanes), request.getfixturevalue("amd") if amd else None)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return bool((left.reshape(-1).view(np.uint8) == right.reshape(-1).view(np.uint8)).all())


def interesting(rng: np.random.Generator, limit: float) -> np.ndarray:
    """Random values, every half and the neighbours of halves, powers of two, zeros."""
    halves = np.arange(-600, 601).astype(F32) / 2
    near = np.concatenate([np.nextafter(halves, F32(np.inf)), np.nextafter(halves, F32(-np.inf))])
    powers = (2.0 ** np.arange(-60, 6)).astype(F32)
    values = np.concatenate(
        [halves, near, powers, -powers, F32([0, -0.0, 1e-44]), rng.normal(0, limit / 3, 20000).astype(F32)]
    )
    return values[np.abs(values) < limit].astype(F32)


def test_round_half_even(probe):
    x = interesting(np.random.default_rng(1), 2.0**22)
    x = np.concatenate([x, np.random.default_rng(2).uniform(-(2**22), 2**22, 20000).astype(F32)])
    assert same_bits(probe.map("probe_round", x, np.int32), numerics.round_half_even(x))


def test_exp_neg(probe):
    x = -np.abs(interesting(np.random.default_rng(3), 32.0))
    x = np.concatenate([x, F32([-32])])
    assert same_bits(probe.map("probe_exp_neg", x), numerics.exp_neg(x))


@pytest.mark.parametrize("name", ["sigmoid", "silu"])
def test_sigmoid_and_silu(probe, name):
    x = interesting(np.random.default_rng(4), 90.0)
    got = probe.map(f"probe_{name}", x)
    assert same_bits(got, getattr(numerics, name)(x))
    exact = 1 / (1 + np.exp(-x.astype(np.float64))) * (x if name == "silu" else 1)
    inside = (np.abs(x) <= 32) & (np.abs(exact) > 1e-30)
    assert np.max(np.abs(got[inside] / exact[inside] - 1)) < 1e-6


def test_flush(probe):
    floor = F32(2.0**-40)
    x = F32([0, -0.0, floor, -floor, np.nextafter(floor, F32(0)), -np.nextafter(floor, F32(0)), 1e-44, 3, -2])
    assert same_bits(probe.map("probe_flush", x), numerics.flush(x))


def test_every_half_float_widens_exactly(probe):
    half = np.arange(65536, dtype=np.uint16)
    f16, bf16 = np.zeros(65536, F32), np.zeros(65536, F32)
    probe.call("probe_widen", half, f16, bf16, 65536)
    number = ~np.isnan(half.view(np.float16))
    assert same_bits(f16[number], half.view(np.float16)[number].astype(F32))
    assert np.isnan(f16[~number]).all()
    assert same_bits(bf16, (half.astype(np.uint32) << 16).view(F32))


def test_both_decoders_know_every_byte(probe):
    valid = np.flatnonzero(DECODE_TABLE[:, 0] != 2).astype(np.uint8)
    assert len(valid) == 243
    for start in range(0, len(valid), 16):
        slice_ = np.resize(valid[start : start + 16], 16).astype(np.uint8)
        hardware, host = np.zeros(80, np.int8), np.zeros(80, np.int8)
        probe.call("probe_decode", slice_, hardware, host)
        expected = DECODE_TABLE[slice_].T.reshape(-1)
        assert same_bits(hardware, expected)
        assert same_bits(host, expected)


def check_dot(probe, weights: np.ndarray, codes: np.ndarray, acc: int) -> None:
    hardware, host = np.zeros(1, np.int32), np.zeros(1, np.int32)
    probe.call("probe_dot", weights, codes, acc, hardware, host)
    expected = acc + int(weights.astype(int) @ codes.astype(int))
    assert (hardware[0], host[0]) == (expected, expected)


def test_dot_at_its_extremes(probe):
    for weight in (-1, 0, 1):
        for code in (-128, -1, 0, 127):
            check_dot(probe, np.full(80, weight, np.int8), np.full(80, code, np.int8), -1234567)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), acc=st.integers(-(2**23), 2**23))
def test_dot(probe, seed, acc):
    rng = np.random.default_rng(seed)
    check_dot(probe, trits(rng, 1, 80)[0], rng.integers(-128, 128, 80, dtype=np.int8), acc)


@pytest.mark.parametrize("n", [1, 7, 64, 127, 128, 129, 384, 1000])
def test_sum128(probe, n):
    values = (np.random.default_rng(n).normal(size=n) * 1000).astype(F32)
    got = F32(probe.call("probe_sum128", values, n))
    assert same_bits(np.array([got]), numerics.sum128(values))


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.sampled_from([-2.5, -1.0, -0.0, 0.0, 1.0, 1.5, 3.0]), min_size=1, max_size=30))
def test_top_list(probe, values):
    x = np.array(values, F32)
    index, value = np.zeros(4, np.uint32), np.zeros(4, F32)
    probe.call("probe_top", x, len(x), index, value)
    best = sorted(range(len(x)), key=lambda i: (-float(x[i]), i))[:4]
    assert list(index[: len(best)]) == best
    assert (value[: len(best)] == x[best]).all()
    assert (index[len(best) :] == 0xFFFFFFFF).all()


@pytest.mark.parametrize(("n", "active"), [(1, 1), (80, 3), (97, 2), (240, 3)])
def test_quantize_with_two_norms(probe, n, active):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, active, n)).astype(F32)
    a[-1] *= 1e-20 if active > 1 else 1
    w1, w2 = gain(rng, n), gain(rng, n)
    codes, scale = np.zeros((active, n), np.int8), np.zeros(active, F32)
    eps = F32(1e-6)
    probe.call("probe_quantize", a, b, w1, w2, n, active, float(eps), float(eps), codes, scale)
    expected, largest = numerics.quantize((a * w2) * b)
    factor = numerics.double_norm_factor(a, (a * w1) * b, eps, eps)
    assert same_bits(codes, expected)
    assert same_bits(scale, largest * factor)


@dataclass
class Statistics:
    """What an instruction of `quantize` leaves of vectors a [active, n]."""

    codes: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    factor: np.ndarray

    @staticmethod
    def of(probe, a, func, flags=0, scale=0.0, eps0=0.0, zero=0, low=0, high=0):
        active, n = a.shape
        codes, scales = np.zeros((active, n), np.int8), np.zeros(active, F32)
        zeros, factor = np.zeros(active, np.int32), np.zeros(active, F32)
        numbers = (float(scale), float(eps0), zero, low, high)
        probe.call("probe_statistics", a, n, active, int(func), int(flags), *numbers, codes, scales, zeros, factor)
        return Statistics(codes, scales, zeros, factor)


def edges(n: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors of one sign, of zeros, below and above the least size, of ties, with one large element; [k, n]."""
    a = rng.normal(size=n).astype(F32)
    spike = np.concatenate([F32([1000]), a])[:n]
    ties = np.resize(np.arange(-127.5, 128, 1, dtype=F32), n)
    rows = [a, np.abs(a), -np.abs(a), 0 * a, a * F32(2.0**-64), a * F32(2.0**-56), spike, -spike, ties, a * F32(1e30)]
    return np.array(rows, F32)


@pytest.mark.parametrize("n", [1, 80, 97, 240])
def test_quantize_range(probe, n):
    for a in edges(n, np.random.default_rng(n)):
        batch = np.stack([a, -a])
        got = Statistics.of(probe, batch, QuantizeFunction.RANGE)
        codes, scale, zero = numerics.quantize_range(batch)
        assert same_bits(got.codes, codes)
        assert same_bits(got.scale, scale)
        assert (got.zero == zero[:, 0]).all()


@pytest.mark.parametrize(("zero", "low", "high"), [(0, -128, 127), (-128, -128, 127), (37, -128, 127), (-3, -8, 7)])
def test_quantize_static(probe, zero, low, high):
    for step in (0.5, 0.037, 2.0**-20, 1e-30):
        inverse = numerics.inverse_step(step)
        for a in edges(97, np.random.default_rng(3)):
            got = Statistics.of(probe, a[None], QuantizeFunction.STATIC, 0, step, inverse, zero, low, high)
            assert same_bits(got.codes, numerics.quantize_static(a[None], inverse, zero, low, high))
            assert (got.scale[0], got.zero[0]) == (F32(step), zero)


@pytest.mark.parametrize("n", [1, 7, 128, 129, 240])
def test_reductions(probe, n):
    a = np.random.default_rng(n).normal(1, 2, size=(3, n)).astype(F32)
    alone = QuantizeFlag.NEW_STATS | QuantizeFlag.FACTOR_ONLY
    mean = Statistics.of(probe, a, QuantizeFunction.MEAN, alone)
    assert same_bits(mean.factor, numerics.mean(a))
    norm = Statistics.of(probe, a, QuantizeFunction.ONE, alone, eps0=F32(1e-5))
    assert same_bits(norm.factor, numerics.norm_factor(a, F32(1e-5)))


@pytest.mark.parametrize(("k", "rows", "active"), [(80, 2, 1), (100, 33, 3), (240, 16, 2)])
def test_linear_with_hgrn(probe, k, rows, active):
    rng = np.random.default_rng(k)
    matrix = trits(rng, rows, k)
    codes = rng.integers(-128, 128, (active, k), dtype=np.int8)
    scale = rng.uniform(0.5, 2, active).astype(F32)
    inputs = rng.normal(size=(active, rows)).astype(F32)
    lower = rng.uniform(0, 0.9, rows).astype(F32)
    state = rng.normal(size=rows).astype(F32)
    port0, port1 = (np.frombuffer(run, np.uint8) for run in pack_linear(matrix, 2, 2))
    constant = F32(0.03 / 127)
    expected_state, expected = state.copy(), []
    for position in range(active):
        acc = (matrix.astype(np.int32) @ codes[position].astype(np.int32)).astype(np.int32)
        y = numerics.dequantize(acc, scale[position : position + 1], constant)
        expected_state, out = numerics.hgrn(y, inputs[position], lower, expected_state)
        expected.append(out)
    out = np.zeros((active, rows), F32)
    arguments = (codes, scale, k, rows, active, float(constant), inputs, lower, state, out)
    probe.call("probe_hgrn", port0, port1, port0.size // 16, *arguments)
    assert same_bits(out, np.array(expected))
    assert same_bits(state, expected_state)


def test_a_slice_of_zeros_is_byte_108():
    assert (encode_slices(np.zeros((1, 80), np.int8)) == 108).all()
