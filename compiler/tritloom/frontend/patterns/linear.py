"""The ternary product of a BitLinear: Gemm or MatMul of absmax codes and a ternary matrix, rescaled.

Baked exports (torch dynamo, int8 trits): `Mul(Gemm(q, Cast(T)), Div(beta, s))`. Naive exports, which quantise float
masters in the graph: `Gemm(Div(q, s), Mul(T(W), beta))`. Integer exports: MatMulInteger, int32 MatMul, then a Cast.
Counted in factors (scalars.py) all are T q times A times a constant. One constant a row becomes an elementwise product
behind a rescale of scale 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ...errors import InputError
from ...ir.mlir import SSAValue
from ...ir.tern import AddOp, DequantizeOp, DotOp, MulOp, QuantizeAbsmaxOp, QuantizeRangeOp, QuantizeStaticOp
from ..constants import Constant, constant_from
from ..emitter import Emitter
from ..encodings import Dequantized, Grid
from ..facts import Fact, Facts
from ..graph import Graph, float_attribute, input_at, int_attribute
from ..problems import Refusal, node_label
from ..scalars import PRODUCTS, Factor, factors_in_front
from ..ternary import TernarySource
from . import quantizer, range_quantizer, static_quantizer
from .base import Match
from .codes import CodesMatch, first_of, without_casts
from .ternary_weight import Found, Matrix, scale_of_base, ternary_matrix

_CODES = first_of((quantizer.match, range_quantizer.match, static_quantizer.match))
_QUANTISERS = (QuantizeAbsmaxOp, QuantizeRangeOp, QuantizeStaticOp)
_SMALLEST_SCALE = 1.5e-36
"""Rounded up: 127 times the smallest normal float32 number. The engine rescales by beta/127."""
_WEIGHTS_INSTEAD = "store int8 trits behind a Cast, floats {-s, 0, +s}, or masters with absmean quantisation"
_ZERO_INSTEAD = "give the product the quantiser's zero point, or dequantise the codes with it"
_INSTEAD = "put the absmax quantiser in front, as BitLinear does: q = round(x*s), then (T q) * beta/s"


@dataclass(frozen=True)
class Product:
    """codes x matrix, without what scales it: `factor` is all that the operands carry."""

    node: ir.Node
    codes: CodesMatch
    matrix: Matrix
    factor: Factor
    bias: Constant | None
    raw: bool
    """The node's own result is the integer sums."""


@dataclass(frozen=True, eq=False)
class LinearMatch(Match):
    product: Product
    factor: Factor
    """All that multiplies the codes' sums: their scale, and constants."""
    root: ir.Value
    """The product's own output."""

    @property
    def source(self) -> TernarySource:
        return self.product.matrix.source

    def large(self, facts: Facts) -> Sequence[Future[Any]]:
        return (facts.ask_weight(self.source),)

    def check(self, graph: Graph, facts: Facts) -> None:
        _scales(graph, self.product, self.factor, facts.ask_weight(self.source).result())

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        (codes,) = operands
        fact = emitter.facts.ask_weight(self.source).result()
        scale, row_scales = _scales(emitter.graph, self.product, self.factor, fact)
        sums = self.root if self.product.raw and np.ndim(fact.scale) == 0 and fact.scale == 1.0 else None
        weight = emitter.weight(self.source, scale)
        acc = emitter.value(DotOp(codes, weight, self.source.rows), sums)
        result = emitter.value(DequantizeOp(acc, scale_of(codes), scale))
        if row_scales is not None:
            result = emitter.value(MulOp(result, emitter.load(row_scales)))
        if self.product.bias is not None:
            result = emitter.value(AddOp(result, emitter.load(self.product.bias)))
        emitter.name(result, self.value)
        return result


def scale_of(codes: SSAValue) -> SSAValue:
    """The scale that belongs to codes."""
    if not isinstance(codes.owner, _QUANTISERS):
        raise TypeError(f"codes come from a quantiser, not from {codes.owner}")
    return codes.owner.scale


