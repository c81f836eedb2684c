"""Parts of a vector: Split on the last axis, and Slice with constant bounds.

torch.onnx.export writes Split for chunk (dynamo: `num_outputs`; legacy: sizes as attribute or input), and Slice for
x[a:b].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import SliceOp
from ..emitter import Emitter
from ..graph import Graph, input_at, int_attribute
from .base import Match


@dataclass(frozen=True, eq=False)
class SliceMatch(Match):
    offset: int

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        length = emitter.graph.width(self.value) or 0
        return emitter.value(SliceOp(operands[0], self.offset, length), self.value)


def _is_last(axis: int, rank: int) -> bool:
    return axis % rank == rank - 1 if rank else False


def _split(graph: Graph, value: ir.Value, node: ir.Node) -> SliceMatch | None:
    source = node.inputs[0]
    shape = graph.shape(source) if source is not None else None
    widths = [graph.width(output) for output in node.outputs]
    if source is None or shape is None or not _is_last(int_attribute(node, "axis", 0), len(shape)):
        return None
    before = widths[: node.outputs.index(value)]
    if graph.width(source) is None or None in widths:
        return None
    offset = sum(width for width in before if width is not None)
    return SliceMatch(value, (graph.resolve(source),), (node,), offset)


def _slice_bounds(graph: Graph, node: ir.Node) -> list[list[int]] | None:
    """[starts, ends, axes, steps] of a Slice: inputs, or attributes before opset 10."""
    bounds: list[list[int]] = []
    for index, name in enumerate(("starts", "ends", "axes", "steps"), start=1):
        if (attribute := node.attributes.get(name)) is not None:
            bounds.append(list(attribute.as_ints()))
        elif (given := input_at(node, index)) is None:
            bounds.append([])
        elif (constant := graph.constant(given)) is not None:
            bounds.append([int(number) for number in constant.load().reshape(-1)])
        else:
            return None
    starts, _, axes, steps = bounds
    return [starts, bounds[1], axes or list(range(len(starts))), steps or [1] * len(starts)]


def _slice(graph: Graph, value: ir.Value, node: ir.Node) -> SliceMatch | None:
    source = node.inputs[0]
    shape = graph.shape(source) if source is not None else None
    bounds = _slice_bounds(graph, node)
    if source is None or shape is None or bounds is None or graph.width(source) is None:
        return None
    offset = 0
    for start, end, axis, step in zip(*bounds, strict=True):
        if step != 1:
            return None
        size = shape[axis]
        low, high, _ = slice(start, end).indices(size)
        if _is_last(axis, len(shape)):
            offset = low
        elif (low, high) != (0, 1):
            return None
    return SliceMatch(value, (graph.resolve(source),), (node,), offset)


def match(graph: Graph, value: ir.Value) -> SliceMatch | None:
    """An output of Split, or a Slice, along the vector."""
    if not graph.width(value):
        return None
    if (node := graph.producer(value, "Split")) is not None:
        return _split(graph, value, node)
    if (node := graph.producer(value, "Slice")) is not None:
        return _slice(graph, value, node)
    return None
