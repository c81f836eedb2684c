"""Whole designs: the emitted kernel against numpy, its counts, its refusals and its deadlocks."""

from __future__ import annotations

import subprocess
from fractions import Fraction

import numpy as np
import pytest
from flow_designs import KEY, Builder, Element, copy, mlp, quantised, residual
from flow_library import TARGET, Library, folder, library, memory, write
from flow_reference import run
from tritloom.analysis.initiations import initiations
from tritloom.backend.flow_design import FlowDesign, float_keys
from tritloom.backend.flow_hls import render_flow

SKIP_WORDS = 10
"""Least depth of the skip of `residual`: the windows take two rows of 5 before the first one leaves."""


def images(design: FlowDesign, frames: int, seed: int = 0) -> np.ndarray:
    elements = design.stages[0].traits["ELEMENTS"]
    return np.random.default_rng(seed).integers(0, 256, (frames, elements), dtype=np.uint8)


def check(net: Library, frames: np.ndarray, *, unstalled: bool = True) -> None:
    """Sums, and initiations: those without stalls, if no window runs ahead of its input."""
    done = net.start(frames)
    assert (done.returned, done.status, net.error()) == (0, 0, "")
    np.testing.assert_array_equal(done.sums, run(net.design, frames))
    expected = [initiations(stage.kernel, stage.traits).of(len(frames)) for stage in net.design.stages]
    if unstalled:
        assert done.initiations == expected
    assert all(count >= least for count, least in zip(done.initiations, expected, strict=True))
    assert done.cycles == max(done.initiations)


SMALL = {"sizes": (50, 24, 12, 5), "folding": ((3, 10), (4, 6), (1, 4))}


@pytest.fixture(scope="module")
def bounded() -> Library:
    return library(mlp(**SMALL), "bounded")


def test_a_perceptron_at_depth_two(bounded):
    for frames in (1, 3, 40):
        check(bounded, images(bounded.design, frames))


def test_starts_do_not_depend_on_each_other(bounded):
    frames = images(bounded.design, 6)
    together = bounded.start(frames).sums
    one_by_one = [bounded.start(frames[i : i + 1]).sums[0] for i in range(6)]
    np.testing.assert_array_equal(together, one_by_one)


def test_refused_numbers_of_frames(bounded):
    frames = images(bounded.design, 1)
    for count in (0, bounded.design.max_frames + 1, 2**32 - 1):
        done = bounded.start(frames, count)
        assert (done.returned, done.status, done.cycles) == (0, 1, 0)
        assert not done.sums.any()
    check(bounded, frames)


def test_fast_flavour():
    net = library(mlp(**SMALL), "fast", "-O2")
    check(net, images(net.design, 1500))


def test_two_kernels_in_one_program_keep_their_own_weights(bounded):
    other = library(mlp(**SMALL, seed=1), "bounded", "-O0")
    for net in (bounded, other, bounded):
        check(net, images(net.design, 2))


@pytest.mark.parametrize(("count", "pairs", "lanes"), [(1, False, 1), (3, True, 2)])
def test_the_best_of_a_perceptron(count, pairs, lanes):
    """What leaves is an index, or pairs of index and sum."""
    net = Builder("ranked", seed=4)
    sums = net.mvau("dense", net.load(40, 2), 8, 2, 10)
    design = net.store(net.top_k("best", net.resize(sums, lanes), 8, count, pairs=pairs))
    assert design.output_bytes == (16 if count == 1 else 32)
    for flavour in ("fast", "bounded"):
        built = library(design, flavour, "-O0")
        for frames in (1, 40):
            check(built, images(design, frames))


def test_residual_at_the_least_depth():
    net = library(residual(SKIP_WORDS), "bounded", "-O0")
    check(net, images(net.design, 4), unstalled=False)
    fast = library(residual(SKIP_WORDS), "fast", "-O0")
    check(fast, images(net.design, 4))


def test_residual_with_a_fifo_one_too_short_deadlocks_and_says_where():
    net = library(residual(SKIP_WORDS - 1), "bounded", "-O0")
    frames = images(net.design, 2)
    for _ in range(2):  # the library is left usable
        assert net.start(frames).returned == 1
        assert "deadlock" in net.error()
        assert "fork waits for room: stream fork1_out1 is full" in net.error()
        assert "add waits for data: stream steps_out is empty" in net.error()
        assert "window waits for data: stream fork1_out0 is empty" in net.error()


@pytest.mark.parametrize(
    ("elements", "element", "lanes"),
    [
        (40, Element(8), (8, 4, 128)),
        (96, Element(8, signed=True), (32, 16, 64)),
        (7, Element(5), (1, 1, 32)),
        (9, Element(8), (1, 1, 128)),
        (24, KEY, (8, 2, 128)),
    ],
)
def test_memory(elements, element, lanes):
    net = library(copy(elements, element, *lanes), "bounded", "-O0")
    rng = np.random.default_rng(5)
    if element == KEY:
        frames = rng.integers(0, 2**32, (3, elements), dtype=np.uint32).view(np.float32)
        frames[np.isnan(frames)] = np.nan
    else:
        frames = rng.integers(element.low, element.high + 1, (3, elements)).astype(
            np.int8 if element.signed else np.uint8
        )
    check(net, frames)