def _operands(graph: Graph, node: ir.Node) -> tuple[ir.Value, ir.Value, bool] | None:
    """(activations, matrix, the matrix is stored [in, out])."""
    a, b = graph.operands(node)[:2]
    if node.op_type == "Gemm" and int_attribute(node, "transA", 0) and graph.shape(a) != (1, 1):
        return None
    return a, b, node.op_type != "Gemm" or not int_attribute(node, "transB", 0)


def _takes_zero_off(graph: Graph, node: ir.Node, activations: ir.Value, codes: CodesMatch) -> bool:
    """Whether what is multiplied is the codes less the code of 0."""
    if node.op_type == "MatMulInteger":
        return codes.is_zero(graph, input_at(node, 2))
    levels = [graph.producer(level, "DequantizeLinear") for level, _ in factors_in_front(graph, activations)]
    zeros = [input_at(level, 2) for level in levels if level is not None]
    return all(codes.is_zero(graph, zero) for zero in zeros or [None])


def _weights(graph: Graph, node: ir.Node, operand: ir.Value, transposed: bool) -> Found:
    """The matrix of a product, less the zero point that MatMulInteger takes for it."""
    found = ternary_matrix(graph, operand, transposed)
    if node.op_type != "MatMulInteger" or not isinstance(found, Matrix):
        return found
    zero = graph.constant(input_at(node, 3))
    if input_at(node, 3) is None:
        return found
    if zero is None:
        return Refusal(node, "the zero point of its weights is computed", "store it as a constant")
    source = found.source
    grid = Grid(zero, 1, source.transposed != transposed)
    return replace(found, source=replace(source, encoding=Dequantized(source.encoding, None, grid)))


def _bias(graph: Graph, node: ir.Node) -> Constant | Refusal | None:
    """The vector that a Gemm adds; None where it adds nothing."""
    if node.op_type != "Gemm" or (given := input_at(node, 2)) is None:
        return None
    constant, beta = graph.constant(given), float_attribute(node, "beta", 1.0)
    if constant is None or constant.size not in (1, graph.width(node.outputs[0])):
        return Refusal(node, "its bias is no constant vector", "add the bias behind the product, in an Add")
    values = constant.finite_vector() * np.float32(beta)
    if not values.any():
        return None
    rows = graph.width(node.outputs[0]) or 0
    plain = beta == 1.0 and values.size == rows
    return constant if plain else constant_from(f"{constant.name}.times.{beta:g}", np.resize(values, rows))


def as_codes(graph: Graph, node: ir.Node, operand: ir.Value) -> ir.Value:
    """What a node asks for of an operand: a product for its codes, where there are any."""
    codes = _CODES(graph, without_casts(graph, operand)) if node.op_type in PRODUCTS else None
    return graph.codes(codes.value) if isinstance(codes, CodesMatch) else operand


def _product(graph: Graph, node: ir.Node) -> Product | Refusal:
    """A Gemm or MatMul as codes times a ternary matrix, or why it is none."""
    found = _operands(graph, node)
    if found is None or graph.width(node.outputs[0]) is None:
        return Refusal(
            node, "it is not one vector times a matrix", "export one decoding step, activations [1, K] first"
        )
    activations, weights, transposed = found
    *_, (inner, in_front) = factors_in_front(graph, activations)
    codes = _CODES(graph, without_casts(graph, inner))
    if isinstance(codes, Refusal):
        return codes
    matrix = _weights(graph, node, weights, transposed)
    if isinstance(matrix, Refusal):
        return matrix
    if matrix is None:
        return Refusal(node, "its weights are computed in a way that is not recognised", _WEIGHTS_INSTEAD)
    if codes is None:
        reason = "its activations are float: no absmax quantiser is in front of it"
        return Refusal(node, reason, f"{_INSTEAD}; or let --quantise-activations do so", blames=inner)
    if not _takes_zero_off(graph, node, activations, codes):
        return Refusal(node, "its activations have another zero point than their quantiser", _ZERO_INSTEAD)
    if matrix.source.cols > codes.longest:
        return Refusal(node, f"{matrix.source.cols} inputs overflow an exact sum (at most {codes.longest})", "split it")
    if isinstance(bias := _bias(graph, node), Refusal):
        return bias
    alpha = float_attribute(node, "alpha", 1.0) if node.op_type == "Gemm" else 1.0
    factor = in_front.times(matrix.factor).times(Factor(alpha))
    raw = factor.trivial and bias is None
    return Product(node, codes, matrix, factor, bias, raw)


