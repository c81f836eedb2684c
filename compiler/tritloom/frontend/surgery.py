"""Small changes of a graph, and questions about it that are asked before."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

KEEP_ELEMENTS: Final = ("Expand", "Reshape", "Cast", "Unsqueeze", "Squeeze", "Identity")
"""Nodes whose result holds the elements of their operand."""


def is_zero(value: ir.Value, depth: int = 8) -> bool:
    """Whether all elements are the constant 0."""
    if value.const_value is not None:
        return not np.asarray(value.const_value.numpy()).any()
    node = value.producer()
    if node is None or not depth:
        return False
    if node.op_type == "ConstantOfShape":
        return "value" not in node.attributes or not node.attributes["value"].as_tensor().numpy().any()
    if node.op_type == "Constant" and "value" in node.attributes:
        return not node.attributes["value"].as_tensor().numpy().any()
    return node.op_type in KEEP_ELEMENTS and node.inputs[0] is not None and is_zero(node.inputs[0], depth - 1)


def is_output(value: ir.Value, depth: int = 8) -> bool:
    """Whether a value leaves the graph, perhaps in another shape or with others."""
    if value.is_graph_output():
        return True
    users = [node for node, _ in value.uses() if _passes_on(node, value)]
    return depth > 0 and any(is_output(node.outputs[0], depth - 1) for node in users)


def _passes_on(node: ir.Node, value: ir.Value) -> bool:
    """Whether a node's result holds a value's elements, and perhaps others."""
    if node.op_type in (*KEEP_ELEMENTS, "Concat"):
        return True
    shapes = (value.shape, node.outputs[0].shape)
    sizes = {math.prod(dim for dim in shape if isinstance(dim, int)) for shape in shapes if shape is not None}
    return node.op_type in ("Gather", "Slice", "Flatten", "Transpose") and node.inputs[0] is value and len(sizes) == 1


def unused_name(model: ir.Model, name: str) -> str:
    """The name, or another that no value has yet."""
    taken = {value.name for value in (*model.graph.inputs, *model.graph.initializers.values())}
    taken |= {value.name for node in model.graph for value in node.outputs}
    return next(text for n in range(len(taken) + 1) if (text := f"{name}.{n}" if n else name) not in taken)


def add_output(model: ir.Model, value: ir.Value, name: str) -> None:
    """Let a value of floats leave the graph."""
    node = ir.node("Identity", [value], name=name)
    output = node.outputs[0]
    output.name, output.shape, output.type = name, value.shape, ir.TensorType(ir.DataType.FLOAT)
    model.graph.append(node)
    model.graph.outputs.append(output)


def take_over(model: ir.Model, output: ir.Value, result: ir.Value) -> None:
    """A result in the place of a node's output; an output of the graph keeps its name."""
    for user, index in list(output.uses()):
        user.replace_input_with(index, result)
    if output.is_graph_output():
        at, name = list(model.graph.outputs).index(output), output.name
        output.name = None
        node = ir.node("Identity", [result], name=f"{name}.value")
        new = node.outputs[0]
        new.name, new.shape, new.type = name, output.shape, output.type
        model.graph.append(node)
        model.graph.outputs[at] = new


def moved_axis(model: ir.Model, before: ir.Node, kind: str, value: ir.Value, axis: int, name: str) -> ir.Value:
    """Squeeze or Unsqueeze of an axis, in front of a node."""
    if model.opset_imports.get("", 0) < 13:
        node = ir.node(kind, [value], {"axes": [axis]}, name=name)
    else:
        node = ir.node(kind, [value, stored(model, f"{name}.axes", np.asarray([axis], np.int64))], name=name)
    node.outputs[0].name, node.outputs[0].type = name, value.type
    model.graph.insert_before(before, node)
    return node.outputs[0]


def stored(model: ir.Model, name: str, values: NDArray[Any]) -> ir.Value:
    """An initialiser."""
    value = ir.Value(name=name, const_value=ir.tensor(values, name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(values.dtype)), ir.Shape(values.shape)
    model.graph.register_initializer(value)
    return value
