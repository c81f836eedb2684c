"""The general path: arithmetic element by element, on vectors of one length and constants.

Any exporter. Functions that the vector unit lacks but that are arithmetic (Neg, Reciprocal, Abs, Clip, x^2) are
written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import BINARY, BinaryOp, DivOp, MaxOp, MinOp, MulOp, ReluOp, SigmoidOp, SiluOp, SqrtOp, SubOp
from ..emitter import Emitter
from ..graph import Graph, float_attribute
from ..problems import Refusal
from ..scalars import bounded
from .base import Match
from .gelu import phi

_BINARY: Final = {"Add": "add", "Sum": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min"}

Unary = Callable[[Emitter, SSAValue, int], SSAValue]


def _negated(e: Emitter, x: SSAValue, n: int) -> SSAValue:
    return e.value(MulOp(x, e.fill(-1.0, n)))


def _tanh(e: Emitter, x: SSAValue, n: int) -> SSAValue:
    """2 * sigmoid(2x) - 1: within 1e-6 of 1, though of small results the last places are lost."""
    twice = e.fill(2.0, n)
    return e.value(SubOp(e.value(MulOp(e.value(SigmoidOp(e.value(MulOp(x, twice)))), twice)), e.fill(1.0, n)))


def _erf(e: Emitter, x: SSAValue, n: int) -> SSAValue:
    """2 * Phi(sqrt(2) * x) - 1: like Tanh, within 1e-6 of 1."""
    inner = phi(e, e.value(MulOp(x, e.fill(math.sqrt(2.0), n))), n)
    return e.value(SubOp(e.value(MulOp(inner, e.fill(2.0, n))), e.fill(1.0, n)))


_UNARY: Final[dict[str, Unary]] = {
    "Sigmoid": lambda e, x, n: e.value(SigmoidOp(x)),
    "Sqrt": lambda e, x, n: e.value(SqrtOp(x)),
    "Tanh": _tanh,
    "Erf": _erf,
    "Relu": lambda e, x, n: e.value(ReluOp(x)),
    "Neg": _negated,
    "Reciprocal": lambda e, x, n: e.value(DivOp(e.fill(1.0, n), x)),
    "Abs": lambda e, x, n: e.value(MaxOp(x, _negated(e, x, n))),
    "HardSwish": lambda e, x, n: e.value(MulOp(x, _ramp(e, x, n, 1 / 6, 0.5))),
}


@dataclass(frozen=True, eq=False)
class UnaryMatch(Match):
    function: Unary

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        result = self.function(emitter, operands[0], emitter.graph.width(self.value) or 0)
        if result is not operands[0]:
            emitter.name(result, self.value)
        return result


@dataclass(frozen=True, eq=False)
class BinaryMatch(Match):
    """A chain of one binary operation over operands, of which constants of one element are filled in."""

    op: type[BinaryOp]
    operands: tuple[ir.Value | float, ...]

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        length = emitter.graph.width(self.value) or 0
        given = iter(operands)
        values = [emitter.fill(x, length) if isinstance(x, float) else next(given) for x in self.operands]
        result = values[0]
        for value in values[1:]:
            result = emitter.value(self.op(result, value))
        if len(values) > 1:
            emitter.name(result, self.value)
        return result


def _power(graph: Graph, node: ir.Node) -> tuple[ir.Value, Unary] | None:
    """x^2, x^3, x^0.5 and x^-1."""
    x, exponent = graph.operands(node)
    functions: dict[float | None, Unary] = {
        2.0: lambda e, x, n: e.value(MulOp(x, x)),
        3.0: lambda e, x, n: e.value(MulOp(e.value(MulOp(x, x)), x)),
        0.5: _UNARY["Sqrt"],
        -1.0: _UNARY["Reciprocal"],
    }
    function = functions.get(graph.scalar(exponent))
    return (x, function) if function is not None else None


def _other_power(graph: Graph, node: ir.Node) -> Refusal | None:
    if (exponent := graph.scalar(graph.operands(node)[1])) is None:
        return None
    reason = f"its exponent is {exponent:g}, and only x^2, x^3, x^0.5 and x^-1 exist"
    return Refusal(node, reason, "an RMSNorm squares: x / sqrt(mean(x*x) + eps) * gain; write other powers as products")


def _clamp(graph: Graph, value: ir.Value) -> tuple[ir.Value, Unary] | None:
    bounds = bounded(graph, value)
    if bounds.value is value:
        return None

    def clamped(e: Emitter, x: SSAValue, n: int) -> SSAValue:
        if bounds.low is not None:
            x = e.value(MaxOp(x, e.fill(bounds.low, n)))
        if bounds.high is not None:
            x = e.value(MinOp(x, e.fill(bounds.high, n)))
        return x

    return bounds.value, clamped


def _ramp(e: Emitter, x: SSAValue, n: int, alpha: float, beta: float) -> SSAValue:
    """max(0, min(1, alpha*x + beta))."""
    line = BINARY["add"](e.value(MulOp(x, e.fill(alpha, n))), e.fill(beta, n))
    return e.value(MaxOp(e.value(MinOp(e.value(line), e.fill(1.0, n))), e.fill(0.0, n)))


def _hard_sigmoid(graph: Graph, node: ir.Node) -> tuple[ir.Value, Unary]:
    alpha, beta = float_attribute(node, "alpha", 0.2), float_attribute(node, "beta", 0.5)
    return graph.operands(node)[0], lambda e, x, n: _ramp(e, x, n, alpha, beta)


def _leaky_relu(graph: Graph, node: ir.Node) -> tuple[ir.Value, Unary] | None:
    """max(x, alpha*x), alpha at most 1."""
    alpha = float_attribute(node, "alpha", 0.01)
    if not 0.0 <= alpha <= 1.0:
        return None
    return graph.operands(node)[0], lambda e, x, n: e.value(MaxOp(x, e.value(MulOp(x, e.fill(alpha, n)))))


def _swish(graph: Graph, node: ir.Node) -> tuple[ir.Value, Unary]:
    """x * sigmoid(alpha * x)."""
    alpha = float_attribute(node, "alpha", 1.0)
    if alpha == 1.0:
        return graph.operands(node)[0], lambda e, x, n: e.value(SiluOp(x))
    return graph.operands(node)[0], lambda e, x, n: e.value(
        MulOp(x, e.value(SigmoidOp(e.value(MulOp(x, e.fill(alpha, n))))))
    )


def _function_of(graph: Graph, value: ir.Value, node: ir.Node) -> tuple[ir.Value, Unary] | None:
    """(x, f) where a value is f(x)."""
    if (function := _UNARY.get(node.op_type)) is not None:
        return graph.operands(node)[0], function
    match node.op_type:
        case "Pow":
            return _power(graph, node)
        case "Clip":
            return _clamp(graph, value)
        case "HardSigmoid":
            return _hard_sigmoid(graph, node)
        case "LeakyRelu":
            return _leaky_relu(graph, node)
        case "Swish":
            return _swish(graph, node)
    return None


def _binary(graph: Graph, value: ir.Value, node: ir.Node) -> BinaryMatch | Refusal:
    width = graph.width(value)
    operands: list[ir.Value | float] = []
    for operand in graph.operands(node):
        if width != 1 and (number := graph.scalar(operand)) is not None:
            operands.append(number)
        elif graph.width(operand) == width:
            operands.append(operand)
        else:
            return Refusal(
                node,
                "it combines a vector with a computed scalar or a vector of another length",
                "only norms, quantisers and constants scale a vector; use vectors of one length",
                secondary=True,
            )
    inputs = tuple(operand for operand in operands if isinstance(operand, ir.Value))
    return BinaryMatch(value, inputs, (node,), BINARY[_BINARY[node.op_type]], tuple(operands))


def match(graph: Graph, value: ir.Value) -> Match | Refusal | None:
    """A node of the tables above on vectors of one length."""
    node = value.producer()
    if node is None or node.domain or graph.width(value) is None:
        return None
    if value.dtype not in (None, ir.DataType.FLOAT):
        return Refusal(node, f"it computes in {value.dtype.name.lower()}", "activations are float32; export in float32")
    if node.op_type in _BINARY:
        return _binary(graph, value, node)
    if (found := _function_of(graph, value, node)) is None:
        return _other_power(graph, node) if node.op_type == "Pow" else None
    return UnaryMatch(value, (found[0],), (node,), found[1])
