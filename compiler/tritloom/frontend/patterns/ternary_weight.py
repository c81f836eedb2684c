"""A ternary matrix as the operand of a product.

Accepted: an int8 (or float) initialiser of trits behind Cast and Transpose; a float initialiser {-s, 0, +s}; float
masters with absmean quantisation, as torch dynamo writes it: Abs, ReduceMean, Squeeze, Clip = beta; Div, Round, Clip,
Mul by beta (legacy: Reciprocal and Mul, then Div).
Not a row of the table: `linear` asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ..constants import Constant
from ..graph import Graph, int_attribute
from ..scalars import ONE, Factor, bounded, factors_in_front, scalar_factor, scaled_by
from ..ternary import Masters, TernarySource


@dataclass(frozen=True)
class Matrix:
    """factor * T."""

    source: TernarySource
    factor: Factor


def absmean_of(graph: Graph, value: ir.Value) -> tuple[Constant, float] | None:
    """(W, floor) where a scalar is max(mean|W|, floor) of a constant."""
    floor = bounded(graph, value)
    reduce = graph.producer(floor.value, "ReduceMean")
    if reduce is None or floor.high is not None or not _reduces_all(graph, reduce):
        return None
    magnitude = graph.producer(graph.operands(reduce)[0], "Abs")
    if magnitude is None:
        return None
    weights = graph.constant(graph.operands(magnitude)[0])
    return (weights, floor.low or 0.0) if weights is not None else None


def _reduces_all(graph: Graph, node: ir.Node) -> bool:
    result = graph.shape(node.outputs[0])
    no_op = len(node.inputs) < 2 and "axes" not in node.attributes and int_attribute(node, "noop_with_empty_axes", 0)
    return result is not None and all(dim == 1 for dim in result) and not no_op


def ternary_matrix(graph: Graph, value: ir.Value, transposed: bool) -> Matrix | None:
    """The matrix that a value is; `transposed` where the product wants its transpose. Its values are not read yet."""
    factor = ONE
    while True:
        value = graph.resolve(value)
        if (constant := graph.constants.get(value)) is not None:
            numeric = constant.dtype.is_floating_point() or constant.dtype.is_integer()
            matrix = Matrix(TernarySource(constant, transposed), factor)
            return matrix if numeric and len(constant.shape) == 2 else None
        if (masters := _quantised_masters(graph, value)) is not None:
            weights, how, already = masters
            return Matrix(TernarySource(weights, transposed != already, how), factor)
        if (transpose := graph.producer(value, "Transpose")) is not None:
            perm = transpose.attributes.get("perm")
            if perm is not None and list(perm.as_ints()) != [1, 0]:
                return None
            value, transposed = graph.operands(transpose)[0], not transposed
        elif (cast := graph.producer(value, "Cast")) is not None:
            value = graph.operands(cast)[0]
        elif (step := scaled_by(graph, value)) is not None:
            value, scalar, sign = step
            factor = factor.times(scalar_factor(graph, scalar), sign)
        else:
            return None


def _quantised_masters(graph: Graph, value: ir.Value) -> tuple[Constant, Masters, bool] | None:
    """(W, how, transposed before) where a value is clamp(round(W / beta), -1, 1)."""
    trits = bounded(graph, value)
    rounding = graph.producer(trits.value, "Round")
    if rounding is None or (trits.low, trits.high) != (-1.0, 1.0):
        return None
    scaled = graph.operands(rounding)[0]
    for inner, factor in factors_in_front(graph, scaled):
        source, already = _transposed_constant(graph, inner)
        if source is None or len(source.shape) != 2 or len(factor.powers) != 1 or factor.coefficient != 1.0:
            continue
        ((beta, power),) = factor.powers.items()
        found = absmean_of(graph, beta)
        if power == -1 and found is not None and found[0] is source:
            step = scaled_by(graph, scaled)
            return source, Masters(found[1], reciprocal=step is not None and step[2] > 0), already
    return None


def _transposed_constant(graph: Graph, value: ir.Value) -> tuple[Constant | None, bool]:
    if (transpose := graph.producer(value, "Transpose")) is not None:
        return graph.constant(graph.operands(transpose)[0]), True
    return graph.constant(value), False
