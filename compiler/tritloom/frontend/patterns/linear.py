"""The ternary product of a BitLinear: Gemm or MatMul of absmax codes and a ternary matrix, rescaled.

Baked exports (torch dynamo, int8 trits): `Mul(Gemm(q, Cast(T)), Div(beta, s))`. Naive exports, which quantise float
masters in the graph: `Gemm(Div(q, s), Mul(T(W), beta))`. Counted in factors (scalars.py) both are T q times A times a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...errors import InputError
from ...ir.mlir import SSAValue
from ...ir.tern import AddOp, DequantizeOp, DotOp
from ..constants import Constant
from ..emitter import Emitter
from ..graph import Graph, float_attribute, int_attribute
from ..problems import Refusal, node_label
from ..scalars import ONE, Factor, factors_in_front
from ..ternary import TernarySource, absmean
from . import quantizer
from .base import Match
from .ternary_weight import Matrix, absmean_of, ternary_matrix

_LONGEST_SUM = (2**24 - 1) // 127
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
    sums: ir.Value | None
    bias: Constant | None

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        (codes,) = operands
        weight = emitter.weight(self.source, self.scale)
        acc = emitter.value(DotOp(codes, weight, self.source.rows), self.sums)
        step = codes.owner.results[1] if not isinstance(codes.owner, type(emitter.model.body.block)) else codes
        rescale = DequantizeOp(acc, step, self.scale)
        if self.bias is None:
            return emitter.value(rescale, self.value)
        return emitter.value(AddOp(emitter.value(rescale), emitter.load(self.bias)), self.value)
