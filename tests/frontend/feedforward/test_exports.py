"""Nets as exporters write them: they import, and equal onnxruntime, or qonnx's executor (QONNX)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import Array, check, check_scores
from tritloom.frontend import import_onnx
from tritloom.ir.interpreter.net import NetInterpreter
from tritloom.ir.tern import StepsOp, WeightOp

FILES = sorted((Path(__file__).parents[2] / "fixtures" / "feedforward").glob("*.onnx"))
NETS = sorted(file.stem for file in FILES[0].parent.glob("*.npz"))
PLAIN = [file for file in FILES if "qonnx" not in file.name]
EXACT = ("power_of_two", "sign")


def net_of(file: Path) -> str:
    """`cnn` of `cnn_script.qcdq.onnx`."""
    return max((net for net in NETS if file.name.startswith(net)), key=len)


def inputs(file: Path) -> Array:
    """The stored inputs: floats between 0 and 1, or bytes where the net takes these."""
    x = np.load(file.with_name(f"{net_of(file)}.npz"))["x"]
    source = onnx.load(str(file)).graph.input[0]
    takes_bytes = source.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    return np.rint(255 * x).astype(np.uint8) if takes_bytes else x


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_stored_scores(file: Path) -> None:
    stored = np.load(file.with_name(f"{net_of(file)}.npz"))
    imported = import_onnx(file)
    scores = NetInterpreter(imported.module, imported.store).run({"x": inputs(file)})
    check_scores(scores["scores"], stored[file.stem], exact=net_of(file) in EXACT)


@pytest.mark.parametrize("file", PLAIN, ids=lambda file: file.name)
def test_every_code(file: Path, tmp_path: Path) -> None:
    found = check(onnx.load(str(file)), inputs(file), tmp_path, exact=net_of(file) in EXACT)
    assert found.codes > 100


@pytest.mark.parametrize("net", NETS)
def test_all_exports_of_a_net_are_one(net: str) -> None:
    """The same trits in every form but the integer one, which folds negative gains into them; of the brevitas exports
    the same operations and the same numbers."""
    trits, bodies = set(), set()
    for file in (file for file in FILES if net_of(file) == net):
        if "integer" in file.name:
            continue
        module = import_onnx(file).module
        trits.add(tuple(op.hash.data for op in module.ops if isinstance(op, WeightOp)))
        if "float" in file.name:
            continue
        steps = tuple(op.hash.data for op in module.ops if isinstance(op, StepsOp))
        types = tuple(
            (op.name, *(str(value.type) for value in (*op.operands, *op.results))) for op in module.walk() if op.results
        )
        bodies.add((steps, types))
    assert len(trits) == len(bodies) == 1


EXAMPLES = {"digits": 16, "fashion": 255, "vowels": 1}
"""What the held-out pixels are divided by where a net takes floats."""
EXAMPLE_FILES = [
    file
    for folder in EXAMPLES
    for file in sorted((Path(__file__).parents[3] / "examples" / folder).glob("*.onnx"))
    if "qonnx" not in file.name
]


@pytest.mark.parametrize("file", EXAMPLE_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_trained_nets(file: Path, tmp_path: Path) -> None:
    """Every code of 64 held-out samples."""
    model = onnx.load(str(file))
    x = np.load(file.with_name("heldout.npz"))["x"][:64]
    if model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
        x = (x / np.float32(EXAMPLES[file.parent.name])).astype(np.float32)
    found = check(model, x, tmp_path, exact="power-of-two" in file.name)
    assert found.codes > 1000
