"""Nets as brevitas exports them: they import, and equal onnxruntime (QCDQ) or qonnx's executor (QONNX)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import check, check_scores
from tritloom.frontend import import_onnx
from tritloom.ir.interpreter.net import NetInterpreter
from tritloom.ir.tern import StepsOp, WeightOp

FILES = sorted((Path(__file__).parents[2] / "fixtures" / "feedforward").glob("*.onnx"))
NETS = sorted({file.name.split(".")[0].removesuffix("_script") for file in FILES})
PLAIN = [file for file in FILES if "qcdq" in file.name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_stored_scores(file: Path) -> None:
    net = file.name.split(".")[0].removesuffix("_script")
    stored = np.load(file.with_name(f"{net}.npz"))
    imported = import_onnx(file)
    scores = NetInterpreter(imported.module, imported.store).run({"x": stored["x"]})
    check_scores(scores["scores"], stored[file.stem], exact=net in ("power_of_two", "sign"))


@pytest.mark.parametrize("file", PLAIN, ids=lambda file: file.name)
def test_every_code(file: Path, tmp_path: Path) -> None:
    net = file.name.split(".")[0].removesuffix("_script")
    x = np.load(file.with_name(f"{net}.npz"))["x"]
    found = check(onnx.load(str(file)), x, tmp_path, exact=net == "power_of_two")
    assert found.codes > 100


@pytest.mark.parametrize("net", NETS)
def test_all_exports_of_a_net_are_one(net: str) -> None:
    """The same trits, the same operations, the same numbers."""
    found = set()
    for file in FILES:
        if file.name.split(".")[0].removesuffix("_script") != net:
            continue
        imported = import_onnx(file)
        weights = tuple(op.hash.data for op in imported.module.ops if isinstance(op, WeightOp))
        steps = tuple(op.hash.data for op in imported.module.ops if isinstance(op, StepsOp))
        body = tuple(
            (op.name, *(str(value.type) for value in (*op.operands, *op.results)))
            for op in imported.module.walk()
            if op.results
        )
        found.add((weights, steps, body))
    assert len(found) == 1
