"""Join product and rescale: a ternary product is an instruction whose output is already a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.mlir import Context, ModuleOp, ModulePass, PatternRewriter, RewritePattern, op_type_rewrite_pattern
from ..ir.tern import DequantizeOp, DotOp, LinearOp, is_scale_of, length_of, weight
from .rewriting import apply_patterns, replace
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


@dataclass(frozen=True)
class FuseQuantizeLinear(ModulePass):
    """Fuse a ternary product with the rescale behind it.

    Before:
        %acc = tern.dot %codes {weight = @w}
        %y = tern.dequantize %acc, %scale {weight_scale = 0.02 : f32}
    After:
        %y = tern.linear %codes, %scale {weight = @w}
    """

    name: ClassVar[str] = "fuse-quantize-linear"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_tern(op, self.name)
        apply_patterns(op, JoinRescale())