def _rescaled(graph: Graph, product: Product, factor: Factor) -> bool:
    """Whether the sums, times `factor`, are values: what is left is the scale of the codes, and constants."""
    power = 0
    for base, exponent in factor.powers.items():
        if product.codes.is_scale(graph, base):
            power += exponent
        elif (values := scale_of_base(graph, base)) is None or values.size not in (1, product.matrix.source.rows):
            return False
    return power == int(product.codes.dynamic)


def _scales(graph: Graph, product: Product, factor: Factor, fact: Fact) -> tuple[float, Constant | None]:
    """beta, what the trits are worth: one, or 1 and one for each row. In float64, rounded to float32 once."""
    source = product.matrix.source
    whole = np.asarray(np.float64(product.codes.weight_scale(factor.coefficient)) * fact.scale)
    for base, power in factor.powers.items():
        if (values := scale_of_base(graph, base)) is not None:
            whole = whole * (values if values.size > 1 else values[0]) ** float(power)
    with np.errstate(over="ignore"):
        rows = np.broadcast_to(whole, source.rows).astype(np.float32) if whole.ndim else whole.astype(np.float32)[None]
    if whole.ndim:
        rows = np.where(fact.used_rows, rows, np.float32(1.0))
        equal = np.unique(rows[fact.used_rows])
        rows = equal if equal.size == 1 else rows
    for scale in (rows.min(), rows.max()):
        if not 0.0 < scale < np.inf:
            raise InputError(
                f"the scale of tensor '{source.constant.name}' is {scale:g} (at '{node_label(product.node)}')",
                "a weight scale must be positive and finite: look for NaN, Inf or an empty tensor in the export",
            )
    if rows.min() / np.float32(quantizer.LEVELS) < np.finfo(np.float32).tiny:
        raise InputError(
            f"the scale of tensor '{source.constant.name}' is {rows.min():g} (at '{node_label(product.node)}'):"
            " divided by 127 it is no normal float32 number",
            f"a weight scale must be at least {_SMALLEST_SCALE:g}: look for a weight that was never trained,"
            " or a scale that was divided twice",
        )
    if rows.size == 1:
        return float(rows[0]), None
    return 1.0, constant_from(f"{source.constant.name}.scales", rows)


def match(graph: Graph, value: ir.Value) -> LinearMatch | Refusal | None:
    """A product and every scalar that is multiplied to it; those behind the first value only while it has one user."""
    levels = list(factors_in_front(graph, value))
    root, outside = levels[-1]
    node = graph.producer(root, *PRODUCTS)
    if node is None:
        return None
    at_root = root is value or graph.producer(value, "Cast") is not None
    product = _product(graph, node)
    if isinstance(product, Refusal):
        return product if at_root else None
    whole = outside.times(product.factor)
    if not _rescaled(graph, product, whole):
        return _unscaled(node) if at_root else None
    found = LinearMatch(value, (graph.codes(product.codes.value),), _nodes(node, value), product, whole, root)
    if whole.coefficient == 0.0:  # nothing can be divided by it below; `check` refuses it
        return found
    inner = [level for level, _ in levels[1:] if _rescaled(graph, product, _inside(levels, level, product))]
    if not all(graph.single_use(level) for level in inner):
        return None
    if product.bias is not None and root is not value:
        return Refusal(node, "its bias is added before the rescale", "add the bias behind the rescale, in an Add")
    return found


def _inside(levels: list[tuple[ir.Value, Factor]], level: ir.Value, product: Product) -> Factor:
    """What scales the sums from the product up to `level`."""
    outer = next(factor for value, factor in levels if value is level)
    return levels[-1][1].times(outer, -1).times(product.factor)


def _nodes(product: ir.Node, value: ir.Value) -> tuple[ir.Node, ...]:
    outer = value.producer()
    return (product,) if outer is None or outer is product else (product, outer)


def _unscaled(node: ir.Node) -> Refusal:
    return Refusal(node, "its integer sums are used without the scale of their codes", _INSTEAD)
