"""SiLU: `x * sigmoid(x)`.

torch.onnx.export writes Sigmoid and Mul (opset 24 has Swish, taken by the elementwise path). A product with another
factor between, `(n*h) * sigmoid(h)`, is left as it is: which product is the gate is for the passes to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import SiluOp
from ..emitter import Emitter
from ..graph import Graph
from .base import Match


@dataclass(frozen=True, eq=False)
class SiluMatch(Match):
    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        return emitter.value(SiluOp(operands[0]), self.value)


def match(graph: Graph, value: ir.Value) -> SiluMatch | None:
    """Mul of a vector and its Sigmoid, in either order."""
    if graph.width(value) is None or (mul := graph.producer(value, "Mul")) is None:
        return None
    for x, gate in graph.either_way(mul):
        sigmoid = graph.producer(gate, "Sigmoid")
        if sigmoid is not None and graph.operands(sigmoid)[0] is x:
            return SiluMatch(value, (x,), (sigmoid, mul))
    return None
