"""`fold-constants`: arithmetic that exporters leave in the graph, and the weights that it must not touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto
from onnx_models import VOCABULARY, WIDTH, Net
from skeleton import import_net, op_names
from tritloom.frontend.folding import evaluate
from tritloom.ir.interpreter import Interpreter

LAYERS = 3


def softmax_of_lower_bounds(net: Net, bounds: np.ndarray, layer: int) -> str:
    """cumsum(softmax(bounds)) minus its first row, one row of it: what the exporters leave of `lower_bounds`."""
    raw = net.const("lower_bounds", bounds)
    total = net.add("CumSum", net.add("Softmax", raw, axis=0), net.const("axis", np.asarray(0)))
    first = net.add("Slice", total, net.const("from", [0]), net.const("to", [1]), net.const("along", [0]))
    row = net.add("Gather", net.add("Sub", total, first), net.const("layer", np.asarray(layer)), axis=0)
    return net.add("Unsqueeze", row, net.const("front", [0]))


@pytest.mark.parametrize("layer", range(LAYERS))
def test_lower_bounds(layer: int, tmp_path: Path) -> None:
    bounds = np.random.default_rng(4).normal(size=(LAYERS, WIDTH)).astype(np.float32)
    net = Net()
    forget = net.add("Sigmoid", net.token())
    lower = softmax_of_lower_bounds(net, bounds, layer)
    net.output("y", net.add("Add", lower, net.add("Mul", net.add("Sub", 1.0, lower), forget)))
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "sigmoid", "load", "mul", "load", "add", "return"]
    assert imported.stages[0].before - imported.stages[0].after == 7
    table = imported.store.table("table").astype(np.float64)
    shares = np.exp(bounds) / np.exp(bounds).sum(axis=0)
    expected = (shares.cumsum(axis=0) - shares[:1])[layer]
    y = Interpreter(imported.module, imported.store).run(range(VOCABULARY)).outputs["y"]
    np.testing.assert_allclose(y, expected + (1 - expected) / (1 + np.exp(-table)), rtol=1e-5)


def test_shape_arithmetic(tmp_path: Path) -> None:
    """A Slice whose bounds are computed from a Shape, as the legacy exporter writes chunk."""
    net = Net()
    x = net.token()
    size = net.add("Gather", net.add("Shape", x), net.const("last", np.asarray(1)), axis=0)
    half = net.add("Unsqueeze", net.add("Div", size, net.const("two", np.asarray(2))), net.const("front", [0]))
    net.output("y", net.add("Slice", x, half, net.const("end", [WIDTH]), net.const("axis", [1])), (1, WIDTH // 2))
    assert op_names(import_net(net, tmp_path)) == ["embedding", "slice", "return"]


def test_constant_nodes(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    one = net.add("Constant", value_float=1.0)
    bounds = net.add("Constant", value_floats=[0.5] * WIDTH)
    net.output("y", net.add("Sub", one, net.add("Mul", x, bounds)))
    assert op_names(import_net(net, tmp_path)) == ["embedding", "load", "mul", "fill", "sub", "return"]


def test_a_cast_of_constants(tmp_path: Path) -> None:
    net = Net()
    scale = net.add("Cast", net.const("half", np.full(WIDTH, 0.5, np.float16)), to=TensorProto.FLOAT)
    net.output("y", net.add("Mul", net.token(), scale))
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "load", "mul", "return"]


def test_masters_are_not_folded(tmp_path: Path) -> None:
    masters = np.random.default_rng(3).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    net = Net()
    net.output("y", net.naive_bitlinear(net.token(), masters))
    imported = import_net(net, tmp_path)
    assert imported.stages[0].before == imported.stages[0].after
    assert list(imported.store.loaders) == ["table", "w"]


def test_an_axis_beyond_memory_is_not_evaluated() -> None:
    """onnx's reference implementation makes a shape of as many dimensions."""
    values = ir.Value(name="x")
    node = ir.node("Concat", [values], {"axis": 1 << 60})
    with pytest.raises(ValueError, match="Concat cannot be evaluated"):
        evaluate(node, [np.ones(4, np.float32)], 20)
