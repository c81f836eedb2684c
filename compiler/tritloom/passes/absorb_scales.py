"""Absorb a positive factor in front of a norm into its epsilon: RMSNorm(c*a; eps) = RMSNorm(a; eps/c^2), exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.mlir import (
    Context,
    ModuleOp,
    ModulePass,
    PatternRewriter,
    RewritePattern,
    SSAValue,
    op_type_rewrite_pattern,
)
from ..ir.tern import DivOp, FillOp, MulOp, NormQuantizeOp, RmsNormOp
from .rewriting import apply_patterns, replace


def _scaled(value: SSAValue) -> tuple[SSAValue, float] | None:
    """(a, c) where `value` is c*a with a constant c > 0."""
    product = value.owner
    if isinstance(product, MulOp):
        for fill, a in ((product.lhs.owner, product.rhs), (product.rhs.owner, product.lhs)):
            if isinstance(fill, FillOp) and fill.value.value.data > 0.0:
                return a, fill.value.value.data
    if isinstance(product, DivOp) and isinstance(fill := product.rhs.owner, FillOp) and fill.value.value.data > 0.0:
        return product.lhs, 1.0 / fill.value.value.data
    return None


@dataclass
class AbsorbIntoNorm(RewritePattern):
    """rms_norm(c*a)."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: RmsNormOp, rewriter: PatternRewriter) -> None:
        if (found := _scaled(op.operand)) is None:
            return
        a, c = found
        replace(rewriter, op, RmsNormOp(a, op.gain.root_reference.data, op.eps.value.data / (c * c)))


@dataclass
class AbsorbIntoQuantizer(RewritePattern):
    """norm_quantize(c*a): both epsilons, since the second norm sees the first one's output."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: NormQuantizeOp, rewriter: PatternRewriter) -> None:
        if (found := _scaled(op.a)) is None:
            return
        a, c = found
        new = NormQuantizeOp(
            a,
            op.gain.root_reference.data,
            op.eps0.value.data / (c * c),
            b=op.b,
            first_gain=op.first_gain.root_reference.data if op.first_gain else None,
            eps1=op.eps1.value.data if op.eps1 else None,
            norm=op.norm,
        )
        replace(rewriter, op, new)


@dataclass(frozen=True)
class AbsorbScales(ModulePass):
    """Absorb a scalar that the next norm cancels.

    Before:
        %c = tern.fill 2.0 : f32
        %1 = tern.mul %0, %c
        %2 = tern.rms_norm %1 {gain = @w, eps = 1.0e-06 : f32}
    After:
        %2 = tern.rms_norm %0 {gain = @w, eps = 2.5e-07 : f32}
    """

    name: ClassVar[str] = "absorb-scales"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, AbsorbIntoNorm(), AbsorbIntoQuantizer())
