"""Fold the RMSNorms in front of a quantiser into it (DESIGN: folding the double norm).

With u = x*w1*w2 and A = max|u|, the codes are round(u * 127/A) whatever positive factor the norms apply, so they need
no square root; the factor joins the scale at the output.
"""

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
from ..ir.tern import MulOp, NormQuantizeOp, QuantizeAbsmaxOp, RmsNormOp, SigmoidOp, SiluOp
from .rewriting import apply_patterns, model_of, product_vector, replace
from .stages import need_tern


def _name(norm: RmsNormOp) -> str:
    return norm.gain.root_reference.data


def _normed_product(value: SSAValue) -> tuple[RmsNormOp, SSAValue] | None:
    """(norm, b) where `value` is norm * b."""
    if isinstance(mul := value.owner, MulOp):
        for norm, b in ((mul.lhs.owner, mul.rhs), (mul.rhs.owner, mul.lhs)):
            if isinstance(norm, RmsNormOp):
                return norm, b
    return None


@dataclass
class GatherSilu(RewritePattern):
    """`(n * h) * sigmoid(h)` -> `n * silu(h)`."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: MulOp, rewriter: PatternRewriter) -> None:
        for product, gate in ((op.lhs.owner, op.rhs.owner), (op.rhs.owner, op.lhs.owner)):
            if not isinstance(product, MulOp) or not isinstance(gate, SigmoidOp):
                continue
            for n, h in ((product.lhs, product.rhs), (product.rhs, product.lhs)):
                if h == gate.operand:
                    silu = SiluOp(h)
                    rewriter.insert(silu)
                    replace(rewriter, op, MulOp(n, silu.result), fused=(product, gate))
                    return


@dataclass
class FoldNorms(RewritePattern):
    """quantize_absmax of one norm, of two norms, or of two norms with a product between them."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: QuantizeAbsmaxOp, rewriter: PatternRewriter) -> None:
        inner = op.operand.owner
        if not isinstance(inner, RmsNormOp):
            return
        outer, b = inner.operand.owner, None
        if (product := _normed_product(inner.operand)) is not None:
            outer, b = product
        if isinstance(outer, RmsNormOp):
            new = NormQuantizeOp(
                outer.operand,
                product_vector(op, (_name(outer), _name(inner))),
                outer.eps.value.data,
                b=b,
                first_gain=_name(outer),
                eps1=inner.eps.value.data,
            )
            fused: tuple[RmsNormOp, ...] = (outer, inner)
        else:
            new = NormQuantizeOp(inner.operand, _name(inner), inner.eps.value.data)
            fused = (inner,)
        replace(rewriter, op, new, [new.codes, new.scale], fused)


def share_statistics(module: ModuleOp) -> None:
    """Let quantisers of one vector, behind one first norm, share the norm factor of the first of them."""
    first: dict[tuple[object, ...], NormQuantizeOp] = {}
    for op in list(model_of(module).body.block.ops):
        if not isinstance(op, NormQuantizeOp) or op.norm is not None:
            continue
        owner = first.setdefault((op.a, op.b, op.first_gain, op.eps0, op.eps1), op)
        if owner is not op:
            shared = NormQuantizeOp(
                op.a,
                op.gain.root_reference.data,
                op.eps0.value.data,
                b=op.b,
                first_gain=op.first_gain.root_reference.data if op.first_gain else None,
                eps1=op.eps1.value.data if op.eps1 else None,
                norm=owner.factor,
            )
            replace(PatternRewriter(op), op, shared)


@dataclass(frozen=True)
class FuseNorm(ModulePass):
    """Fold RMSNorms into the quantiser behind them.

    Before:
        %1 = tern.rms_norm %0 {gain = @w1, eps = 1.0e-06 : f32}
        %2 = tern.rms_norm %1 {gain = @w2, eps = 1.0e-06 : f32}
        %codes, %scale = tern.quantize_absmax %2
    After:
        %codes, %scale, %norm = tern.norm_quantize %0 {gain = @w1.times.w2, first_gain = @w1, eps0 = ..., eps1 = ...}
    """

    name: ClassVar[str] = "fuse-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_tern(op, self.name)
        apply_patterns(op, GatherSilu(), FoldNorms())
        share_statistics(op)
