"""A graph computed in float64: what the control compares with where a model has been exported only once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_SINGLE, _DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE


def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with every float32 constant, cast, input and output in float64, in place."""
    _widen_graph(model.graph)
    return model


def _widen_graph(graph: onnx.GraphProto) -> None:
    del graph.value_info[:]
    for tensor in graph.initializer:
        _widen(tensor)
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type == _SINGLE:
            value.type.tensor_type.elem_type = _DOUBLE
    _widen_nodes(graph.node)


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == _SINGLE:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def _widen_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        if node.op_type == "ConstantOfShape" and not node.attribute:
            node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == _SINGLE:
                attribute.i = _DOUBLE
            elif attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                _widen_graph(attribute.g)
            elif attribute.name in ("value_float", "value_floats") and node.op_type == "Constant":
                _widen_constant(node, attribute)


def _widen_constant(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> None:
    """A Constant given as a Python float becomes one given as a tensor."""
    several = attribute.name == "value_floats"
    values = np.array(list(attribute.floats) if several else attribute.f, np.float64)
    del node.attribute[:]
    node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(values)))
