"""Order the instructions: each quantiser directly before the first product that reads its codes.

The order decides how long codes and vectors live, and it is the order of the weights in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir import engine
from ..ir.mlir import Block, Context, ModuleOp, ModulePass, Operation, SSAValue
from .rewriting import model_of
from .stages import need_instructions, need_no_places


def _position(block: Block) -> dict[Operation, int]:
    return {op: index for index, op in enumerate(block.ops)}


def _sink(block: Block, op: engine.Quantizer) -> None:
    """Move `op` down to its first user, unless other statistics would come between it and the norm that it shares: the
    engine keeps one factor."""
    order = _position(block)
    users = [use.operation for result in op.results for use in result.uses]
    if not users:
        return
    target = min(users, key=lambda user: order[user])
    between = [other for other in block.ops if order[op] < order[other] < order[target]]
    if isinstance(op, engine.QuantizeOp) and any(engine.fills_register(other) for other in between):
        return
    block.insert_op_before(block.detach_op(op), target)


def _gathering(block: Block, op: engine.QuantizeOp, norm: SSAValue) -> SSAValue:
    """Replace `op`, which shares `norm`, by one that gathers the same statistics; those behind it share its factor."""
    new = engine.QuantizeOp(op.a, op.b, None, op.gain, op.first_gain, op.eps0, op.eps1)
    new.attributes.update(op.attributes)
    new.location = op.location
    block.insert_op_before(new, op)
    for use in list(norm.uses):
        if new.is_before_in_block(use.operation):
            use.operation.operands[use.index] = new.factor
    op.codes.replace_all_uses_with(new.codes)
    new.codes.name_hint = op.codes.name_hint
    block.erase_op(op)
    return new.factor


def _own_statistics(block: Block) -> None:
    """Let a quantiser gather its statistics anew where the register holds another norm factor by then."""
    register: SSAValue | None = None
    for op in list(block.ops):
        if isinstance(op, engine.ReduceOp):
            register = op.factor
        if not isinstance(op, engine.QuantizeOp):
            continue
        if op.norm is None:
            register = op.factor
        elif op.norm != register:
            register = _gathering(block, op, op.norm)


@dataclass(frozen=True)
class Schedule(ModulePass):
    """Fix the order of the instructions, codes living as briefly as possible.

    A quantiser whose shared norm factor has been overwritten by then gathers its statistics anew.

    Before:
        %c0, %n = engine.quantize %x ...
        %c1, %m = engine.quantize %x norm %n ...
        %y0 = engine.linear %c0 ...
        %y1 = engine.linear %c1 ...
    After:
        %c0, %n = engine.quantize %x ...
        %y0 = engine.linear %c0 ...
        %c1, %m = engine.quantize %x norm %n ...
        %y1 = engine.linear %c1 ...
    """

    name: ClassVar[str] = "schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_instructions(op, self.name)
        need_no_places(op, self.name)
        block = model_of(op).body.block
        for found in reversed([found for found in block.ops if isinstance(found, engine.QUANTIZERS)]):
            _sink(block, found)
        _own_statistics(block)
