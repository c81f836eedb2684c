"""The ternary product of a BitLinear: Gemm or MatMul of absmax codes and a ternary matrix, rescaled.

Baked exports (torch dynamo, int8 trits): `Mul(Gemm(q, Cast(T)), Div(beta, s))`. Naive exports, which quantise float
masters in the graph: `Gemm(Div(q, s), Mul(T(W), beta))`. Counted in factors (scalars.py) both are T q times A times a
constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...errors import InputError
from ...ir.mlir import SSAValue
from ...ir.tern import AddOp, DequantizeOp, DotOp, QuantizeAbsmaxOp
from ..constants import Constant
from ..emitter import Emitter
from ..graph import Graph, float_attribute, int_attribute
from ..problems import Refusal, node_label
from ..scalars import Factor, factors_in_front
from ..ternary import TernarySource, absmean
from . import quantizer
from .base import Match
from .ternary_weight import Matrix, absmean_of, ternary_matrix

_LONGEST_SUM = (2**24 - 1) // 127
_WEIGHTS_INSTEAD = "store int8 trits behind a Cast, floats {-s, 0, +s}, or masters with absmean quantisation"
_INSTEAD = "put the absmax quantiser in front, as BitLinear does: q = round(x*s), then (T q) * beta/s"


@dataclass(frozen=True)
class Product:
    """codes x matrix, without what scales it: `factor` is all that the operands carry."""

    node: ir.Node
    codes: quantizer.QuantizerMatch
    matrix: Matrix
    factor: Factor
    bias: Constant | None
    raw: bool
    """The node's own result is the integer sums."""


@dataclass(frozen=True, eq=False)
class LinearMatch(Match):
    source: TernarySource
    scale: float
    digest: str
    sums: ir.Value | None
    bias: Constant | None

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        (codes,) = operands
        weight = emitter.weight(self.source, self.scale, self.digest)
        acc = emitter.value(DotOp(codes, weight, self.source.rows), self.sums)
        rescale = DequantizeOp(acc, scale_of(codes), self.scale)
        if self.bias is None:
            return emitter.value(rescale, self.value)
        return emitter.value(AddOp(emitter.value(rescale), emitter.load(self.bias)), self.value)


def scale_of(codes: SSAValue) -> SSAValue:
    """The scale A that belongs to codes."""
    if not isinstance(codes.owner, QuantizeAbsmaxOp):
        raise TypeError(f"codes come from a quantiser, not from {codes.owner}")
    return codes.owner.scale


def _operands(graph: Graph, node: ir.Node) -> tuple[ir.Value, ir.Value, bool] | None:
    """(activations, matrix, the matrix is stored [in, out])."""
    a, b = graph.operands(node)[:2]
    if node.op_type == "Gemm" and int_attribute(node, "transA", 0):
        return None
    return a, b, node.op_type == "MatMul" or not int_attribute(node, "transB", 0)


def _bias(graph: Graph, node: ir.Node) -> Constant | Refusal | None:
    """The vector that a Gemm adds; None where it adds nothing."""
    if node.op_type != "Gemm" or len(node.inputs) < 3 or node.inputs[2] is None:
        return None
    constant = graph.constant(node.inputs[2])
    rows = graph.width(node.outputs[0])
    if constant is None or constant.size != rows or float_attribute(node, "beta", 1.0) != 1.0:
        return Refusal(node, "its bias is no constant vector", "add the bias behind the product, in an Add")
    return constant if np.any(constant.finite_vector()) else None


def _product(graph: Graph, node: ir.Node) -> Product | Refusal:
    """A Gemm or MatMul as codes times a ternary matrix, or why it is none."""
    found = _operands(graph, node)
    if found is None or graph.width(node.outputs[0]) is None:
        return Refusal(
            node, "it is not one vector times a matrix", "export one decoding step, activations [1, K] first"
        )
    activations, weights, transposed = found
    if (matrix := ternary_matrix(graph, weights, transposed)) is None:
        return Refusal(node, "its weights are computed in a way that is not recognised", _WEIGHTS_INSTEAD)
    *_, (inner, in_front) = factors_in_front(graph, activations)
    codes = quantizer.match(graph, inner)
    if isinstance(codes, Refusal):
        return codes
    if codes is None:
        return Refusal(node, "its activations are float: no absmax quantiser is in front of it", _INSTEAD)
    if matrix.source.cols > _LONGEST_SUM:
        return Refusal(node, f"{matrix.source.cols} inputs overflow an exact sum (at most {_LONGEST_SUM})", "split it")
    if isinstance(bias := _bias(graph, node), Refusal):
        return bias
    alpha = float_attribute(node, "alpha", 1.0) if node.op_type == "Gemm" else 1.0
    factor = in_front.times(matrix.factor).times(Factor(alpha))
    raw = factor.trivial and bias is None
    return Product(node, codes, matrix, factor, bias, raw)


def _rescaled(graph: Graph, product: Product, factor: Factor) -> bool:
    """Whether the sums, times `factor`, are values: what is left is A, and scales that are constants."""
    left = {base: power for base, power in factor.powers.items() if absmean_of(graph, base) is None}
    return left == {product.codes.absmax: 1}


def _weight_scale(graph: Graph, product: Product, factor: Factor, stored: float) -> float:
    """beta: what the trits are worth, rounded to float32."""
    beta = factor.coefficient * quantizer.LEVELS * stored
    for base, power in factor.powers.items():
        if (masters := absmean_of(graph, base)) is not None:
            beta *= absmean(masters[0].load(), masters[1]) ** power
    scale = float(np.float32(beta))
    if not 0.0 < scale < float("inf"):
        raise InputError(
            f"the scale of tensor '{product.matrix.source.constant.name}' is {scale:g}"
            f" (at '{node_label(product.node)}')",
            "a weight scale must be positive and finite: look for NaN, Inf or an empty tensor in the export",
        )
    return scale


def match(graph: Graph, value: ir.Value) -> LinearMatch | Refusal | None:
    """A product and every scalar that is multiplied to it; those behind the first value only while it has one user."""
    levels = list(factors_in_front(graph, value))
    root, outside = levels[-1]
    node = graph.producer(root, "Gemm", "MatMul")
    if node is None:
        return None
    product = _product(graph, node)
    if isinstance(product, Refusal):
        return product if root is value else None
    whole = outside.times(product.factor)
    if not _rescaled(graph, product, whole):
        return _unscaled(node) if root is value else None
    source = product.matrix.source
    stored, digest = graph.ternary_facts(source)
    scale = _weight_scale(graph, product, whole, stored)
    inner = [level for level, _ in levels[1:] if _rescaled(graph, product, _inside(levels, level, product))]
    if not all(graph.single_use(level) for level in inner):
        return None
    if product.bias is not None and root is not value:
        return Refusal(node, "its bias is added before the rescale", "add the bias behind the rescale, in an Add")
    sums = root if product.raw and stored == 1.0 else None
    codes = (product.codes.value,)
    return LinearMatch(value, codes, _nodes(node, value), source, scale, digest, sums, product.bias)


def _inside(levels: list[tuple[ir.Value, Factor]], level: ir.Value, product: Product) -> Factor:
    """What scales the sums from the product up to `level`."""
    outer = next(factor for value, factor in levels if value is level)
    return levels[-1][1].times(outer, -1).times(product.factor)


def _nodes(product: ir.Node, value: ir.Value) -> tuple[ir.Node, ...]:
    outer = value.producer()
    return (product,) if outer is None or outer is product else (product, outer)


def _unscaled(node: ir.Node) -> Refusal:
    return Refusal(node, "its integer sums are used without the scale of their codes", _INSTEAD)
