"""Check the program by itself: replay it over memories that remember who wrote what.

Nothing of plan-memory's reasoning is reused: the instructions are decoded from their bytes, and every read must find
the whole of the value that the SSA form says it reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import TritloomError
from ..ir import engine, tern
from ..ir.encoding import slices_of
from ..ir.instruction import Epilogue, Instruction, Opcode, QuantizeFlag, VectorFlag
from ..ir.kernel import KernelLimits
from ..ir.locations import onnx_names
from ..ir.mlir import Context, ModuleOp, ModulePass, Operation, SSAValue
from .stages import need_kernel, need_program

_NOBODY = -1


class ScheduleError(TritloomError):
    """The program would compute something else than the IR says: a fault of the compiler, not of the user."""

    def __init__(self, index: int, op: Operation, problem: str) -> None:
        nodes = ", ".join(onnx_names(op))
        super().__init__(
            f"verify-schedule: instruction {index}, {op.name} ({nodes}): {problem}",
            "This is a fault of the compiler: please report it with the model.",
        )


def _root(value: SSAValue) -> SSAValue:
    owner = value.owner
    return _root(owner.operand) if isinstance(owner, engine.ViewOp) else value


@dataclass
class Replay:
    """Memories of the engine, each cell holding the index of the instruction that wrote it last."""

    limits: KernelLimits
    producers: dict[SSAValue, int]
    vectors: list[int] = field(init=False)
    slots: list[int] = field(init=False)
    states: dict[str, int] = field(default_factory=dict)
    """By the name of a state's input: who wrote it last."""
    regions: dict[str, range] = field(default_factory=dict)
    """By the name of a state's input: its cells of state memory."""
    norm: int = _NOBODY

    def __post_init__(self) -> None:
        self.vectors = [_NOBODY] * self.limits.vector_words
        self.slots = [_NOBODY] * self.limits.code_slots

    def read(self, index: int, op: Operation, value: SSAValue, address: int, length: int) -> range:
        """The cells of an operand, which must all come from the instruction that made it."""
        cells = range(address, address + length)
        if address < 0 or cells.stop > len(self.vectors):
            raise ScheduleError(index, op, f"reads up to {cells.stop} of {len(self.vectors)} floats")
        wanted = self.producers.get(_root(value))
        for cell in cells:
            if self.vectors[cell] != wanted:
                raise ScheduleError(
                    index, op, f"float {cell} was written by instruction {self.vectors[cell]}, not {wanted}"
                )
        return cells

    def write(self, index: int, op: Operation, address: int, length: int, operands: list[range]) -> None:
        """Write a result, which must not lie over an operand."""
        cells = range(address, address + length)
        if address < 0 or cells.stop > len(self.vectors):
            raise ScheduleError(index, op, f"writes up to {cells.stop} of {len(self.vectors)} floats")
        if any(cells.start < other.stop and other.start < cells.stop for other in operands):
            raise ScheduleError(index, op, "its result lies over an operand")
        self.vectors[cells.start : cells.stop] = [index] * length

    def check_factor(self, index: int, op: Operation, factor: SSAValue | None) -> None:
        """The register must hold the factor that an operand stands for."""
        if factor is None or self.norm != self.producers.get(factor):
            raise ScheduleError(index, op, f"the norm factor in the register is that of instruction {self.norm}")

    def access_state(self, index: int, op: Operation, value: SSAValue, address: int, writes: bool) -> None:
        """A state, which must lie in a place of its own and hold the value that the operand stands for."""
        if not isinstance(value.type, tern.StateType):
            raise ScheduleError(index, op, f"{value.type} is no state")
        name, cells = value.type.input.data, range(address, address + value.type.size.data)
        if cells.stop > self.limits.state_words:
            raise ScheduleError(index, op, f"its state ends at {cells.stop} of {self.limits.state_words} floats")
        for other, region in self.regions.items():
            if other != name and cells.start < region.stop and region.start < cells.stop:
                raise ScheduleError(index, op, f"state '{name}' lies over state '{other}'")
        if self.regions.setdefault(name, cells) != cells:
            raise ScheduleError(index, op, f"state '{name}' has two addresses")
        holds, wanted = self.states.get(name, _NOBODY), self.producers.get(value, _NOBODY)
        if holds != wanted:
            raise ScheduleError(index, op, f"state '{name}' was written by instruction {holds}, not {wanted}")
        if writes:
            self.states[name] = index


