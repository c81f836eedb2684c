"""FINN's annotations: a float input that is said to hold codes goes into a layer as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import check_scores, import_model, reference, refusal
from graphs import QONNX, Graph, random_trits
from tritloom.ir import tern
from tritloom.ir.interpreter.net import NetInterpreter
from tritloom.runtime.net_manifest import NetPort
from tritloom.verify.net_frames import frames_for

RANGES = {
    "BIPOLAR": [-1, 1],
    "BINARY": [0, 1],
    "TERNARY": [-1, 0, 1],
    "INT2": range(-2, 2),
    "UINT4": range(16),
    "INT8": range(-128, 128),
    "UINT8": range(256),
}


def annotated(model: onnx.ModelProto, **types: str) -> onnx.ModelProto:
    for tensor, name in types.items():
        annotation = model.graph.quantization_annotation.add(tensor_name=tensor)
        annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=name)
    return model


def net(first: bool = False) -> onnx.ModelProto:
    """Two layers of float trits; `first`: thresholds in front of them."""
    g = Graph(opset=13)
    x = g.input([1, 12])
    table = np.sort(np.random.default_rng(5).normal(0, 3, (1, 7)), axis=1).astype(np.float32)
    if first:
        x = g.add("MultiThreshold", x, table, domain=QONNX, out_dtype="UINT3", data_layout="NC")
    y = g.add("MatMul", x, g.const(random_trits(12, 8).astype(np.float32)))
    y = g.add("QuantizeLinear", y, np.float32(4), np.int8(0)) if not first else y
    y = g.add("DequantizeLinear", y, np.float32(4), np.int8(0)) if not first else y
    return g.output(g.add("MatMul", y, g.const(random_trits(8, 4).astype(np.float32))) if not first else y).model()


@pytest.mark.parametrize("name", RANGES)
def test_codes_go_into_a_layer(name: str, tmp_path: Path) -> None:
    values = np.asarray(RANGES[name], np.float32)
    x = np.random.default_rng(1).choice(values, (64, 12)).astype(np.float32)
    model = annotated(net(), x=name)
    imported = import_model(model, tmp_path)
    assert imported.codes is not None
    ours = NetInterpreter(imported.module, imported.store).run({"x": x})["y"]
    check_scores(ours, reference(model, x, [])["y"], exact=True)
    frames = frames_for(imported, NetPort("x", "float32", (12,), (0,)), tmp_path / "none.onnx", None, 200)
    assert set(np.unique(frames.values)) == set(values)


def test_a_quantiser_of_the_input_is_finer(tmp_path: Path) -> None:
    """It takes the floats themselves: no second quantiser is in front of it."""
    imported = import_model(annotated(net(first=True), x="UINT8"), tmp_path)
    assert imported.codes is None
    assert sum(isinstance(op, tern.QuantizeOp) for op in imported.module.walk()) == 1
    assert not any(isinstance(op, tern.RequantizeOp) for op in imported.module.walk())


@pytest.mark.parametrize("name", ["FLOAT32", "INT9", "UINT16", "FIXED<8,4>", ""])
def test_other_types_are_no_codes(name: str, tmp_path: Path) -> None:
    assert "its activations are float" in refusal(annotated(net(), x=name), tmp_path).message