def boundary(scale: np.float32, code: int, zero: int, low: int) -> np.float32:
    """The smallest float32 whose code is at least `code`, by bisection over the floats in their order."""
    first, last = -0x7F800000, 0x7F800000
    while first < last:
        middle = (first + last) // 2
        if exact_code(float_of(middle), scale, zero, low, 10**9) >= code:
            last = middle
        else:
            first = middle + 1
    return float_of(first)


def float_of(key: int) -> np.float32:
    """The float of a key."""
    return np.array([key if key >= 0 else -key | -(1 << 31)], np.int32).view(np.float32)[0]


def exact_code(x: np.float32, scale: np.float32, zero: int, low: int, high: int) -> int:
    """clamp(round_half_even(x / scale) + zero, low, high), without rounding the quotient."""
    if np.isnan(x):
        x = np.float32(0)
    if np.isinf(x):
        return high if x > 0 else low
    return min(max(round(Fraction(float(x)) / Fraction(float(scale))) + zero, low), high)


@pytest.mark.parametrize(("scale", "zero", "low", "high"), [(1 / 255, 0, 0, 255), (0.37, -3, -8, 7)])
def test_floats_are_quantised_exactly(scale, zero, low, high):
    scale = np.float32(scale)
    steps = np.array([boundary(scale, code, zero, low) for code in range(low + 1, high + 1)], np.float32)
    net = library(quantised(steps, low, 4, 64), "bounded", "-O0")
    tiny = np.float32([1e-45, 1e-40, 1.1754944e-38])
    special = np.concatenate([tiny, -tiny, np.float32([0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38])])
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 2**32, 500, dtype=np.uint32).view(np.float32)
    near = [np.nextafter(steps, np.float32(end)) for end in (np.inf, -np.inf)]
    ties = (np.arange(low - 2, high + 2, dtype=np.float32) + np.float32(0.5)) * scale
    values = np.concatenate([steps, *near, ties, special, noise, rng.uniform(-1, 2, 500).astype(np.float32)])
    frames = np.resize(values, (-(-len(values) // 64), 64))
    done = net.start(frames)
    expected = [exact_code(x, scale, zero, low, high) for x in frames.reshape(-1)]
    np.testing.assert_array_equal(done.sums.reshape(-1), expected)


def test_keys_keep_the_order_of_floats():
    values = np.float32([-np.inf, -1, -1e-45, -0.0, 0.0, 1e-45, 1, np.inf])
    keys = float_keys(values).tolist()
    assert keys == sorted(keys)
    assert keys[3] == keys[4] == 0
    with pytest.raises(ValueError, match="NaN"):
        float_keys(np.float32([np.nan]))


def simulate(design: FlowDesign, *options: str, wrong: bool = False) -> subprocess.CompletedProcess[str]:
    place = folder() / f"csim{len(list(folder().iterdir()))}"
    write(place, render_flow(design, TARGET))
    frames = images(design, 3)
    sums = run(design, frames).astype(np.int32)
    sums[1, 2] += wrong
    memory(frames, design.input_bytes).tofile(place / "input.bin")
    memory(sums, design.output_bytes).tofile(place / "golden.bin")
    command = ["make", "-s", "csim", "CXXFLAGS=-O0", "CSIM_ARGS=input.bin golden.bin", *options]
    return subprocess.run(command, cwd=place, capture_output=True, text=True)


def test_the_test_bench_agrees_with_the_golden_file():
    done = simulate(mlp(**SMALL))
    assert done.returncode == 0, done.stderr[:2000]
    assert "3 frames, status 0" in done.stdout
    assert "0 sums differ" in done.stdout


def test_the_test_bench_reports_a_difference():
    done = simulate(mlp(**SMALL), wrong=True)
    assert done.returncode != 0
    assert "1 sums differ" in done.stdout
    assert "output[10] is" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("design", [mlp(**SMALL), residual(SKIP_WORDS)], ids=["mlp", "residual"])
def test_designs_with_amd_headers(design, amd):
    done = simulate(design, f"AP_TYPES={amd}")
    assert done.returncode == 0, done.stderr[:2000]
    assert "0 sums differ" in done.stdout
    assert "leftover" not in done.stdout
    assert "read while empty" not in done.stdout


@pytest.mark.long
def test_the_classic_perceptron():
    for flavour in ("fast", "bounded"):
        net = library(mlp(), flavour, "-O3")
        check(net, images(net.design, 200))
