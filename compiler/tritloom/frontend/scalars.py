"""Scale factors: a product of numbers and of powers of scalars that the graph computes.

Exporters write a rescale in many orders: `Mul(acc, Div(beta, s))`, `Div(Mul(acc, beta), s)`, or before the product as
`Gemm(Div(q, s), W * beta)`. Counted as `coefficient * prod(base ** power)` they are all the same. A base is a scalar
that the graph computes, or a constant vector: one scale a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import onnx_ir as ir

from ..errors import InputError
from .graph import Graph, input_at

_MAX_DEPTH = 32
PRODUCTS: Final = ("Gemm", "MatMul", "MatMulInteger")


@dataclass(frozen=True)
class Factor:
    """`coefficient * prod(base ** power)`."""

    coefficient: float = 1.0
    powers: Mapping[ir.Value, int] = field(default_factory=dict)

    def times(self, other: Factor, sign: int = 1) -> Factor:
        """Product with `other`, or the quotient where `sign` is -1."""
        if sign < 0 and other.coefficient == 0.0:
            raise InputError("the model divides by a constant that is 0", "look for an empty scale in the export")
        scaled = self.coefficient * other.coefficient if sign > 0 else self.coefficient / other.coefficient
        powers = dict(self.powers)
        for base, power in other.powers.items():
            powers[base] = powers.get(base, 0) + sign * power
        return Factor(scaled, {base: power for base, power in powers.items() if power})

    @property
    def trivial(self) -> bool:
        """Whether it is 1."""
        return self.coefficient == 1.0 and not self.powers


ONE = Factor()


def scalar_factor(graph: Graph, value: ir.Value, depth: int = 0) -> Factor:
    """A scalar (or a scale a row) as a factor; what is no product, quotient or number is a base of its own."""
    value = graph.resolve(value)
    if (number := graph.scalar(value)) is not None:
        return Factor(number)
    node = graph.producer(value, "Mul", "Div", "Reciprocal")
    if node is None or depth > _MAX_DEPTH:
        return Factor(1.0, {value: 1})
    first = scalar_factor(graph, graph.operands(node)[0], depth + 1)
    if node.op_type == "Reciprocal":
        return ONE.times(first, -1)
    second = scalar_factor(graph, graph.operands(node)[1], depth + 1)
    return first.times(second, 1 if node.op_type == "Mul" else -1)


def factors_in_front(graph: Graph, value: ir.Value) -> Iterator[tuple[ir.Value, Factor]]:
    """`value` as factor * rest, from (value, 1) inwards through every Mul and Div by a scalar, and Casts of sums."""
    value, factor = graph.resolve(value), ONE
    while True:
        yield value, factor
        if (step := scaled_by(graph, value)) is not None:
            value, scalar, sign = step
            factor = factor.times(scalar_factor(graph, scalar), sign)
        elif (cast := graph.producer(value, "Cast")) is not None and holds_product(graph, value):
            value = graph.operands(cast)[0]
        else:
            return


def scaled_by(graph: Graph, value: ir.Value) -> tuple[ir.Value, ir.Value, int] | None:
    """(x, c, sign) where a value is x * c (sign 1) or x / c (sign -1), x a vector and c a scalar.

    Behind a product c may be a constant vector too, one scale a row, or a scalar times such a vector.
    """
    node = graph.producer(value, "Mul", "Div", "DequantizeLinear")
    if node is None:
        return None
    if node.op_type == "DequantizeLinear":
        return _dequantized(graph, node)
    for index, (x, c) in enumerate(graph.either_way(node)):
        if node.op_type == "Div" and index:
            break
        scales = is_scalar(graph, c) and (not is_scalar(graph, x) or holds_product(graph, x))
        if scales or (is_row_scale(graph, c) and holds_product(graph, x)):
            return x, c, 1 if node.op_type == "Mul" else -1
    return None


def _dequantized(graph: Graph, node: ir.Node) -> tuple[ir.Value, ir.Value, int] | None:
    """Codes of an activation, less that of 0, times their scale. Whether that zero is theirs the product checks."""
    x, scale = graph.operands(node)[:2]
    vector = graph.width(x) is not None and graph.constant(x) is None
    return (x, scale, 1) if vector and is_scalar(graph, scale) else None


def is_row_scale(graph: Graph, value: ir.Value, depth: int = 4) -> bool:
    """Whether a value is a constant vector, or one times scalars."""
    if graph.width(value) is None:
        return False
    if graph.constant(value) is not None:
        return True
    node = graph.producer(value, "Mul", "Div", "Reciprocal") if depth else None
    return node is not None and all(
        is_scalar(graph, operand) or is_row_scale(graph, operand, depth - 1) for operand in graph.operands(node)
    )


def holds_product(graph: Graph, value: ir.Value, depth: int = 4) -> bool:
    """Whether a value is a matrix product times factors: a vector, even where it has but one row."""
    if graph.producer(value, *PRODUCTS) is not None:
        return True
    node = graph.producer(value, "Mul", "Div", "Cast") if depth else None
    return node is not None and any(holds_product(graph, operand, depth - 1) for operand in graph.operands(node))


def is_scalar(graph: Graph, value: ir.Value) -> bool:
    """Whether a value has one element."""
    return graph.width(value) == 1


@dataclass(frozen=True)
class Bounded:
    """`min(max(value, low), high)`; a bound that is missing is None."""

    value: ir.Value
    low: float | None
    high: float | None


def _clip_bound(graph: Graph, node: ir.Node, name: str, index: int) -> tuple[bool, float | None]:
    """(known, bound) of a Clip: an attribute before opset 11, an input after."""
    if (attribute := node.attributes.get(name)) is not None:
        return True, attribute.as_float()
    if (given := input_at(node, index)) is None:
        return True, None
    bound = graph.scalar(given)
    return bound is not None, bound


def _one_bound(graph: Graph, value: ir.Value) -> Bounded | None:
    if (clip := graph.producer(value, "Clip")) is not None:
        low_known, low = _clip_bound(graph, clip, "min", 1)
        high_known, high = _clip_bound(graph, clip, "max", 2)
        return Bounded(graph.operands(clip)[0], low, high) if low_known and high_known else None
    if (node := graph.producer(value, "Max", "Min")) is not None:
        for inner, bound in graph.either_way(node):
            if (number := graph.scalar(bound)) is not None:
                return Bounded(inner, number, None) if node.op_type == "Max" else Bounded(inner, None, number)
    return None


def bounded(graph: Graph, value: ir.Value) -> Bounded:
    """A value with its Clip, or Max and Min with constants, taken off."""
    lows: list[float] = []
    highs: list[float] = []
    value = graph.resolve(value)
    while (outer := _one_bound(graph, value)) is not None:
        value = outer.value
        lows += [] if outer.low is None else [outer.low]
        highs += [] if outer.high is None else [outer.high]
    return Bounded(value, max(lows, default=None), min(highs, default=None))
