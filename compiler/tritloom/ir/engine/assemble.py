"""From scheduled engine operations to instructions, and to the order of weights and gains in memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..encoding import slices_of
from ..instruction import (
    Epilogue,
    Instruction,
    LinearFlag,
    Opcode,
    QuantizeFlag,
    QuantizeFunction,
    TableFormat,
    VectorFlag,
    VectorFunction,
)
from ..mlir import FloatAttr, IntegerAttr, ModuleOp, Operation, SSAValue, SymbolRefAttr
from ..numerics import code_constant, inverse_step
from ..tern import ModelOp, TableOp, length_of, symbol, weight
from .ops import ElementwiseOp, EmbedOp, LinearOp, LoadStateOp, ReceiveOp, StoreStateOp, ViewOp
from .quantisers import QUANTIZERS, QuantizeOp, QuantizeRangeOp, QuantizeStaticOp, ReduceOp
from .types import EpilogueKind, NormType, engine_length

INSTRUCTIONS = (EmbedOp, ReceiveOp, *QUANTIZERS, ReduceOp, LinearOp, ElementwiseOp, LoadStateOp, StoreStateOp)


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


def _receive(op: ReceiveOp, index: int) -> Instruction:
    return Instruction(
        Opcode.EMBED,
        func=TableFormat.F32,
        length=engine_length(op.result),
        rows=op.rows.value.data,
        dst=_number(op, "address"),
        op=index,
    )


def _quantize(op: QuantizeOp, index: int) -> Instruction:
    norms = sum(eps is not None for eps in (op.eps0, op.eps1))
    flags = QuantizeFlag(0)
    if op.norm is None:
        flags |= QuantizeFlag.NEW_STATS
    if op.b is not None:
        flags |= QuantizeFlag.HAS_B
    return Instruction(
        Opcode.QUANTIZE,
        func=QuantizeFunction(norms),
        flags=flags,
        length=engine_length(op.a),
        src0=address_of(op.a),
        src1=address_of(op.b) if op.b is not None else 0,
        slot=_number(op, "slot"),
        eps0=_float(op.eps0),
        eps1=_float(op.eps1),
        op=index,
    )


def _quantize_range(op: QuantizeRangeOp, index: int) -> Instruction:
    return Instruction(
        Opcode.QUANTIZE,
        func=QuantizeFunction.RANGE,
        length=engine_length(op.a),
        src0=address_of(op.a),
        slot=_number(op, "slot"),
        op=index,
    )


def _quantize_static(op: QuantizeStaticOp, index: int) -> Instruction:
    return Instruction(
        Opcode.QUANTIZE,
        func=QuantizeFunction.STATIC,
        length=engine_length(op.a),
        src0=address_of(op.a),
        slot=_number(op, "slot"),
        scale=op.step.value.data,
        eps0=float(inverse_step(op.step.value.data)),
        op=index,
        zero=op.zero_code.value.data,
        low=op.low.value.data,
        high=op.high.value.data,
    )


def _reduce(op: ReduceOp, index: int) -> Instruction:
    return Instruction(
        Opcode.QUANTIZE,
        func=QuantizeFunction.MEAN if op.eps is None else QuantizeFunction.ONE,
        flags=QuantizeFlag.NEW_STATS | QuantizeFlag.FACTOR_ONLY,
        length=engine_length(op.a),
        src0=address_of(op.a),
        eps0=_float(op.eps),
        op=index,
    )


def levels_of(op: LinearOp) -> int:
    """What the scale of its codes is to be divided by to give what one code is worth."""
    return 127 if isinstance(op.codes.owner, QuantizeOp) else 1


def _linear_flags(op: LinearOp) -> LinearFlag:
    flags = LinearFlag(0)
    if op.has_zero:
        flags |= LinearFlag.ROW_SUMS
    if op.row_scales is not None:
        flags |= LinearFlag.ROW_SCALES
    if op.bias is not None:
        flags |= LinearFlag.BIAS
    return flags


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
        flags=_linear_flags(op),
        length=length,
        rows=rows,
        src0=address_of(op.src) if op.src is not None else 0,
        dst=-(-rows // 4) * 4 if logits else _number(op, "address"),
        state=_number(op, "state_address") if op.state is not None else 0,
        slot=_number(op.codes.owner, "slot"),
        scale=float(code_constant(matrix.scale.value.data, levels_of(op))),
        slices=slices_of(length),
        op=index,
    )


def _elementwise(op: ElementwiseOp, index: int) -> Instruction:
    flags = VectorFlag(0)
    if op.imm is not None:
        flags |= VectorFlag.B_IMMEDIATE
    if op.stream is not None:
        flags |= VectorFlag.B_STREAM
    if op.b is not None and isinstance(op.b.type, NormType):
        flags |= VectorFlag.B_FACTOR
    return Instruction(
        Opcode.VECTOR,
        func=VectorFunction[op.function.data.name],
        flags=flags,
        length=engine_length(op.a),
        src0=address_of(op.a),
        src1=address_of(op.b) if op.b is not None and not flags & VectorFlag.B_FACTOR else 0,
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
        case ReceiveOp():
            return _receive(op, index)
        case QuantizeOp():
            return _quantize(op, index)
        case QuantizeRangeOp():
            return _quantize_range(op, index)
        case QuantizeStaticOp():
            return _quantize_static(op, index)
        case ReduceOp():
            return _reduce(op, index)
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


class GainKind(StrEnum):
    """What a vector of the gain image is to its instruction."""

    ROW_SUMS = "sums of trits"
    ROW_SCALES = "scales of rows"
    BIAS = "bias"
    LOWER = "lower bounds"
    FIRST_GAIN = "first gain"
    GAIN = "gain"
    CONSTANT = "constant"


@dataclass(frozen=True)
class GainVector:
    """A vector that an instruction takes from the gain image: of `symbol`, a weight for sums of trits."""

    kind: GainKind
    symbol: str


def gain_vectors(op: Operation) -> list[GainVector]:
    """Vectors that an instruction takes from the gain image, all of one length; they are interleaved word by word."""
    refs: list[tuple[GainKind, SymbolRefAttr | None]] = []
    if isinstance(op, QuantizeOp):
        refs = [(GainKind.FIRST_GAIN, op.first_gain if op.norm is None else None), (GainKind.GAIN, op.gain)]
    elif isinstance(op, LinearOp):
        refs = [
            (GainKind.ROW_SUMS, op.weight if op.has_zero else None),
            (GainKind.ROW_SCALES, op.row_scales),
            (GainKind.BIAS, op.bias),
            (GainKind.LOWER, op.lower),
        ]
    elif isinstance(op, ElementwiseOp):
        refs = [(GainKind.CONSTANT, op.stream)]
    return [GainVector(kind, ref.root_reference.data) for kind, ref in refs if ref is not None]


def gain_words(op: Operation, lanes: int) -> int:
    """Words of the gain image that an instruction takes."""
    return len(gain_vectors(op)) * -(-_elements(op) // lanes)


def _elements(op: Operation) -> int:
    """Elements of each vector that an instruction takes from the gain image."""
    match op:
        case QuantizeOp() | ElementwiseOp():
            return engine_length(op.a)
        case LinearOp():
            return weight(op, op.weight).rows.value.data
    return 0


def port_beats(op: Operation, slices_per_cycle: int) -> int:
    """Beats of each port that an instruction takes."""
    if not isinstance(op, LinearOp):
        return 0
    matrix = weight(op, op.weight)
    return -(-matrix.rows.value.data // slices_per_cycle) * slices_of(matrix.cols.value.data)
