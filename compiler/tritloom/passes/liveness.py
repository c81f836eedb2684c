"""Where vectors and codes lie, and for how long: first-fit allocation over the order of the instructions."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import engine
from ..ir.mlir import ModuleOp, Operation, SSAValue
from .rewriting import model_of

ALIGNMENT = 16


def aligned(length: int) -> int:
    """`length` rounded up to a multiple of 16 floats."""
    return -(-length // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `size` units, from the instruction that writes it to the last one that reads it."""

    value: SSAValue
    size: int
    start: int
    end: int

    def overlaps(self, other: Lifetime) -> bool:
        return self.start <= other.end and other.start <= self.end


def _root_uses(value: SSAValue) -> list[Operation]:
    """Operations that read `value`, also through views."""
    users: list[Operation] = []
    for use in value.uses:
        user = use.operation
        users.extend(_root_uses(user.result) if isinstance(user, engine.ViewOp) else [user])
    return users


def lifetimes(module: ModuleOp, kind: type[engine.VectorType] | type[engine.CodesType]) -> list[Lifetime]:
    """Lifetimes of the buffers of one kind: vectors in floats, codes in slots.

    A result lives from its own instruction on, so it never shares memory with an operand of that instruction: the
    engine writes results while it still reads operands.
    """
    block = model_of(module).body.block
    order = {op: index for index, op in enumerate(block.ops)}
    found: list[Lifetime] = []
    for op, index in order.items():
        if isinstance(op, engine.ViewOp):
            continue
        for result in op.results:
            if isinstance(result.type, kind):
                end = max((order[user] for user in _root_uses(result)), default=index)
                size = aligned(engine.engine_length(result)) if kind is engine.VectorType else 1
                found.append(Lifetime(result, size, index, end))
    return found


def first_fit(buffers: list[Lifetime]) -> dict[SSAValue, int]:
    """Address of every buffer, none of which overlaps another while both live."""
    placed: list[tuple[Lifetime, int]] = []
    for buffer in buffers:
        address = 0
        for other, start in sorted(((o, a) for o, a in placed if o.overlaps(buffer)), key=lambda pair: pair[1]):
            if start >= address + buffer.size:
                break
            address = max(address, start + other.size)
        placed.append((buffer, address))
    return {buffer.value: address for buffer, address in placed}


def peak(buffers: list[Lifetime], addresses: dict[SSAValue, int]) -> int:
    """Units that the buffers need."""
    return max((addresses[buffer.value] + buffer.size for buffer in buffers), default=0)
