"""GELU, `x * Phi(x)` (arXiv 1606.08415), and its tanh form, from what the vector unit has.

Opset 20 has Gelu; torch writes `x * 0.5 * (1 + Erf(x / sqrt(2)))` in any order, and for the tanh form
`x * 0.5 * (1 + Tanh(u))`, which is `x * sigmoid(2u)` whatever u is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import AddOp, MinOp, MulOp, SigmoidOp
from ..emitter import Emitter
from ..graph import Graph
from .base import Match

_LOGIT_OF_PHI: Final = (
    1.59576843, 7.26685670e-2, -6.62599663e-5, -1.10480323e-4, 7.93821975e-6, -2.66892870e-7, 3.61123394e-9,
)  # fmt: skip
"""Phi(x) = sigmoid(x * p(x^2)) for |x| <= 5.5, beyond which it is 0 or 1: x * Phi(x) is within 1e-7 (minimax fit)."""
_END: Final = 5.5**2
_TANH_FORM: Final = (math.sqrt(8 / math.pi), 0.044715 * math.sqrt(8 / math.pi))
_RELATIVE: Final = 1e-5

Gate = Callable[[Emitter, SSAValue, int], SSAValue]


def _polynomial(e: Emitter, x: SSAValue, coefficients: Sequence[float], n: int) -> SSAValue:
    """Horner's rule; the lowest coefficient first."""
    result = e.value(MulOp(x, e.fill(coefficients[-1], n)))
    for coefficient in coefficients[-2:0:-1]:
        result = e.value(MulOp(e.value(AddOp(result, e.fill(coefficient, n))), x))
    return e.value(AddOp(result, e.fill(coefficients[0], n)))


def phi(e: Emitter, x: SSAValue, n: int) -> SSAValue:
    """The normal distribution function."""
    square = e.value(MinOp(e.value(MulOp(x, x)), e.fill(_END, n)))
    return e.value(SigmoidOp(e.value(MulOp(x, _polynomial(e, square, _LOGIT_OF_PHI, n)))))


def phi_by_tanh(e: Emitter, x: SSAValue, n: int) -> SSAValue:
    """`(1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2`."""
    return e.value(SigmoidOp(e.value(MulOp(x, _polynomial(e, e.value(MulOp(x, x)), _TANH_FORM, n)))))


@dataclass(frozen=True, eq=False)
class GeluMatch(Match):
    """x times a gate of the last operand."""

    gate: Gate

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        length = emitter.graph.width(self.value) or 0
        return emitter.value(MulOp(operands[0], self.gate(emitter, operands[-1], length)), self.value)


def _twice_sigmoid(e: Emitter, u: SSAValue, n: int) -> SSAValue:
    return e.value(SigmoidOp(e.value(MulOp(u, e.fill(2.0, n)))))


def _factors(graph: Graph, value: ir.Value, depth: int = 3) -> Iterator[ir.Value | float]:
    """Factors of a product: vectors and numbers."""
    if (number := graph.scalar(value)) is not None:
        yield number
        return
    node = graph.producer(value, "Mul", "Div") if depth else None
    if node is None:
        yield graph.resolve(value)
        return
    first, second = graph.operands(node)
    if node.op_type == "Mul":
        yield from _factors(graph, first, depth - 1)
        yield from _factors(graph, second, depth - 1)
    elif (divisor := graph.scalar(second)) is not None and divisor:
        yield from _factors(graph, first, depth - 1)
        yield 1.0 / divisor
    else:
        yield graph.resolve(value)


def _one_plus(graph: Graph, value: ir.Value, op: str) -> ir.Value | None:
    """u where a value is 1 + op(u)."""
    if (add := graph.producer(value, "Add")) is None:
        return None
    for one, function in graph.either_way(add):
        if graph.scalar(one) == 1.0 and (node := graph.producer(function, op)) is not None:
            return graph.operands(node)[0]
    return None


def _is_x_over_root_2(graph: Graph, u: ir.Value, x: ir.Value) -> bool:
    parts = list(_factors(graph, u))
    numbers = math.prod(part for part in parts if isinstance(part, float))
    others = [part for part in parts if not isinstance(part, float)]
    return others == [x] and abs(numbers * math.sqrt(2.0) - 1.0) < _RELATIVE


def _written_out(graph: Graph, value: ir.Value, node: ir.Node) -> GeluMatch | None:
    parts = list(_factors(graph, value))
    vectors = [part for part in parts if not isinstance(part, float)]
    numbers = math.prod(part for part in parts if isinstance(part, float))
    if len(vectors) != 2 or abs(numbers - 0.5) > _RELATIVE:
        return None
    for x, gate in (vectors, vectors[::-1]):
        if (u := _one_plus(graph, gate, "Erf")) is not None and _is_x_over_root_2(graph, u, x):
            return GeluMatch(value, (x,), (node,), phi)
        if (u := _one_plus(graph, gate, "Tanh")) is not None:
            return GeluMatch(value, (x, u), (node,), _twice_sigmoid)
    return None


def match(graph: Graph, value: ir.Value) -> GeluMatch | None:
    """A Gelu, or a product that is one."""
    if graph.width(value) in (None, 1):
        return None
    if (node := graph.producer(value, "Gelu")) is not None:
        form = node.attributes.get("approximate")
        tanh = form is not None and form.as_string() == "tanh"
        return GeluMatch(value, (graph.operands(node)[0],), (node,), phi_by_tanh if tanh else phi)
    node = graph.producer(value, "Mul", "Div")
    return _written_out(graph, value, node) if node is not None else None
