"""onnxruntime's integer products, exact whatever the processor."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tritloom.verify.saturation import unsaturated

RNG = np.random.default_rng(5)
TRITS = RNG.integers(-1, 2, (64, 8))
UNIT = {"one": np.float32(1), "step": np.float32(4096)}


def graph(op: str, x: NDArray[np.integer], large: int, zero: int | None) -> onnx.ModelProto:
    """A product of x [5, 64] with ternary weights of magnitude `large` around `zero`; no zero points are given
    where they are optional and 0."""
    conv = op.endswith(("Conv", "ConvInteger"))
    weight = (TRITS * large + (zero or 0)).astype(np.int8)
    weight = np.ascontiguousarray(weight.T).reshape(8, 64, 1, 1) if conv else weight
    constants = {"w": weight, "wz": np.asarray(zero or 0, np.int8), "xz": np.asarray(0, x.dtype), **UNIT}
    if op.startswith("QLinear"):
        inputs = ["x", "one", "xz", "w", "one", "wz", "step", "xz"]
    elif op == "MatMulIntegerToFloat":
        inputs = ["x", "w", "one", "one", "xz", "wz"]
    else:
        inputs = ["x", "w"] if zero is None else ["x", "w", "xz", "wz"]
    domain = "com.microsoft" if op == "MatMulIntegerToFloat" else ""
    node = helper.make_node(op, inputs, ["y"], domain=domain)
    entry = helper.make_tensor_value_info(
        "x", helper.np_dtype_to_tensor_dtype(x.dtype), [5, 64, 1, 1] if conv else [5, 64]
    )
    used = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in inputs]
    made = helper.make_graph([node], "g", [entry], [onnx.ValueInfoProto(name="y")], used)
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=sets, ir_version=10)


def run(model: onnx.ModelProto, x: NDArray[np.integer]) -> NDArray[np.generic]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    return np.asarray(session.run(["y"], {"x": x.reshape(shape)})[0]).reshape(5, 8)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("zero", [None, 0, 1])
@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "MatMulIntegerToFloat"])
def test_sums_are_exact(op: str, zero: int | None, kind: type[np.integer]) -> None:
    limits = np.iinfo(kind)
    x = RNG.integers(limits.min, limits.max + 1, (5, 64)).astype(kind)
    x[0] = limits.max
    sums = x.astype(np.int64) @ (TRITS * 126)
    model = unsaturated(graph(op, x, 126, zero))
    found = run(model, x)
    if op.startswith("QLinear"):
        np.testing.assert_array_equal(found, np.clip(np.rint(sums / 4096), limits.min, limits.max))
    else:
        np.testing.assert_array_equal(found, sums)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types = {stored[name] for name in model.graph.node[0].input if name in stored and name.startswith("w")}
    assert types == {TensorProto.UINT8 if kind is np.uint8 else TensorProto.INT8}


def test_small_weights_are_left_alone() -> None:
    x = np.zeros((5, 64), np.uint8)
    model = graph("MatMulInteger", x, 64, None)
    before = model.SerializeToString()
    assert unsaturated(model).SerializeToString() == before


def test_one_weight_of_two_products() -> None:
    """The shifted copy is made once, and what else uses the weight keeps it."""
    model = graph("MatMulInteger", np.zeros((5, 64), np.uint8), 127, 0)
    second = onnx.NodeProto()
    second.CopyFrom(model.graph.node[0])
    second.output[0] = "z"
    cast = helper.make_node("Cast", ["w"], ["floats"], to=TensorProto.FLOAT)
    model.graph.node.extend([second, cast])
    unsaturated(model)
    assert [tensor.name for tensor in model.graph.initializer].count("w/uint8") == 1
    assert [node.input[-3 if node.op_type == "MatMulInteger" else 0] for node in model.graph.node] == [
        "w/uint8",
        "w/uint8",
        "w",
    ]


@pytest.mark.parametrize("source", ["QuantizeLinear", "DynamicQuantizeLinear"])
def test_codes_of_a_quantiser(source: str) -> None:
    """Their type follows from the node that makes them."""
    x = RNG.normal(size=(5, 64)).astype(np.float32)
    dynamic = source == "DynamicQuantizeLinear"
    quantiser = helper.make_node(source, ["x"] if dynamic else ["x", "s"], ["q", "s", "z"] if dynamic else ["q"])
    moved = helper.make_node("Identity", ["q"], ["moved"])
    product = helper.make_node("MatMulInteger", ["moved", "w"], ["y"])
    constants = [numpy_helper.from_array((TRITS * 127).astype(np.int8), "w")]
    constants += [] if dynamic else [numpy_helper.from_array(np.asarray(0.01, np.float32), "s")]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 64])
    outputs = [onnx.ValueInfoProto(name="y"), onnx.ValueInfoProto(name="q")]
    made = helper.make_graph([quantiser, moved, product], "g", [entry], outputs, constants)
    model = unsaturated(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sums, codes = session.run(["y", "q"], {"x": x})
    np.testing.assert_array_equal(sums, codes.astype(np.int64) @ (TRITS * 127))
    assert model.graph.node[-1].input[1] == "w/uint8"
