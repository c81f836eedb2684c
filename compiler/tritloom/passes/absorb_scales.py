"""Absorb a positive factor in front of a norm into its epsilon: RMSNorm(c*a; eps) = RMSNorm(a; eps/c^2), exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

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
from .stages import need_tern

_SMALLEST: Final = 2.0**-126
_LARGEST: Final = (2.0 - 2.0**-23) * 2.0**127


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


def _divided(eps: float, c: float) -> float | None:
    """eps/c^2, if that is a normal float32 or 0."""
    quotient = eps / c / c
    return quotient if eps == 0.0 or _SMALLEST <= quotient <= _LARGEST else None


@dataclass
class AbsorbIntoNorm(RewritePattern):
    """rms_norm(c*a)."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: RmsNormOp, rewriter: PatternRewriter) -> None:
        if (found := _scaled(op.operand)) is None:
            return
        a, c = found
        if (eps := _divided(op.eps.value.data, c)) is not None:
            replace(rewriter, op, RmsNormOp(a, op.gain.root_reference.data, eps))


@dataclass
class AbsorbIntoQuantizer(RewritePattern):
    """norm_quantize(c*a): the first epsilon alone, since a second norm sees the output of the first."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: NormQuantizeOp, rewriter: PatternRewriter) -> None:
        if (found := _scaled(op.a)) is None:
            return
        a, c = found
        if (eps0 := _divided(op.eps0.value.data, c)) is None:
            return
        new = NormQuantizeOp(
            a,
            op.gain.root_reference.data,
            eps0,
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
        need_tern(op, self.name)
        apply_patterns(op, AbsorbIntoNorm(), AbsorbIntoQuantizer())
