"""Order the instructions: each quantiser directly before the first product that reads its codes.

The order decides how long codes and vectors live, and it is the order of the weights in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir import engine
from ..ir.mlir import Block, Context, ModuleOp, ModulePass, Operation
from .rewriting import model_of


def _position(block: Block) -> dict[Operation, int]:
    return {op: index for index, op in enumerate(block.ops)}


def _sink(block: Block, op: engine.QuantizeOp) -> None:
    """Move `op` down to its first user, unless another quantiser with statistics would come between it and the norm
    it shares: the engine keeps one norm factor."""
    order = _position(block)
    users = [use.operation for result in op.results for use in result.uses]
    if not users:
        return
    target = min(users, key=lambda user: order[user])
    between = [other for other in block.ops if order[op] < order[other] < order[target]]
    if any(isinstance(other, engine.QuantizeOp) and other.norm is None for other in between):
        return
    op.detach()
    block.insert_op_before(op, target)


@dataclass(frozen=True)
class Schedule(ModulePass):
    """Fix the order of the instructions, codes living as briefly as possible.

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
        block = model_of(op).body.block
        for found in reversed([found for found in block.ops if isinstance(found, engine.QuantizeOp)]):
            _sink(block, found)
