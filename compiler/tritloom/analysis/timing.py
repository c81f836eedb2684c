"""Cycles of one macro-instruction, taken alone: what it streams, and how long each unit is busy with it."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.encoding import SLICE_TRITS
from ..ir.instruction import (
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
from ..ir.kernel import KernelLimits
from . import constants as c

PARTIAL_SUMS = 128
_TABLE_BYTES = {TableFormat.F32: 4, TableFormat.F16: 2, TableFormat.BF16: 2}


@dataclass(frozen=True)
class Work:
    """What an instruction asks of each unit, for one pass of `positions` positions. Times are in cycles."""

    beats: int = 0
    """Beats that it takes from each weight port: the array needs one cycle for each."""
    gain_words: int = 0
    """Words of `lanes` floats that it takes from the gain stream."""
    vector: int = 0
    """The vector unit's own time, pipelined with the array where there is one."""
    latency: int = 0
    """Time in which no unit accepts work: pipeline fill, and for a quantiser the barrier."""
    trits: int = 0
    """Ternary weights without padding."""

    @property
    def least(self) -> int:
        """Cycles if no stream ever ran dry."""
        return max(self.beats, self.vector, self.gain_words) + self.latency

    def padding(self, limits: KernelLimits) -> float:
        """Share of the streamed trits that is padding."""
        streamed = self.beats * limits.trits_per_cycle
        return 1 - self.trits / streamed if streamed else 0.0


def _words(elements: int, lanes: int) -> int:
    return -(-elements // lanes)


def _row_constants(instruction: Instruction) -> int:
    """Vectors that a product takes from the gain stream."""
    return LinearFlag(instruction.flags).bit_count() + (instruction.func == Epilogue.HGRN)


def _linear(instruction: Instruction, limits: KernelLimits, positions: int) -> Work:
    """Rows stream through the epilogue, all positions of a row side by side."""
    epilogue = Epilogue(instruction.func)
    rows = instruction.rows
    slices = instruction.slices or -(-instruction.length // SLICE_TRITS)
    if epilogue is Epilogue.LOGITS:
        vector = rows * limits.head_ii + -(-rows // c.HEAD_CHUNK_ROWS) * c.HEAD_CHUNK_START
        depth = c.HEAD_DEPTH
    else:
        vector = rows * limits.gate_ii
        depth = c.EPILOGUE_DEPTH + c.EPILOGUE_DEPTH_POSITION * (limits.batch - 1)
    return Work(
        beats=-(-rows // limits.slices) * slices,
        gain_words=_words(rows, limits.lanes) * _row_constants(instruction),
        vector=vector,
        latency=c.LINEAR_START + c.ARRAY_DEPTH + depth,
        trits=rows * instruction.length,
    )


def sum_tree(lanes: int) -> int:
    """Cycles of the tree that ends a sum128: whole words level by level, then within a word."""
    words = PARTIAL_SUMS // lanes
    return (words - 1) + c.ADD_LATENCY * (words.bit_length() - 1) + c.ADD_LATENCY * (lanes.bit_length() - 1)


def barrier(function: int, new: bool, lanes: int) -> int:
    """Cycles between a vector's last element and its scale."""
    if not new or function == QuantizeFunction.NONE:
        return c.STEP
    if function == QuantizeFunction.TWO:
        return 2 * sum_tree(lanes) + c.FACTOR_TWO + c.STEP
    return sum_tree(lanes) + c.FACTOR_ONE + c.STEP


def _quantize(instruction: Instruction, limits: KernelLimits, positions: int) -> Work:
    """Statistics of every position word by word, then their scales one by one, then the codes of every position (where
    there are any)."""
    words = _words(instruction.length, limits.lanes)
    new = bool(instruction.flags & QuantizeFlag.NEW_STATS)
    two = int(new and instruction.func == QuantizeFunction.TWO)
    clear = 2 * (PARTIAL_SUMS // limits.lanes)
    each = barrier(instruction.func, new, limits.lanes) + clear
    quantises = not instruction.flags & QuantizeFlag.FACTOR_ONLY
    gained = quantises and instruction.func <= QuantizeFunction.TWO
    return Work(
        gain_words=words * (1 + two) if gained else 0,
        vector=words * (positions + two) + words * positions * quantises,
        latency=c.QUANTIZE_START + positions * each,
    )


def _vector(instruction: Instruction, limits: KernelLimits, positions: int) -> Work:
    """One lane."""
    streamed = bool(instruction.flags & VectorFlag.B_STREAM)
    return Work(
        gain_words=_words(instruction.length, limits.lanes) if streamed else 0,
        vector=positions * instruction.length,
        latency=c.LINEAR_START + c.VECTOR_DEPTH,
    )


def _embed(instruction: Instruction, limits: KernelLimits, positions: int) -> Work:
    row = embedding_bytes(instruction)
    return Work(vector=positions * (-(-row // 16) + c.MEMORY_LATENCY), latency=c.LINEAR_START)


_WORK = {
    Opcode.EMBED: _embed,
    Opcode.QUANTIZE: _quantize,
    Opcode.LINEAR: _linear,
    Opcode.VECTOR: _vector,
}


def work_of(instruction: Instruction, limits: KernelLimits, positions: int = 1) -> Work:
    """Work of `instruction` in a pass of `positions` positions."""
    return _WORK[instruction.opcode](instruction, limits, positions)


def embedding_bytes(instruction: Instruction) -> int:
    """Bytes of the row that an `embed` reads."""
    return instruction.length * _TABLE_BYTES[TableFormat(instruction.func)]


def function_name(instruction: Instruction) -> str:
    """`linear.hgrn`, `quantize.two`, `reduce.mean`, `embed.f16`, ..."""
    if instruction.opcode is Opcode.QUANTIZE and instruction.flags & QuantizeFlag.FACTOR_ONLY:
        return "reduce.mean" if instruction.func == QuantizeFunction.MEAN else "reduce.norm"
    names = {
        Opcode.EMBED: TableFormat,
        Opcode.QUANTIZE: QuantizeFunction,
        Opcode.LINEAR: Epilogue,
        Opcode.VECTOR: VectorFunction,
    }
    return f"{instruction.opcode.name.lower()}.{names[instruction.opcode](instruction.func).name.lower()}"
