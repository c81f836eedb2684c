"""The floors of a graph's quantisers, `max(max|x|, 1e-5)`, lowered: ours have none (docs/numerics.md)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LOW: Final = 1e-30
"""Low enough for no activation to reach; 127/LOW is still a float32."""
_DEPTH: Final = 8
_SHAPES: Final = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_CLAMPS: Final = frozenset({"Clip", "Max", "Min"})


def lower_floors(graph: onnx.GraphProto) -> int:
    """Lower the bound of every Clip or Max over a ReduceMax to `LOW`, in place; how many there were."""
    producers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    lowered: list[onnx.NodeProto] = []
    found = 0
    for node in graph.node:
        if node.op_type not in ("Clip", "Max"):
            continue
        inputs = list(node.input)
        if not any(_is_largest(name, producers, _DEPTH) for name in inputs[: 1 if node.op_type == "Clip" else None]):
            continue
        bound = next((attribute for attribute in node.attribute if attribute.name == "min"), None)
        if bound is not None:  # Clip before opset 11
            bound.f = LOW
            found += 1
        for at in [1] if node.op_type == "Clip" and len(inputs) > 1 else range(len(inputs)):
            if (constant := _constant(inputs[at], producers, constants, _DEPTH)) is not None:
                name = f"tritloom.floor.{found}"
                value = numpy_helper.from_array(np.full_like(constant, LOW))
                lowered.append(helper.make_node("Constant", [], [name], value=value))
                node.input[at] = name
                found += 1
    for node in lowered:
        graph.node.insert(0, node)
    return found


def _is_largest(name: str, producers: dict[str, onnx.NodeProto], depth: int) -> bool:
    """Whether a tensor is a ReduceMax, or a clamp, a cast or a maximum of one."""
    node = producers.get(name)
    if node is None or depth == 0:
        return False
    if node.op_type == "ReduceMax":
        return True
    inner = list(node.input) if node.op_type == "Max" else list(node.input[:1])
    return node.op_type in _SHAPES | _CLAMPS and any(_is_largest(each, producers, depth - 1) for each in inner)


def _constant(
    name: str, producers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto], depth: int
) -> NDArray[Any] | None:
    """A float constant of one element, behind casts; None if a tensor is none."""
    node = producers.get(name)
    if name in constants:
        if constants[name].data_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            return None
        array = numpy_helper.to_array(constants[name])
        return array if array.size == 1 else None
    if node is None or depth == 0:
        return None
    if node.op_type == "Constant":
        for attribute in node.attribute:
            if attribute.name == "value":
                return _constant(name, {}, {name: attribute.t}, depth)
            if attribute.name == "value_float":
                return np.array(attribute.f, np.float32)
        return None
    if node.op_type not in _SHAPES:
        return None
    inner = _constant(node.input[0], producers, constants, depth - 1)
    kind = next((attribute.i for attribute in node.attribute if attribute.name == "to"), TensorProto.FLOAT)
    if inner is None or node.op_type != "Cast":
        return inner
    return inner.astype(np.float64 if kind == TensorProto.DOUBLE else np.float32)
