"""Planted faults: each must be caught by `verify_bundle`, and the report must name the culprit."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.api import compile_model
from tritloom.errors import InputError
from tritloom.frontend import Imported
from tritloom.ir import flow, tern
from tritloom.ir.mlir import Context, IntegerAttr, ModuleOp, VerifyException, i64
from tritloom.ir.steps import Boundary, StepFunction
from tritloom.passes.fold import Fold
from tritloom.passes.size_fifos import SizeFifos
from tritloom.verify.net_device import DeviceRun, check_cycles
from tritloom.verify.report import Check

from .conftest import POOLS
from .planting import (
    changed_steps,
    failures,
    imported_wrong,
    number_of_table,
    restate,
    tables_of,
    tampered,
    verified,
    without_device,
)

# --- in the C++ -------------------------------------------------------------------------------------------------------


def test_a_flipped_trit(pools: Path, tmp_path: Path) -> None:
    """In the first word of the first layer: row 0, column 0."""
    name = tables_of(pools, "weights")[0]
    edit = number_of_table(name, 0, lambda word: word ^ 1 if word & 3 != 2 else word ^ 2)
    if int(_first(pools, name)) & 3 == 3:
        edit = number_of_table(name, 0, lambda word: word & ~3)
    found = failures(verified(tampered(pools, tmp_path / "bundle", "hls/weights.h", edit)))
    assert name.removesuffix("_weights") in found["weights"]
    assert re.search(r"row 0, column 0: (0|[+-]1), not (0|[+-]1); 1 of \d+ trits differ", found["weights"])
    assert "node_Conv" in found["weights"]
    assert "hls/weights.h, line " in found["sources"]
    assert "of 24 frames differ" in found["device, fast build"]
    assert "of 4 frames differ" in found["device, bounded build"]
    assert found.keys() == {"weights", "sources", "device, fast build", "device, bounded build"}


def _first(bundle: Path, table: str) -> str:
    text = (bundle / "hls" / "weights.h").read_text()
    found = re.search(rf" {table}(?:\[\d+\])+ = \{{+(0x[0-9a-f]+)", text)
    assert found is not None
    return str(int(found.group(1), 16))


def test_an_adder_of_a_hard_wired_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is another sum, one of other codes, and one that is a bit too narrow."""
    compile_model(POOLS.with_name("mlp.integer.onnx"), "pynq-z2", tmp_path / "right")
    without_device(monkeypatch)
    assert not failures(verified(tmp_path / "right"))
    for number, (pattern, change, said) in enumerate(
        [
            (r"y\.lane\[0\] = \S+;", "y.lane[0] = L::Out::type(a0);", r"row \d+, column \d+: "),
            (r" a0 = \S+ ([+-]) (\S+);", r" a0 = x.lane[3] \1 \2;", r"row \d+, column \d+: "),
            (r"Int<\d+, (\w+)>::type a0 ", r"Int<1, \1>::type a0 ", "too narrow"),
        ]
    ):
        edit = functools.partial(re.sub, pattern, change, count=1)
        bundle = tampered(tmp_path / "right", tmp_path / str(number), "hls/adders.h", edit)
        if said == "too narrow":
            with pytest.raises(InputError, match=said):
                verified(bundle)
        else:
            found = failures(verified(bundle))
            assert found.keys() == {"weights", "sources"}
            assert re.search(said, found["weights"])


