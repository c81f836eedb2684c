"""RMSNorm: `x / sqrt(mean(x^2) + eps) * gain`.

torch.onnx.export (dynamo) writes Pow(x, 2), ReduceMean, Add, Sqrt, Reciprocal, Mul, Mul; the legacy exporter writes Div
for the last but one; both write Mul(x, x) where the model did. Common subexpressions may be shared: one core,
several gains. An optimiser may have taken the epsilon away. From opset 23 there is RMSNormalization; onnxruntime's
SimplifiedLayerNormalization and SkipSimplifiedLayerNormalization are written out by contrib.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import RmsNormOp
from ..constants import Constant
from ..emitter import Emitter
from ..graph import Graph, float_attribute, int_attribute, reduces_last_axis
from ..problems import Refusal
from ..scalars import is_scalar
from .base import Match

_RELATIVE = 1e-6


@dataclass(frozen=True)
class Root:
    """`(mean(x^2) + eps) ** (power / 2)`: power 1 for the root, -1 for its reciprocal."""

    x: ir.Value
    eps: float
    power: int
    node: ir.Node


@dataclass(frozen=True, eq=False)
class RmsNormMatch(Match):
    gain: Constant | None
    eps: float

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        (x,) = operands
        length = emitter.graph.width(self.value) or 0
        gain = emitter.vector(self.gain) if self.gain is not None else emitter.ones(length)
        return emitter.value(RmsNormOp(x, gain, self.eps), self.value)


def _squared(graph: Graph, value: ir.Value) -> ir.Value | None:
    """x where a value is x^2."""
    if (power := graph.producer(value, "Pow")) is not None:
        x, exponent = graph.operands(power)
        return x if graph.scalar(exponent) == 2.0 else None
    if (mul := graph.producer(value, "Mul")) is not None:
        a, b = graph.operands(mul)
        return a if a is b else None
    return None


def _mean_square(graph: Graph, value: ir.Value) -> tuple[ir.Value, float] | None:
    """(x, eps) where a value is mean(x^2) + eps; eps is 0 where an optimiser took it away (`match` checks it)."""
    if (x := _mean_of_squares(graph, value)) is not None:
        return x, 0.0
    if (add := graph.producer(value, "Add")) is None:
        return None
    for mean, eps in graph.either_way(add):
        number, x = graph.scalar(eps), _mean_of_squares(graph, mean)
        if number is not None and x is not None:
            return x, number
    return None


def _mean_of_squares(graph: Graph, value: ir.Value) -> ir.Value | None:
    """x where a value is mean(x^2), or the sum of the squares divided by their number."""
    reduce = graph.producer(value, "ReduceMean")
    if reduce is not None:
        return _squared(graph, graph.operands(reduce)[0]) if reduces_last_axis(graph, reduce) else None
    if (node := graph.producer(value, "Mul", "Div")) is None or not is_scalar(graph, value):
        return None
    total, number = graph.operands(node)
    if node.op_type == "Mul" and graph.scalar(total) is not None:
        total, number = number, total
    reduce, count = graph.producer(total, "ReduceSum", "ReduceSumSquare"), graph.scalar(number)
    if reduce is None or not count or not reduces_last_axis(graph, reduce):
        return None
    inner = graph.operands(reduce)[0]
    x = inner if reduce.op_type == "ReduceSumSquare" else _squared(graph, inner)
    width = graph.width(x) if x is not None else None
    exact = width is not None and abs((count if node.op_type == "Div" else 1.0 / count) / width - 1.0) < _RELATIVE
    return x if exact else None


def root_of(graph: Graph, value: ir.Value) -> Root | None:
    """A value as the root of a mean square, or its reciprocal."""
    power, inner = 1, value
    if (reciprocal := graph.producer(value, "Reciprocal")) is not None:
        power, inner = -1, graph.operands(reciprocal)[0]
    elif (div := graph.producer(value, "Div")) is not None and graph.scalar(graph.operands(div)[0]) == 1.0:
        power, inner = -1, graph.operands(div)[1]
    if (node := graph.producer(inner, "Sqrt")) is not None:
        argument = graph.operands(node)[0]
    elif (node := graph.producer(inner, "Pow")) is not None:
        argument, exponent = graph.operands(node)
        if (number := graph.scalar(exponent)) not in (0.5, -0.5):
            return None
        power = power if number == 0.5 else -power
    else:
        return None
    if (found := _mean_square(graph, argument)) is None:
        return None
    return Root(found[0], found[1], power, node)


def _factors(graph: Graph, value: ir.Value, stop: ir.Value, depth: int = 3) -> Iterator[tuple[ir.Value, int]]:
    """Factors of a product with their powers (1 or -1), not looking into `stop`."""
    node = graph.producer(value, "Mul", "Div") if depth and value is not stop else None
    if node is None or root_of(graph, value) is not None:
        yield value, 1
        return
    first, second = graph.operands(node)
    yield from _factors(graph, first, stop, depth - 1)
    sign = 1 if node.op_type == "Mul" else -1
    for factor, power in _factors(graph, second, stop, depth - 1):
        yield factor, sign * power


def _nearby_root(graph: Graph, value: ir.Value, depth: int = 3) -> Root | None:
    """The root among the factors of a value: the one nearest to it."""
    level = [value]
    for _ in range(depth):
        below: list[ir.Value] = []
        for candidate in level:
            if (node := graph.producer(candidate, "Mul", "Div")) is not None:
                below.extend(graph.operands(node))
        for candidate in below:
            if graph.width(candidate) == 1 and (root := root_of(graph, candidate)) is not None:
                return root
        level = below
    return None


class _Norm(Protocol):
    @property
    def eps(self) -> float: ...


_NormMatch = TypeVar("_NormMatch", bound=_Norm)


def checked_epsilon(node: ir.Node, found: _NormMatch) -> _NormMatch | Refusal:
    """A norm, if its epsilon is one."""
    if 0.0 <= found.eps < math.inf:
        return found
    reason = f"the epsilon of its norm is {found.eps:g}; it must be zero or positive"
    return Refusal(node, reason, "set the epsilon of the norm to a small positive number, such as 1e-6")


def _match_fused(graph: Graph, value: ir.Value) -> RmsNormMatch | Refusal | None:
    node = graph.producer(value, "RMSNormalization")
    if node is None:
        return None
    x, gain = graph.operands(node)[:2]
    shape, constant = graph.shape(x), graph.constant(gain)
    axis = int_attribute(node, "axis", -1)
    if shape is None or constant is None or axis % len(shape) != len(shape) - 1 or constant.size != shape[-1]:
        return None
    return checked_epsilon(node, RmsNormMatch(value, (x,), (node,), constant, float_attribute(node, "epsilon", 1e-5)))


def _same(graph: Graph, a: ir.Value, b: ir.Value) -> bool:
    """Whether two values are one: a layer norm written out may take its mean off twice."""
    first, second = graph.producer(a, "Sub"), graph.producer(b, "Sub")
    twice = first is not None and second is not None and graph.operands(first) == graph.operands(second)
    return a is b or twice


def match(graph: Graph, value: ir.Value) -> RmsNormMatch | Refusal | None:
    """A product of x, of 1/rms(x), and of a constant vector (or of none)."""
    width = graph.width(value)
    if width is None or width == 1:
        return None
    if (fused := _match_fused(graph, value)) is not None:
        return fused
    node = graph.producer(value, "Mul", "Div")
    root = _nearby_root(graph, value) if node is not None else None
    if node is None or root is None:
        return None
    x, inverse, gains = 0, 0, []
    for factor, power in _factors(graph, value, root.x):
        if _same(graph, factor, root.x):
            x += power
        elif (other := root_of(graph, factor)) is not None and other.x is root.x and other.eps == root.eps:
            inverse += power * other.power
        elif (constant := graph.constant(factor)) is not None and power == 1:
            gains.append(constant)
        else:
            return None
    if (x, inverse) != (1, -1) or len(gains) > 1 or any(gain.size != width for gain in gains):
        return None
    gain = gains[0] if gains else None
    return checked_epsilon(node, RmsNormMatch(value, (root.x,), (root.node, node), gain, root.eps))
