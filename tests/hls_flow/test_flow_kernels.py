"""Each kernel alone, bit for bit against numpy, with shapes that hypothesis draws; and its initiations."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from flow_cases import cases, inputs_of
from flow_probe import Case, Probe
from flow_reference import REFERENCE
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tritloom.analysis.initiations import initiations

# A library takes seconds to compile: a seed draws many stages at once, and there is nothing to shrink.
MANY = settings(max_examples=6, deadline=None, phases=[Phase.generate], print_blob=True)
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = {
    "window": 14,
    "mvau": 6,
    "vvau": 6,
    "hard_wired": 6,
    "thresholds": 6,
    "resize": 3,
    "multiply_shift": 2,
    "multiply_shift2": 2,
    "top_k": 6,
}


def check(probe: Probe, case: Case, frames: int, rng: np.random.Generator) -> None:
    """The outputs of a stage, and its count, are those of the reference."""
    given_ = inputs_of(case, frames, rng)
    outputs, count = probe.run(case, given_)
    expected = REFERENCE[case.stage.kernel](case.stage, *given_)
    for got, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(got, wanted, err_msg=f"{case.stage}")
    expected_count = initiations(case.stage.kernel, case.stage.traits).of(frames)
    if case.stage.kernel == "window" and not probe.unstalled:
        assert count is None or count >= expected_count, case.stage
    elif count is not None:
        assert count == expected_count, case.stage


def check_all(drawn: list[Case], probe: Probe) -> None:
    rng = np.random.default_rng(7)
    for case in drawn:
        for frames in (1, 2, 5):
            check(probe, case, frames, rng)


def test_kernels_at_depth_two():
    drawn = cases(1, SHAPES)
    check_all(drawn, Probe(drawn, "bounded"))


def test_kernels_with_exact_widths():
    drawn = cases(2, {"window": 9, "mvau": 4, "vvau": 4, "hard_wired": 8, "thresholds": 2, "top_k": 5})
    check_all(drawn, Probe(drawn, "exact"))


@pytest.mark.long
@MANY
@given(seed=SEEDS)
def test_more_shapes(seed):
    drawn = cases(seed, SHAPES)
    check_all(drawn, Probe(drawn, "bounded"))


@pytest.mark.long
@settings(MANY, max_examples=3)
@given(seed=SEEDS)
def test_fast_kernels(seed):
    drawn = cases(seed, SHAPES)
    check_all(drawn, Probe(drawn, "fast"))


@pytest.mark.long
@settings(MANY, max_examples=3)
@given(seed=SEEDS)
def test_kernels_with_amd_headers(seed, amd):
    drawn = cases(seed, {"window": 3, "mvau": 4, "vvau": 4, "hard_wired": 8, "thresholds": 3, "top_k": 4})
    check_all(drawn, Probe(drawn, "amd", amd))


@pytest.mark.long
@settings(MANY, max_examples=2)
@given(seed=SEEDS)
def test_kernels_under_clang(seed):
    if shutil.which("clang++") is None:
        pytest.skip("clang++ is not here")
    drawn = cases(seed, SHAPES)
    check_all(drawn, Probe(drawn, "bounded", compiler="clang++"))


def test_no_frame_is_no_initiation():
    assert initiations("fork", {"ELEMENTS": 8, "LANES": 2, "COPIES": 2}).of(0) == 0
