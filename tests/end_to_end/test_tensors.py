"""Interpreter = fast build = bounded build = emulated device: every tensor of every instruction, bit for bit."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from tritloom.verify.device import Expected, check_traces

from .conftest import Compiled

TOKENS = [0, 5, 17, 2047, 5, 901, 33, 64, 1200]
FLUSH = [
    pytest.param(False, id="subnormals"),
    pytest.param(
        True,
        id="flushed",
        marks=pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="FTZ/DAZ is set on x86 only"),
    ),
]
FEW = 5
"""For the bounded build: one whole pass of four positions, and one that is not full."""


@pytest.mark.parametrize("flush", FLUSH)
@pytest.mark.parametrize("stepwise", [True, False], ids=["steps", "prompt"])
def test_fast_build(compiled: Compiled, stepwise: bool, flush: bool) -> None:
    expected = Expected.of(compiled.module, compiled.store, TOKENS)
    check = check_traces(compiled.bundle, expected, TOKENS, stepwise=stepwise, flush=flush)
    assert check.passed, check.lines()
    assert check.figures["tensors"] == sum(len(rows) for rows in expected.rows.values())


@pytest.mark.parametrize("flush", FLUSH)
def test_bounded_build(compiled: Compiled, flush: bool) -> None:
    expected = Expected.of(compiled.module, compiled.store, TOKENS[:FEW])
    check = check_traces(compiled.bundle, expected, TOKENS[:FEW], stepwise=False, build="bounded", flush=flush)
    assert check.passed, check.lines()


def test_what_is_traced(baked: Compiled) -> None:
    """Codes, scales, sums, results and states, of all positions."""
    expected = Expected.of(baked.module, baked.store, TOKENS[:3])
    assert {what for _, what in expected.rows} == {"codes", "scale", "acc", "out", "state"}
    assert {len(rows) for rows in expected.rows.values()} == {3}
    assert all(np.isfinite(rows).all() for rows in expected.rows.values())