def _statistics(replay: Replay, index: int, op: engine.Quantizer | engine.ReduceOp, ins: Instruction) -> None:
    replay.read(index, op, op.a, ins.src0, ins.length)
    if isinstance(op, engine.QuantizeOp) and op.b is not None:
        replay.read(index, op, op.b, ins.src1, ins.length)
    if ins.flags & QuantizeFlag.NEW_STATS:
        replay.norm = index
    elif isinstance(op, engine.QuantizeOp):
        replay.check_factor(index, op, op.norm)
    if not isinstance(op, engine.ReduceOp):
        _fill_slot(replay, index, op, ins)


def _fill_slot(replay: Replay, index: int, op: engine.Quantizer, ins: Instruction) -> None:
    if ins.length > replay.limits.k_max or ins.slot >= len(replay.slots):
        raise ScheduleError(index, op, f"{ins.length} codes in slot {ins.slot} exceed the kernel")
    replay.slots[ins.slot] = index


def _linear(replay: Replay, index: int, op: engine.LinearOp, ins: Instruction) -> None:
    if replay.slots[ins.slot] != replay.producers.get(op.codes):
        raise ScheduleError(index, op, f"slot {ins.slot} holds the codes of instruction {replay.slots[ins.slot]}")
    if ins.slices != slices_of(ins.length):
        raise ScheduleError(index, op, f"{ins.slices} slices for {ins.length} codes")
    length = engine.engine_length(op.result)
    operands = [replay.read(index, op, op.src, ins.src0, length)] if op.src is not None else []
    if op.state is not None:
        replay.access_state(index, op, op.state, ins.state, writes=True)
    if ins.func != Epilogue.LOGITS:
        replay.write(index, op, ins.dst, length, operands)


def _vector(replay: Replay, index: int, op: Operation, ins: Instruction) -> None:
    operands: list[range] = []
    if isinstance(op, engine.ElementwiseOp):
        operands.append(replay.read(index, op, op.a, ins.src0, ins.length))
        if ins.flags & VectorFlag.B_FACTOR:
            replay.check_factor(index, op, op.b)
        elif op.b is not None:
            operands.append(replay.read(index, op, op.b, ins.src1, ins.length))
    elif isinstance(op, engine.StoreStateOp):
        operands.append(replay.read(index, op, op.value, ins.src0, ins.length))
        replay.access_state(index, op, op.state, ins.state, writes=True)
    elif isinstance(op, engine.LoadStateOp):
        replay.access_state(index, op, op.state, ins.state, writes=False)
    if not ins.flags & VectorFlag.DST_STATE:
        replay.write(index, op, ins.dst, ins.length, operands)


def verify_program(entries: list[engine.ProgramEntry], limits: KernelLimits) -> None:
    """Replay a program.

    Raises:
        ScheduleError: the first instruction that would read something else than its operands, or leave a memory.
    """
    if len(entries) > limits.program_max:
        raise ScheduleError(limits.program_max, entries[-1].op, f"only {limits.program_max} instructions fit")
    producers: dict[SSAValue, int] = {
        result: index for index, entry in enumerate(entries) for result in entry.op.results
    }
    replay = Replay(limits, producers)
    for index, entry in enumerate(entries):
        op, ins = entry.op, Instruction.decode(entry.instruction.encode())
        if isinstance(op, (*engine.QUANTIZERS, engine.ReduceOp)):
            _statistics(replay, index, op, ins)
        elif isinstance(op, engine.LinearOp):
            _linear(replay, index, op, ins)
        elif ins.opcode == Opcode.EMBED:
            replay.write(index, op, ins.dst, ins.length, [])
        else:
            _vector(replay, index, op, ins)


@dataclass(frozen=True)
class VerifySchedule(ModulePass):
    """Replay the program and check every read, buffer, slot and state. Changes nothing.

    Before:
        %y = engine.linear %codes ... {address = 0 : i64}
    After:
        the same, or an error that names the instruction
    """

    name: ClassVar[str] = "verify-schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        verify_program(need_program(op, self.name), need_kernel(op, self.name))
