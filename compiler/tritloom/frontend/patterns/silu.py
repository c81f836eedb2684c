"""SiLU: `x * sigmoid(x)`.

torch.onnx.export writes Sigmoid and Mul, or x / (1 + exp(-x)) where the model spells it so; opset 24 has Swish, taken
by the elementwise path. A product with another factor between, `(n*h) * sigmoid(h)`, is left as it is: which product
is the gate is for the passes to say.
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
    """Mul of a vector and its Sigmoid, in either order, or the quotient with 1 + exp(-x)."""
    if graph.width(value) is None:
        return None
    if (div := graph.producer(value, "Div")) is not None:
        return _written_out(graph, value, div)
    if (mul := graph.producer(value, "Mul")) is None:
        return None
    for x, gate in graph.either_way(mul):
        sigmoid = graph.producer(gate, "Sigmoid")
        if sigmoid is not None and graph.operands(sigmoid)[0] is x:
            return SiluMatch(value, (x,), (sigmoid, mul))
    return None


def _written_out(graph: Graph, value: ir.Value, div: ir.Node) -> SiluMatch | None:
    x, denominator = graph.operands(div)
    if (add := graph.producer(denominator, "Add")) is None:
        return None
    for one, power in graph.either_way(add):
        exp = graph.producer(power, "Exp") if graph.scalar(one) == 1.0 else None
        negated = graph.producer(graph.operands(exp)[0], "Neg") if exp is not None else None
        if exp is not None and negated is not None and graph.operands(negated)[0] is x:
            return SiluMatch(value, (x,), (exp, div))
    return None
