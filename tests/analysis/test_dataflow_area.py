"""The cost functions of the dataflow blocks against what yosys measured (bench/area/results.json)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritloom.analysis import dataflow_area as area
from tritloom.analysis.dataflow_area import Resources
from tritloom.analysis.sharing import share

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.area.matrix import codes_of, random_trits  # noqa: E402

RESULTS = ROOT / "bench" / "area" / "results.json"
MEASURED = [entry for entry in json.loads(RESULTS.read_text())["results"] if entry["family"] == "xc7"]
TOLERANCE, SMALL = 0.10, 4
"""Share, or LUTs: a block of ten LUTs may be off by four."""
FLIP_FLOP_TOLERANCE = 0.15
"""Delays of a few clocks are registers or shift registers, as synthesis likes."""

Parameters = dict[str, Any]


def _signed(kind: str) -> bool:
    return kind != "unsigned"


def _whole_unit(p: Parameters) -> Resources:
    fold, groups = p["columns"] // p["simd"], p["rows"] // p["pe"]
    unit = area.mvau(p["pe"], p["simd"], p["bits"], _signed(p["kind"]), p["accumulator"], fold * groups)
    weights = area.weight_memory(2 * p["pe"] * p["simd"], fold * groups, "block")
    return unit + weights + area.replay_buffer(p["simd"] * p["bits"], fold)


def _window(p: Parameters, style: area.RamStyle) -> Resources:
    return area.window(p["kernel"], p["kernel"], p["columns"], p["words"] * p["width"], p["width"], 1, style)


def _hard_wired(p: Parameters) -> Resources:
    graph = share(random_trits(p["rows"], p["columns"], p["zeros"]))
    assert len(graph.adders) == p["adders"], "another graph than was measured: python -m bench.area hard-wired"
    return area.hard_wired(graph, *codes_of(p["bits"], p["kind"]))


PREDICTED: dict[str, Callable[[Parameters], Resources]] = {
    "dot product": lambda p: area.dot_product(p["simd"], p["bits"], _signed(p["kind"])),
    "accumulator": lambda p: (
        area.mvau(1, 8, 8, True, p["bits"], 2) + area.mvau(1, 8, 8, True, 0, 2) * -1  # what it adds
    ),
    "matrix-vector unit": _whole_unit,
    "requantiser": lambda p: area.requantize(p["accumulator"], p["multiplier"], 1, output_bits=p["out"]),
    "requantiser without DSP": lambda p: area.requantize(
        p["accumulator"], p["multiplier"], 1, output_bits=p["out"], use_dsp=False
    ),
    "thresholds, parallel": lambda p: area.thresholds(p["accumulator"], p["levels"], 1, 1),
    "thresholds, binary search": lambda p: area.thresholds(p["key"], p["levels"], p["channels"], 1),
    "input quantiser, product and compare": lambda p: area.input_quantizer(p["bits"]),
    "residual add": lambda p: area.add(p["bits"], p["multiplier"], output_bits=p["bits"]),
    "pool": lambda p: area.pool(p["kind"], p["bits"], p["parallel"], p["window"]),
    "top k": lambda p: area.top_k(p["key"], p["data"], p["k"], p["lanes"]),
    "ROM, distributed": lambda p: area.weight_memory(p["width"], p["depth"], "distributed"),
    "ROM, block": lambda p: area.weight_memory(p["width"], p["depth"], "block"),
    "FIFO, shift register": lambda p: area.fifo(p["width"], p["depth"], "srl"),
    "FIFO, distributed": lambda p: area.fifo(p["width"], p["depth"], "lutram"),
    "FIFO, block": lambda p: area.fifo(p["width"], p["depth"], "bram"),
    "sliding window, distributed": lambda p: _window(p, "distributed"),
    "sliding window, block": lambda p: _window(p, "block"),
    "width converter, up": lambda p: area.width_converter(p["narrow"], p["wide"]),
    "width converter, down": lambda p: area.width_converter(p["wide"], p["narrow"]),
    "hard-wired, shared pairs": _hard_wired,
}
"""What the functions say of a measured point. A block that is not here is an alternative that was measured beside (of
trees without sharing, synthesis merges those that are equal)."""


def _another_form(block: str, p: Parameters) -> bool:
    """Measured to compare with what the functions choose: a search of few levels, tables elsewhere."""
    return block == "thresholds, binary search" and (p["levels"] <= 15 or p["block_from"] < 9)


POINTS = [
    pytest.param(entry, id=f"{entry['block']} {' '.join(f'{k}={v}' for k, v in entry['parameters'].items())}")
    for entry in MEASURED
    if entry["block"] in PREDICTED and not _another_form(entry["block"], entry["parameters"])
]


@pytest.mark.parametrize("entry", POINTS)
def test_a_measured_point_is_met(entry: dict[str, Any]) -> None:
    found = PREDICTED[entry["block"]](entry["parameters"])
    assert found.lut == pytest.approx(entry["lut"], rel=TOLERANCE, abs=SMALL)
    assert found.ff == pytest.approx(entry["ff"], rel=FLIP_FLOP_TOLERANCE, abs=2 * SMALL)
    assert (found.dsp, found.bram36) == (entry["dsp"], entry["bram36"])


@pytest.mark.parametrize("entry", [entry for entry in MEASURED if entry["block"] == "hard-wired, shared pairs"])
def test_hard_wired_adders_are_counted(entry: dict[str, Any]) -> None:
    """The documented one percent, or a LUT for each of a few negations."""
    found = _hard_wired(entry["parameters"])
    assert found.lut == pytest.approx(entry["lut"], rel=0.01, abs=6)
    assert found.ff == entry["ff"]


def test_every_function_is_held_to_a_point() -> None:
    assert {entry["block"] for entry in MEASURED} >= set(PREDICTED)


def test_every_netlist_was_simulated() -> None:
    assert [entry for entry in MEASURED if entry["compared"] < 20] == []


@given(
    pe=st.integers(1, 64),
    simd=st.integers(1, 256),
    bits=st.integers(2, 8),
    signed=st.booleans(),
    accumulator=st.integers(8, 24),
    depth=st.integers(1, 4096),
)
def test_more_work_a_cycle_never_costs_less(
    pe: int, simd: int, bits: int, signed: bool, accumulator: int, depth: int
) -> None:
    less = area.mvau(pe, simd, bits, signed, accumulator, depth)
    for more in (
        area.mvau(pe + 1, simd, bits, signed, accumulator, depth),
        area.mvau(pe, simd + 1, bits, signed, accumulator, depth),
        area.mvau(pe, simd, bits + 1, signed, accumulator, depth),
    ):
        assert more.lut >= less.lut
    assert (less.dsp, less.bram36, less.uram) == (0, 0, 0)


@given(width=st.integers(1, 600), depth=st.integers(1, 5000))
def test_a_memory_holds_its_bits(width: int, depth: int) -> None:
    block = area.weight_memory(width, depth, "block")
    assert block.lut == 0
    assert block.bram36 * 36864 >= width * depth
    distributed = area.weight_memory(width, depth, "distributed")
    assert distributed.bram36 == 0
    assert distributed.lut * 64 >= width * depth
    assert area.weight_memory(width, depth) in (block, distributed)
    assert area.weight_memory(width, depth, "ultra").uram * 4096 * 72 >= width * depth


def test_auto_takes_the_cheaper_memory() -> None:
    assert area.weight_memory(32, 16).bram36 == 0
    assert area.weight_memory(448, 896).lut == 0
    assert area.fifo(16, 32).bram36 == 0
    assert area.fifo(64, 2048).bram36 == 4.0


def test_thresholds_change_their_form() -> None:
    at_once, searched = (area.thresholds(20, levels, 1, 1) for levels in (15, 255))
    assert searched.lut < 17 * at_once.lut
    assert area.thresholds(20, 3, 64, 4) == area.thresholds(20, 3, 16, 1) * 4


def test_a_wide_product_takes_more_dsps() -> None:
    assert area.requantize(24, 16, 1).dsp == 1
    assert area.requantize(32, 24, 1).dsp == 4
    assert area.requantize(24, 16, 256).bram36 == 1.0
    assert area.requantize(24, 16, 1, use_dsp=False).dsp == 0


def test_resources_add_up() -> None:
    one = Resources(1, 2, 3, 0.5, 4)
    assert one + one == one * 2 == Resources(2, 4, 6, 1.0, 8)


def test_the_digits_mlp_is_small() -> None:
    """784-256-256-10 at 100,000 frames/s on PYNQ-Z2: the documented table is the command's, within its limits."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench.area.headline"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "compiler")},
        capture_output=True,
        text=True,
        check=True,
    )
    form = r"(plain|padded), (\d+ MHz), hidden codes of (\d bits) +(\d+) +\d+ +(\d+) +([\d.]+)"
    rows = re.findall(form, ran.stdout)
    assert len(rows) == 18
    assert all(int(lut) < 8000 for folding, _, _, lut, _, _ in rows if folding == "padded")
    assert all(int(dsp) <= 16 for *_, dsp, _ in rows)
    document = (ROOT / "docs" / "estimate.md").read_text(encoding="utf-8")
    for folding, clock, bits, lut, dsp, bram36 in rows:
        assert f"| {folding} | {clock} | {bits} | {int(lut):,} | {dsp} | {bram36} |" in document
