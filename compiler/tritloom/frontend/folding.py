"""`fold-constants`: arithmetic on constants, done once at compile time.

Weights are left alone: what feeds a matrix product is for `recognise-ternary`, which keeps it on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .constants import Constant, constant_from, constant_of
from .graph import Graph, static_shape

_LARGEST: Final = 1 << 20
_PRODUCTS: Final = frozenset({"MatMul", "Gemm", "Conv", "MatMulInteger", "ConvInteger"})
_RANDOM: Final = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"})


def constant_node(node: ir.Node) -> Constant | None:
    """Value of a Constant node."""
    name = node.outputs[0].name or ""
    for key, convert in (("value_float", np.float32), ("value_int", np.int64)):
        if key in node.attributes:
            return constant_from(name, np.asarray(node.attributes[key].value, convert))
    for key, convert in (("value_floats", np.float32), ("value_ints", np.int64)):
        if key in node.attributes:
            return constant_from(name, np.asarray(list(node.attributes[key].value), convert))
    return constant_of(name, node.attributes["value"].as_tensor()) if "value" in node.attributes else None


def _static_shape(graph: Graph, node: ir.Node) -> NDArray[np.int64] | None:
    """Value of a Shape or Size node whose operand's shape is known."""
    source = node.inputs[0]
    shape = graph.shape(source) if source is not None else None
    if shape is None:
        return None
    if node.op_type == "Size":
        return np.asarray(np.prod(shape, dtype=np.int64), np.int64)
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    end = node.attributes["end"].as_int() if "end" in node.attributes else len(shape)
    return np.asarray(shape[start:end], np.int64)


def _small(graph: Graph, node: ir.Node) -> bool:
    """Whether a node's inputs and outputs are all constants of a moderate, known size."""
    for value in node.inputs:
        if value is not None and (value not in graph.constants or graph.constants[value].size > _LARGEST):
            return False
    for value in node.outputs:
        shape = graph.shape(value)
        if shape is None or np.prod(shape, dtype=np.float64) > _LARGEST:
            return False
    return True


def evaluate(node: ir.Node, inputs: Sequence[NDArray[np.generic] | None], opset: int) -> list[NDArray[np.generic]]:
    """Outputs of one node, by onnx's reference implementation.

    Raises:
        ValueError: it has none, or not for these inputs.
    """
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [f"i{index}" if value is not None else "" for index, value in enumerate(inputs)]
    proto = ir.to_proto(node)
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.extend(f"o{index}" for index in range(len(node.outputs)))
    feeds = {name: value for name, value in zip(names, inputs, strict=True) if value is not None}
    graph = helper.make_graph([proto], "node", [], [])
    graph.input.extend(helper.make_empty_tensor_value_info(name) for name in feeds)
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in proto.output)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, feeds)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{node.op_type} cannot be evaluated: {error}") from error
    return [np.asarray(result) for result in results]


def _feeds_product(graph: Graph) -> set[ir.Node]:
    """Nodes whose results go, through constant nodes alone, into a matrix product."""
    constant: set[ir.Value] = set(graph.constants)
    for node in graph.model.graph:
        if node.inputs and all(value is None or value in constant for value in node.inputs):
            constant.update(node.outputs)
    found: set[ir.Node] = set()
    queue = [
        value
        for node in graph.model.graph
        if node.op_type in _PRODUCTS
        for value in node.inputs[:2]
        if value is not None and value in constant
    ]
    while queue:
        producer = queue.pop().producer()
        if producer is not None and producer not in found:
            found.add(producer)
            queue.extend(value for value in producer.inputs if value is not None)
    return found


def _of_vectors(graph: Graph, node: ir.Node) -> bool:
    """Whether a node computes scales: no matrix goes into it."""
    shapes = [graph.shape(value) for value in node.inputs if value is not None]
    return all(shape is not None and sum(dim != 1 for dim in shape) < 2 for shape in shapes)


def fold_constants(graph: Graph) -> int:
    """Fold what can be folded, into `graph.constants`. Returns how many nodes became constants."""
    for node in graph.model.graph:
        if node.op_type == "Constant" and (constant := constant_node(node)) is not None:
            graph.constants[node.outputs[0]] = constant
    folded = sum(node.op_type == "Constant" for node in graph.model.graph)
    weights = _feeds_product(graph)
    for node in graph.model.graph:
        if node.domain or node.outputs[0] in graph.constants or node.op_type in _RANDOM:
            continue
        if node.outputs[0] in graph.residues:  # it stands for another value; its own has rounding errors
            continue
        if node in weights and not _of_vectors(graph, node):
            continue
        if node.op_type in ("Shape", "Size"):
            if (shape := _static_shape(graph, node)) is not None:
                graph.constants[node.outputs[0]] = constant_from(node.outputs[0].name or "", shape)
                folded += 1
        elif node.inputs and _small(graph, node):
            folded += _fold(graph, node)
    return folded


def unknown_shapes(model: ir.Model) -> int:
    """How many values have no shape, or one that is not all known."""
    return sum(static_shape(output) is None for node in model.graph for output in node.outputs)


def store_folded(graph: Graph, integers: bool = False) -> None:
    """Make initialisers of what was folded (`integers`: sizes and indices alone), so that shape inference sees the
    values."""
    for node in list(graph.model.graph):
        values = [value for value in node.outputs if value in graph.constants and not value.is_graph_output()]
        if integers:
            values = [value for value in values if graph.constants[value].dtype == ir.DataType.INT64]
        if len(values) != len(node.outputs):
            continue
        for value in values:
            tensor = ir.Tensor(graph.constants[value].load(), name=value.name)
            stored = ir.Value(name=value.name, type=value.type, shape=tensor.shape, const_value=tensor)
            value.replace_all_uses_with(stored)
            value.name = None
            graph.model.graph.register_initializer(stored)
        graph.model.graph.remove(node, safe=True)


def _fold(graph: Graph, node: ir.Node) -> int:
    inputs = [None if value is None else graph.constants[value].load() for value in node.inputs]
    try:
        results = evaluate(node, inputs, graph.model.opset_imports.get("", 20))
    except ValueError:
        return 0
    for value, result in zip(node.outputs, results, strict=True):
        graph.constants[value] = constant_from(value.name or "", result)
    return 1
