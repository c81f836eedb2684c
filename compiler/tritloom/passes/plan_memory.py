"""Give every vector an address, every code vector a slot, every state its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from ..ir import engine, tern
from ..ir.mlir import Context, IntegerAttr, ModuleOp, ModulePass, Operation, SSAValue, i64
from .liveness import aligned, first_fit, lifetimes, peak
from .rewriting import model_of
from .stages import need_instructions


def _integer(value: int) -> IntegerAttr:
    return IntegerAttr(value, i64)


def state_addresses(model: tern.ModelOp) -> dict[str, int]:
    """Address in state memory, in floats, of every state by its ONNX input."""
    addresses: dict[str, int] = {}
    offset = 0
    for state in model.states:
        addresses[state.input.data] = offset
        offset += aligned(state.size.data)
    return addresses


def state_words(model: tern.ModelOp) -> int:
    """Floats of state memory that the model needs."""
    return sum(aligned(state.size.data) for state in model.states)


def _place(op: Operation, vectors: Mapping[SSAValue, int], slots: Mapping[SSAValue, int]) -> None:
    for result in op.results:
        if result in slots:
            op.properties["slot"] = _integer(slots[result])
        if result in vectors:
            op.properties["address"] = _integer(vectors[result])


def _check_limits(module: ModuleOp, words: int, slots: int) -> None:
    kernel = engine.kernel_of(module)
    if kernel is None:
        return
    limits = kernel.kernel_limits()
    for need, limit, what in ((words, limits.vector_words, "vector_words"), (slots, limits.code_slots, "code_slots")):
        if need > limit:
            raise InputError(
                f"the model needs {what} = {need}, the kernel has {limit}",
                "Compile for a kernel with larger limits (without --overlay).",
            )


@dataclass(frozen=True)
class PlanMemory(ModulePass):
    """Assign vector addresses, code slots and state addresses by liveness.

    Before:
        %x = engine.embed %token {table = @embedding}
    After:
        %x = engine.embed %token {table = @embedding, address = 384 : i64}
    """

    name: ClassVar[str] = "plan-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_instructions(op, self.name)
        model = model_of(op)
        vectors, codes = lifetimes(op, engine.VectorType), lifetimes(op, engine.CodesType)
        addresses, slots = first_fit(vectors), first_fit(codes)
        _check_limits(op, peak(vectors, addresses), peak(codes, slots))
        states = state_addresses(model)
        for found in model.body.block.ops:
            _place(found, addresses, slots)
            if isinstance(found, engine.LinearOp | engine.LoadStateOp | engine.StoreStateOp):
                state = found.state
                if state is not None and isinstance(state.type, tern.StateType):
                    found.properties["state_address"] = _integer(states[state.type.input.data])
