"""The asymmetric quantiser over a vector's range: DynamicQuantizeLinear, which onnxruntime's dynamic quantisation
writes (also within DynamicQuantizeMatMul, which contrib.py writes out)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import QuantizeRangeOp
from ..emitter import Emitter
from ..graph import Graph
from .codes import CodesMatch, without_casts


@dataclass(frozen=True, eq=False)
class RangeMatch(CodesMatch):
    """Outputs of the node: codes, scale, zero point."""

    node: ir.Node

    @property
    def dynamic(self) -> bool:
        return True

    def is_scale(self, graph: Graph, base: ir.Value) -> bool:
        return graph.resolve(base) is self.node.outputs[1]

    def weight_scale(self, coefficient: float) -> float:
        return coefficient

    def is_zero(self, graph: Graph, zero: ir.Value | None) -> bool:
        return zero is not None and graph.resolve(zero) is self.node.outputs[2]

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        return emitter.value(QuantizeRangeOp(operands[0]), *self.node.outputs)


def match(graph: Graph, value: ir.Value) -> RangeMatch | None:
    """Codes of a DynamicQuantizeLinear of a vector."""
    codes = without_casts(graph, value)
    node = graph.producer(codes, "DynamicQuantizeLinear")
    if node is None or codes is not node.outputs[0] or graph.width(codes) is None:
        return None
    return RangeMatch(value, (graph.operands(node)[0],), (node,), node)
