"""Fuse the elementwise chains of the token mixer and of the channel mixer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..ir.bindings import bind, bound_tensor
from ..ir.mlir import (
    Context,
    ModuleOp,
    ModulePass,
    PatternRewriter,
    RewritePattern,
    SSAValue,
    op_type_rewrite_pattern,
)
from ..ir.store import WeightStore
from ..ir.tern import (
    AddOp,
    FillOp,
    HgrnOp,
    LoadOp,
    MulOp,
    RecurrenceOp,
    SigmoidOp,
    SiluOp,
    SliceOp,
    SubOp,
    SwigluOp,
    length_of,
)
from .context import compiler_context
from .rewriting import apply_patterns, module_of, replace
from .stages import need_tern


@dataclass
class FuseSwiglu(RewritePattern):
    """`silu(x[:n]) * x[n:]` -> swiglu(x)."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: MulOp, rewriter: PatternRewriter) -> None:
        for silu, v in ((op.lhs.owner, op.rhs.owner), (op.rhs.owner, op.lhs.owner)):
            if not isinstance(silu, SiluOp) or not isinstance(v, SliceOp):
                continue
            u = silu.operand.owner
            if not isinstance(u, SliceOp) or u.operand != v.operand:
                continue
            n = length_of(op.result)
            if (u.offset.value.data, v.offset.value.data, length_of(u.operand)) == (0, n, 2 * n):
                replace(rewriter, op, SwigluOp(u.operand), fused=(silu,))
                return


@dataclass
class ForgetGate:
    """`f = sigmoid(x)`, or `f = lower + (1 - lower)*sigmoid(x)`."""

    argument: SSAValue
    lower: str | None


def _one_minus(value: SSAValue) -> SSAValue | None:
    """f where `value` is 1 - f."""
    sub = value.owner
    if isinstance(sub, SubOp) and isinstance(one := sub.lhs.owner, FillOp) and one.value.value.data == 1.0:
        return sub.rhs
    return None


@dataclass
class FuseHgrn(RewritePattern):
    """The gates, the recurrence and the SiLU behind it -> hgrn."""

    store: WeightStore

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: RecurrenceOp, rewriter: PatternRewriter) -> None:
        gate, silu_input = self._forget_gate(op.forget), self._input_gate(op)
        users = [use.operation for use in op.result.uses]
        if gate is None or silu_input is None or not users or not all(isinstance(user, SiluOp) for user in users):
            return
        new = HgrnOp(gate.argument, silu_input, op.state, gate.lower)
        state, result = bound_tensor(op.next_state) or bound_tensor(op.result), bound_tensor(users[0].results[0])
        replace(rewriter, op, new, [new.next_state, new.result], fused=users)
        bind(new, [state or "", result or ""])
        for user in users:
            rewriter.replace(user, [], [new.result])

    def _input_gate(self, op: RecurrenceOp) -> SSAValue | None:
        """i where the recurrence's input is silu(i) * (1 - f)."""
        if not isinstance(mul := op.input.owner, MulOp):
            return None
        for silu, complement in ((mul.lhs.owner, mul.rhs), (mul.rhs.owner, mul.lhs)):
            if isinstance(silu, SiluOp) and _one_minus(complement) == op.forget:
                return silu.operand
        return None

    def _forget_gate(self, value: SSAValue) -> ForgetGate | None:
        if isinstance(value.owner, SigmoidOp):
            return ForgetGate(value.owner.operand, None)
        if not isinstance(add := value.owner, AddOp):
            return None
        for lower, scaled in ((add.lhs.owner, add.rhs.owner), (add.rhs.owner, add.lhs.owner)):
            if not isinstance(lower, LoadOp) or not isinstance(scaled, MulOp):
                continue
            for sigmoid, rest in ((scaled.lhs.owner, scaled.rhs), (scaled.rhs.owner, scaled.lhs)):
                if isinstance(sigmoid, SigmoidOp) and self._complements(lower, rest):
                    return ForgetGate(sigmoid.operand, lower.vector.root_reference.data)
        return None

    def _complements(self, lower: LoadOp, rest: SSAValue) -> bool:
        """Whether `rest` is 1 - lower, as a computation or as a constant with those values."""
        if (subtracted := _one_minus(rest)) is not None:
            return isinstance(load := subtracted.owner, LoadOp) and load.vector == lower.vector
        if not isinstance(other := rest.owner, LoadOp):
            return False
        module = module_of(lower)
        bound = self.store.vector(module, lower.vector.root_reference.data)
        return bool(
            np.array_equal(np.float32(1.0) - bound, self.store.vector(module, other.vector.root_reference.data))
        )


@dataclass(frozen=True)
class FuseGates(ModulePass):
    """Fuse the gates of the token mixer (hgrn) and of the channel mixer (swiglu).

    Before:
        %u = tern.slice %x {offset = 0 : i64}
        %v = tern.slice %x {offset = 1024 : i64}
        %s = tern.silu %u
        %y = tern.mul %s, %v
    After:
        %y = tern.swiglu %x
    """

    name: ClassVar[str] = "fuse-gates"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_tern(op, self.name)
        apply_patterns(op, FuseSwiglu(), FuseHgrn(compiler_context(ctx).store))
