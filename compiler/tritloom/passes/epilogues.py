"""Which ternary products take in the operation behind them: the engine's epilogues."""

from __future__ import annotations

from ..ir import tern
from ..ir.mlir import Operation, SSAValue
from .rewriting import single_user


def is_constant(value: SSAValue) -> bool:
    """Whether `value` is a constant of the weight store, or one number repeated."""
    return isinstance(value.owner, tern.LoadOp | tern.FillOp)


def gives_logits(op: tern.LinearOp) -> bool:
    """Whether the rows of `op` leave the model."""
    return isinstance(single_user(op.result), tern.ReturnOp)


def epilogue_of(op: tern.LinearOp) -> Operation | None:
    """The operation that `op` can take in as its epilogue."""
    user = single_user(op.result)
    if isinstance(user, tern.SwigluOp):
        return user
    if isinstance(user, tern.HgrnOp) and user.forget == op.result:
        return None if is_constant(user.input) else user
    if isinstance(user, tern.AddOp):
        other = user.rhs if user.lhs == op.result else user.lhs
        # Of two products that are added, the one computed last takes in the addition.
        later = isinstance(other.owner, tern.LinearOp) and op.is_before_in_block(other.owner)
        return None if later or is_constant(other) else user
    return None