@pytest.mark.parametrize("kind", ["thresholds", "bias", "multiplier"])
def test_a_number_of_a_requantiser(kind: str, cnn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold one further, a bias off by half a step, a multiplier off by 0.1 %."""
    without_device(monkeypatch)
    name = next(name for name in tables_of(cnn, kind) if "requantize" in name)
    change = {
        "thresholds": lambda value: value + 1,
        "bias": lambda value: value + (1 << 18),
        "multiplier": lambda value: round(value * 1.001),
    }[kind]
    edit = number_of_table(name, 0, change)
    found = failures(verified(tampered(cnn, tmp_path / "bundle", "hls/weights.h", edit)))
    assert found.keys() == {"sources", "requantisers"}
    assert name.removesuffix(f"_{kind}") in found["requantisers"]
    assert re.search(r"channel 0, operand -?\d+: code -?\d+, not -?\d+", found["requantisers"])


def test_a_threshold_of_the_input(pools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next float32 number: one of four milliard inputs would get another code."""
    without_device(monkeypatch)
    name = next(name for name in tables_of(pools, "thresholds") if name.startswith("quantize"))
    edit = number_of_table(name, 0, lambda key: key + 1)
    found = failures(verified(tampered(pools, tmp_path / "bundle", "hls/weights.h", edit)))
    assert re.search(r"channel 0, level 127: threshold \S+ for a step at \S+", found["requantisers"])


def test_a_pad_code(cnn: Path, tmp_path: Path) -> None:
    def edit(text: str) -> str:
        return text.replace("static constexpr int PAD_CODE = 0;", "static constexpr int PAD_CODE = 7;", 1)

    found = failures(verified(tampered(cnn, tmp_path / "bundle", "hls/config.h", edit)))
    assert found.keys() == {"sources", "device, fast build", "device, bounded build"}
    assert "'  static constexpr int PAD_CODE = 7;'".replace("'  ", "'") in found["sources"]


def test_a_fifo_that_is_too_short(cnn: Path, tmp_path: Path) -> None:
    """The deepest one, on a skip. The other branch takes in two rows, 96 words, before it delivers; this holds one."""
    line = re.compile(r"TRITLOOM_STREAM\(\w+, (\w+), (\d+)\);")
    name, depth = max(line.findall((cnn / "hls" / "top.cpp").read_text()), key=lambda found: int(found[1]))
    assert int(depth) > 100

    def edit(text: str) -> str:
        return text.replace(f", {name}, {depth});", f", {name}, 48);")

    report = failures(verified(tampered(cnn, tmp_path / "bundle", "hls/top.cpp", edit)))
    assert report.keys() == {"sources", "device, bounded build"}
    assert "deadlock" in report["device, bounded build"]
    assert f"stream {name} is full" in report["device, bounded build"]


def test_another_estimate(pools: Path, tmp_path: Path) -> None:
    bundle = tampered(pools, tmp_path / "bundle", "README.md", lambda text: text + "\n")
    restate(bundle, estimate={"cycles_per_frame": 7.0, "frames_per_second": 1.0, "label": "estimated"})
    found = failures(verified(bundle))
    assert found.keys() == {"cycles"}
    assert "the manifest states 7 cycles a frame" in found["cycles"]


def test_cycles_name_the_stage() -> None:
    run = DeviceRun(Check("device", True, ""), {"load_0": 1000, "mvau_a": 5105, "store_2": 10}, 100)
    found = check_cycles(run, [1000, 5000, 10], 50, 50)
    assert not found.passed
    assert found.findings == ["mvau_a: 5,105 initiations, estimated 5,000 (2.1%)"]
    assert check_cycles(run, [1000, 5050, 10], 50, 50).passed


# --- in the importer --------------------------------------------------------------------------------------------------


def _scaled(function: StepFunction) -> dict[str, Any]:
    return {"scales": tuple(tuple(scale * Fraction(1001, 1000) for scale in row) for row in function.scales)}


def _biased(function: StepFunction) -> dict[str, Any]:
    first = function.boundaries[0]
    return {"offset": tuple(offset + (first[1].at - first[0].at) / 2 for offset in function.offset)}


def _shifted(function: StepFunction) -> dict[str, Any]:
    """The second boundary where the third one is."""
    steps = [(row[0], Boundary(row[2].at, row[1].inclusive), *row[2:]) for row in function.boundaries]
    return {"boundaries": tuple(steps)}


@pytest.mark.parametrize("change", [_scaled, _biased, _shifted])
def test_a_wrong_step_function(
    change: Callable[[StepFunction], dict[str, Any]], cnn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_device(monkeypatch)
    imported_wrong(monkeypatch, changed_steps("slice_1.steps", change))
    found = failures(verified(cnn))
    assert found["codes"].startswith("1 of 12 quantisers differ from onnxruntime")
    assert "'_symbolic_6' (tern.requantize @slice_1.steps, ONNX " in found["codes"]
    assert "node_relu" in found["codes"]
    assert re.search(r"frame \d+, element \[\d+, \d+, \d+\]: ours \d+, reference \d+; the value is", found["codes"])


def test_a_wrong_pad_code_of_the_import(cnn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(imported: Imported) -> None:
        conv = next(op for op in imported.module.walk() if isinstance(op, tern.Conv2dOp) and op.window().padded)
        conv.properties["pad_code"] = IntegerAttr(100, i64)

    without_device(monkeypatch)
    imported_wrong(monkeypatch, fault)
    found = failures(verified(cnn))
    assert found["codes"].startswith("1 of 12 quantisers differ")
    assert "'_symbolic_6'" in found["codes"]
    assert "compiled" in found  # the bundle was compiled with the right one


def test_a_wrong_order_of_a_flattened_image(pools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns as ONNX has them, [C, H, W], beside codes in the order [H, W, C]."""

    def fault(imported: Imported) -> None:
        dense = next(op for op in imported.module.walk() if isinstance(op, tern.DenseOp))
        name, (height, width, channels) = dense.weight.root_reference.data, tern.shape_of(dense.operand)
        trits = imported.store.trits(name).reshape(-1, height, width, channels)
        wrong = np.ascontiguousarray(trits.transpose(0, 3, 1, 2).reshape(len(trits), -1))
        imported.store.add(name, lambda: wrong)

    without_device(monkeypatch)
    imported_wrong(monkeypatch, fault)
    found = failures(verified(pools))
    assert "codes" not in found  # it is the last layer: no codes come behind it
    assert "scores" in found
    assert "weights" in found
    assert "row 0, column " in found["weights"]


def test_a_wrong_trit_of_the_import(cnn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(imported: Imported) -> None:
        trits = imported.store.trits("slice_3").copy()
        trits[2, 1] = 1 if trits[2, 1] == 0 else 0
        imported.store.add("slice_3", lambda: trits)

    without_device(monkeypatch)
    imported_wrong(monkeypatch, fault)
    found = failures(verified(cnn))
    assert "@slice_3.steps" in found["codes"]
    assert "row 2, column 1" in found["weights"]


# --- in a pass --------------------------------------------------------------------------------------------------------


def _compiled_with(monkeypatch: pytest.MonkeyPatch, pass_: type, fault: Callable[[ModuleOp], None], to: Path) -> Path:
    """A bundle that a faulty pass has gone over."""
    apply = pass_.apply

    def faulty(self: Any, context: Context, module: ModuleOp) -> None:
        apply(self, context, module)
        fault(module)

    monkeypatch.setattr(pass_, "apply", faulty)
    compile_model(POOLS, "pynq-z2", to)
    monkeypatch.setattr(pass_, "apply", apply)
    return to


def test_a_pass_that_breaks_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(module: ModuleOp) -> None:
        """A maximum becomes a sum of the same type."""
        window = next(op for op in module.walk() if isinstance(op, flow.WindowOp) and op.window().padded)
        window.properties["pad_code"] = IntegerAttr(1, i64)

    bundle = _compiled_with(monkeypatch, SizeFifos, fault, tmp_path / "bundle")
    without_device(monkeypatch)
    found = failures(verified(bundle, after_each_pass=True))
    assert found.keys() == {"passes", "compiled"}
    assert found["passes"].startswith("pass 'size-fifos' is the first that breaks the numbers")


def test_a_pass_that_drops_a_resize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages at either side then disagree on their words: the IR is refused, and the pass named."""

    def fault(module: ModuleOp) -> None:
        for resize in [op for op in module.walk() if isinstance(op, flow.ResizeOp)]:
            resize.result.replace_all_uses_with(resize.operand)
            resize.detach()
            resize.erase()

    with pytest.raises(VerifyException, match="after pass fold: .*lanes"):
        _compiled_with(monkeypatch, Fold, fault, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
