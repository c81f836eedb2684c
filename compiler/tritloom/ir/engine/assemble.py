"""From scheduled engine operations to instructions, and to the order of weights and gains in memory."""

from __future__ import annotations

from dataclasses import dataclass

from ..encoding import slices_of
from ..instruction import Epilogue, Instruction, Norms, Opcode, QuantizeFlag, TableFormat, VectorFlag, VectorFunction
from ..mlir import FloatAttr, IntegerAttr, ModuleOp, Operation, SSAValue, SymbolRefAttr
from ..numerics import code_constant
from ..tern import ModelOp, TableOp, VectorOp, length_of, symbol, weight
from .ops import ElementwiseOp, EmbedOp, LinearOp, LoadStateOp, QuantizeOp, StoreStateOp, ViewOp
from .types import EpilogueKind, engine_length

INSTRUCTIONS = (EmbedOp, QuantizeOp, LinearOp, ElementwiseOp, LoadStateOp, StoreStateOp)


class Unscheduled(ValueError):
    """An operation without an address, a slot, or a place in a program."""


@dataclass(frozen=True)
class ProgramEntry:
    """One instruction and the operation that it computes."""

    op: Operation
    instruction: Instruction


def _model(module: ModuleOp) -> ModelOp:
    for op in module.ops:
        if isinstance(op, ModelOp):
            return op
    raise Unscheduled("the module has no tern.model")


def instruction_ops(module: ModuleOp) -> list[Operation]:
    """The operations that are instructions, in order."""
    return [op for op in _model(module).body.block.ops if isinstance(op, INSTRUCTIONS)]


def instruction_count(module: ModuleOp) -> int:
    """Instructions of the program."""
    return len(instruction_ops(module))


def _number(op: Operation, name: str) -> int:
    value = op.properties.get(name)
    if not isinstance(value, IntegerAttr):
        raise Unscheduled(f"{op.name} has no {name}: run plan-memory first")
    return value.value.data


def _float(attribute: FloatAttr | None) -> float:
    return attribute.value.data if attribute is not None else 0.0


def address_of(value: SSAValue) -> int:
    """Address of a vector in vector memory, in floats.

    Raises:
        Unscheduled: plan-memory has not run.
    """
    op = value.owner
    if isinstance(op, ViewOp):
        return address_of(op.operand) + op.offset.value.data
    if not isinstance(op, Operation):
        raise Unscheduled("a block argument has no address in vector memory")
    return _number(op, "address")


def _embed(op: EmbedOp, index: int) -> Instruction:
    table = symbol(op, op.table)
    if not isinstance(table, TableOp):
        raise Unscheduled(f"engine.embed: @{op.table.root_reference.data} is not a table")
    return Instruction(
        Opcode.EMBED,
        func=TableFormat[table.format.data.upper()],
        length=engine_length(op.result),
        rows=table.rows.value.data,
        dst=_number(op, "address"),
        op=index,
    )


def _quantize(op: QuantizeOp, index: int) -> Instruction:
    norms = Norms.NONE if op.eps0 is None else Norms.ONE if op.eps1 is None else Norms.TWO
    flags = QuantizeFlag(0)
    if op.norm is None:
        flags |= QuantizeFlag.NEW_STATS
    if op.b is not None:
        flags |= QuantizeFlag.HAS_B
    return Instruction(
        Opcode.QUANTIZE,
        func=norms,
        flags=flags,
        length=engine_length(op.a),
        src0=address_of(op.a),
        src1=address_of(op.b) if op.b is not None else 0,
        slot=_number(op, "slot"),
        eps0=_float(op.eps0),
        eps1=_float(op.eps1),
        op=index,
    )


def _linear(op: LinearOp, index: int) -> Instruction:
    matrix = weight(op, op.weight)
    length = engine_length(op.codes)
    logits = op.kind is EpilogueKind.LOGITS
    rows = matrix.rows.value.data
    if not isinstance(op.codes.owner, Operation):
        raise Unscheduled("engine.linear: its codes are not the result of a quantiser")
    return Instruction(
        Opcode.LINEAR,
        func=Epilogue[op.kind.name],
        length=length,
        rows=rows,
        src0=address_of(op.src) if op.src is not None else 0,
        dst=-(-rows // 4) * 4 if logits else _number(op, "address"),
        state=_number(op, "state_address") if op.state is not None else 0,
        slot=_number(op.codes.owner, "slot"),
        scale=float(code_constant(matrix.scale.value.data)),
        slices=slices_of(length),
        op=index,
    )


def _elementwise(op: ElementwiseOp, index: int) -> Instruction:
    flags = VectorFlag(0)
    if op.imm is not None:
        flags |= VectorFlag.B_IMMEDIATE
    if op.stream is not None:
        flags |= VectorFlag.B_STREAM
    return Instruction(
        Opcode.VECTOR,
        func=VectorFunction[op.function.data.name],
        flags=flags,
        length=engine_length(op.a),
        src0=address_of(op.a),
        src1=address_of(op.b) if op.b is not None else 0,
        dst=_number(op, "address"),
        imm=_float(op.imm),
        op=index,
    )


def _load_state(op: LoadStateOp, index: int) -> Instruction:
    return Instruction(
        Opcode.VECTOR,
        func=VectorFunction.COPY,
        flags=VectorFlag.A_STATE,
        length=length_of(op.state),
        dst=_number(op, "address"),
        state=_number(op, "state_address"),
        op=index,
    )


def _store_state(op: StoreStateOp, index: int) -> Instruction:
    return Instruction(
        Opcode.VECTOR,
        func=VectorFunction.COPY,
        flags=VectorFlag.DST_STATE,
        length=length_of(op.state),
        src0=address_of(op.value),
        state=_number(op, "state_address"),
        op=index,
    )


def _instruction(op: Operation, index: int) -> Instruction:
    match op:
        case EmbedOp():
            return _embed(op, index)
        case QuantizeOp():
            return _quantize(op, index)
        case LinearOp():
            return _linear(op, index)
        case ElementwiseOp():
            return _elementwise(op, index)
        case LoadStateOp():
            return _load_state(op, index)
        case StoreStateOp():
            return _store_state(op, index)
    raise Unscheduled(f"{op.name} is no instruction")


def assemble(module: ModuleOp) -> list[ProgramEntry]:
    """The program of a module whose memory has been planned.

    Raises:
        Unscheduled: plan-memory has not run.
    """
    return [ProgramEntry(op, _instruction(op, index)) for index, op in enumerate(instruction_ops(module))]


def gain_symbols(op: Operation) -> list[str]:
    """Float vectors that an instruction takes from the gain image; several are interleaved word by word."""
    refs: list[SymbolRefAttr | None] = []
    if isinstance(op, QuantizeOp):
        refs = [op.first_gain if op.norm is None else None, op.gain]
    elif isinstance(op, LinearOp):
        refs = [op.lower]
    elif isinstance(op, ElementwiseOp):
        refs = [op.stream]
    return [ref.root_reference.data for ref in refs if ref is not None]


def gain_words(op: Operation, lanes: int) -> int:
    """Words of the gain image that an instruction takes."""
    words = 0
    for name in gain_symbols(op):
        vector = symbol(op, SymbolRefAttr(name))
        if isinstance(vector, VectorOp):
            words += -(-vector.length.value.data // lanes)
    return words


def port_beats(op: Operation, slices_per_cycle: int) -> int:
    """Beats of each port that an instruction takes."""
    if not isinstance(op, LinearOp):
        return 0
    matrix = weight(op, op.weight)
    return -(-matrix.rows.value.data // slices_per_cycle) * slices_of(matrix.cols.value.data)
