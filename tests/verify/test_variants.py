"""The model with small gains, whose activations fall below the floors of the graph's quantisers; and the probe."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tritloom.frontend import import_onnx
from tritloom.frontend.patterns import rms_norm
from tritloom.ir import tern
from tritloom.ir.interpreter import Interpreter
from tritloom.ir.kernel import KernelLimits
from tritloom.verify.floors import LOW, lower_floors
from tritloom.verify.probe import probe_length, probe_module, probe_tokens
from tritloom.verify.reference import Interface, Reference
from tritloom.verify.subject import open_subject
from tritloom.verify.variants import LocalTest, small_gains
from tritloom.verify.weights import check_weights

from .conftest import BAKED

TOKENS = [3, 1, 4, 1]


def with_epsilons(path: Path, epsilon: float) -> Path:
    """tiny-baked with other epsilons."""
    model = onnx.load(BAKED)
    old = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    names = {name for name, array in old.items() if array.size == 1 and np.isclose(array, 1e-6, atol=0).all()}
    assert len(names) == 1
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(old[tensor.name], epsilon), tensor.name))
    onnx.save(model, path)
    return path


def small(path: Path) -> LocalTest:
    imported = import_onnx(path)
    module = imported.module
    reference = Reference(path, Interface.of(next(op for op in module.ops if isinstance(op, tern.ModelOp))))
    test = small_gains(module, reference, check_weights(module, imported.store, reference), TOKENS)
    assert test is not None
    return test


def test_below_the_floor_of_a_quantiser(tmp_path: Path) -> None:
    """With epsilons of 1e-2 and small gains max|x| falls below 1e-5, which is no fault of the bundle's."""
    test = small(with_epsilons(tmp_path / "model.onnx", 1e-2))
    steps = [values for name, values in test.recording.values.items() if values.shape[-1] == 1]
    assert max(values.max() for values in steps) > 127 / 0.99e-5  # otherwise this shows nothing
    result = test.check()
    assert result.findings == []
    assert result.codes > 0


def test_an_epsilon_is_still_missed_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = rms_norm.RmsNormOp
    monkeypatch.setattr(rms_norm, "RmsNormOp", lambda x, gain, eps: right(x, gain, 0.0))
    findings = small(with_epsilons(tmp_path / "model.onnx", 1e-2)).check().findings
    assert any(finding.startswith("tern.rms_norm (ONNX ") for finding in findings)


def floored(op: str, bound: str, opset: int = 18) -> onnx.GraphProto:
    """max|x| with a floor of 1e-5, and beside it a clamp and a maximum that are none."""
    floor = numpy_helper.from_array(np.array(1e-5, np.float32), "floor")
    axes = numpy_helper.from_array(np.array([-1]), "axes")
    nodes = [helper.make_node("Abs", ["x"], ["abs"]), helper.make_node("ReduceMax", ["abs", "axes"], ["largest"])]
    if bound == "Constant":
        nodes.append(helper.make_node("Constant", [], ["floor"], value=floor))
    elif bound == "value_float":
        nodes.append(helper.make_node("Constant", [], ["floor"], value_float=1e-5))
    elif bound == "Cast":
        nodes.append(helper.make_node("Cast", ["wide"], ["floor"], to=TensorProto.FLOAT))
    wide = numpy_helper.from_array(np.array(1e-5), "wide")
    constants = [axes, wide] + ([floor] if bound == "initializer" else [])
    if bound == "attribute":
        nodes.append(helper.make_node("Clip", ["largest"], ["A"], min=1e-5))
    else:
        nodes.append(helper.make_node(op, ["largest", "floor"], ["A"]))
        nodes.append(helper.make_node(op, ["x", "floor"], ["clamped"]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "A")]
    return helper.make_graph(nodes, "floored", values[:1], values[1:], constants)


@pytest.mark.parametrize("bound", ["initializer", "Constant", "value_float", "Cast"])
@pytest.mark.parametrize("op", ["Clip", "Max"])
def test_floors_are_lowered_and_other_clamps_are_not(op: str, bound: str) -> None:
    graph = floored(op, bound)
    assert lower_floors(graph) == 1
    (outer,) = (node for node in graph.node if "A" in node.output)
    low = next(node for node in graph.node if node.output[0] == outer.input[1])
    value = numpy_helper.to_array(low.attribute[0].t)
    assert (value.dtype, float(value)) == (np.float32, pytest.approx(LOW, rel=1e-6))
    assert next(node for node in graph.node if "clamped" in node.output).input[1] == "floor"


def test_a_floor_that_is_an_attribute() -> None:
    graph = floored("Clip", "attribute")
    assert lower_floors(graph) == 1
    assert graph.node[-1].attribute[0].f == pytest.approx(LOW, rel=1e-6)


def kernel(bundle: Path, k_max: int) -> KernelLimits:
    return dataclasses.replace(open_subject(bundle, None).limits, k_max=k_max, vector_words=8192)


@pytest.mark.parametrize(("k_max", "length"), [(80, 64), (960, 64), (1040, 1040), (6960, 6960)])
def test_the_probe_is_long_where_sums_can_be_large(bundle: Path, k_max: int, length: int) -> None:
    assert probe_length(kernel(bundle, k_max)) == length


def test_the_probe_holds_the_largest_sums(bundle: Path) -> None:
    limits = kernel(bundle, 6960)
    module, store = probe_module(limits)
    (logits,) = Interpreter(module, store).run(probe_tokens(limits)).outputs.values()
    found = np.isclose(np.abs(logits), 6960 * 127 * 0.5 / 127)
    assert found.any(axis=0)[:2].all()
