"""Join product, rescale, scales and bias of the rows: an instruction whose output is already a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.mlir import (
    Context,
    ModuleOp,
    ModulePass,
    PatternRewriter,
    RewritePattern,
    SymbolRefAttr,
    op_type_rewrite_pattern,
)
from ..ir.tern import AddOp, DequantizeOp, DotOp, LinearOp, LoadOp, MulOp, is_scale_of, length_of, weight
from .rewriting import apply_patterns, replace, single_user
from .stages import need_tern


@dataclass
class JoinRescale(RewritePattern):
    """dequantize(dot(codes)) -> linear, where the scales are those of the codes and of the weight."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DequantizeOp, rewriter: PatternRewriter) -> None:
        dot = op.acc.owner
        if not isinstance(dot, DotOp) or weight(dot, dot.weight).scale != op.weight_scale:
            return
        if not is_scale_of(op.scale, dot.codes):
            return
        name = dot.weight.root_reference.data
        replace(rewriter, op, LinearOp(dot.codes, op.scale, name, length_of(op.result)), fused=(dot,))


def _with_constant(op: MulOp | AddOp) -> tuple[LinearOp, SymbolRefAttr] | None:
    """(product, vector) where a product that nothing else uses meets a constant vector."""
    for product, constant in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        linear, load = product.owner, constant.owner
        if isinstance(linear, LinearOp) and isinstance(load, LoadOp) and single_user(product) is op:
            return linear, load.vector
    return None


def _joined(
    rewriter: PatternRewriter,
    op: MulOp | AddOp,
    linear: LinearOp,
    row_scales: SymbolRefAttr | None,
    bias: SymbolRefAttr | None,
) -> None:
    name, rows = linear.weight.root_reference.data, length_of(op.result)
    new = LinearOp(linear.codes, linear.scale, name, rows, row_scales, bias)
    replace(rewriter, op, new, fused=(linear,))


@dataclass
class JoinRowScales(RewritePattern):
    """mul(linear, load) -> linear with scales of its rows."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: MulOp, rewriter: PatternRewriter) -> None:
        if (found := _with_constant(op)) is not None:
            linear, vector = found
            if linear.row_scales is None and linear.bias is None:
                _joined(rewriter, op, linear, vector, None)


@dataclass
class JoinBias(RewritePattern):
    """add(linear, load) -> linear with a bias."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: AddOp, rewriter: PatternRewriter) -> None:
        if (found := _with_constant(op)) is not None:
            linear, vector = found
            if linear.bias is None:
                _joined(rewriter, op, linear, linear.row_scales, vector)


@dataclass(frozen=True)
class FuseQuantizeLinear(ModulePass):
    """Fuse a ternary product with the rescale, the scales of rows and the bias behind it.

    Before:
        %acc = tern.dot %codes {weight = @w}
        %x = tern.dequantize %acc, %scale {weight_scale = 0.02 : f32}
        %b = tern.load @b
        %y = tern.add %x, %b
    After:
        %y = tern.linear %codes, %scale {weight = @w, bias = @b}
    """

    name: ClassVar[str] = "fuse-quantize-linear"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_tern(op, self.name)
        apply_patterns(op, JoinRescale(), JoinRowScales(), JoinBias())
