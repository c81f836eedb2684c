"""Macro-instructions of the engine: fields, and their 64-byte form (docs/kernel.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

INSTRUCTION_BYTES: Final = 64
_LAYOUT: Final = struct.Struct("<BBH7I3fIfIihh")


class Opcode(IntEnum):
    EMBED = 1
    QUANTIZE = 2
    LINEAR = 3
    VECTOR = 4


class TableFormat(IntEnum):
    """`func` of EMBED."""

    F32 = 0
    F16 = 1
    BF16 = 2


class QuantizeFunction(IntEnum):
    """`func` of QUANTIZE: absmax codes behind so many RMSNorms, the mean alone, codes of a range or of a fixed step."""

    NONE = 0
    ONE = 1
    TWO = 2
    MEAN = 3
    RANGE = 4
    STATIC = 5


class Epilogue(IntEnum):
    """`func` of LINEAR."""

    STORE = 0
    ADD = 1
    SWIGLU = 2
    HGRN = 3
    LOGITS = 4


class VectorFunction(IntEnum):
    """`func` of VECTOR. Values below 16 take two operands."""

    ADD = 0
    SUB = 1
    MUL = 2
    DIV = 3
    MAX = 4
    MIN = 5
    COPY = 16
    SIGMOID = 17
    SILU = 18
    SQRT = 19
    RELU = 20


class QuantizeFlag(IntFlag):
    NEW_STATS = 1
    HAS_B = 2
    FACTOR_ONLY = 4


class LinearFlag(IntFlag):
    """What the rows have besides trits."""

    ROW_SUMS = 1
    ROW_SCALES = 2
    BIAS = 4


class VectorFlag(IntFlag):
    B_IMMEDIATE = 1
    B_STREAM = 2
    A_STATE = 4
    DST_STATE = 8
    B_FACTOR = 16


@dataclass(frozen=True)
class Instruction:
    """One macro-instruction. Addresses are in floats; `op` is the index of its IR op in the program; `zero`, `low` and
    `high` are codes."""

    opcode: Opcode
    func: int = 0
    flags: int = 0
    length: int = 0
    rows: int = 0
    src0: int = 0
    src1: int = 0
    dst: int = 0
    state: int = 0
    slot: int = 0
    scale: float = 0.0
    eps0: float = 0.0
    eps1: float = 0.0
    slices: int = 0
    imm: float = 0.0
    op: int = 0
    zero: int = 0
    low: int = 0
    high: int = 0

    def encode(self) -> bytes:
        """The 64 bytes of the instruction, little endian."""
        fields = (self.length, self.rows, self.src0, self.src1, self.dst, self.state, self.slot)
        floats = (self.scale, self.eps0, self.eps1)
        codes = (self.zero, self.low, self.high)
        return _LAYOUT.pack(
            self.opcode, self.func, self.flags, *fields, *floats, self.slices, self.imm, self.op, *codes
        )

    def words(self) -> tuple[int, ...]:
        """The 16 words of the instruction."""
        return struct.unpack("<16I", self.encode())

    @staticmethod
    def decode(data: bytes) -> Instruction:
        """Inverse of :meth:`encode`.

        Raises:
            ValueError: not 64 bytes, or an unknown opcode.
        """
        if len(data) != INSTRUCTION_BYTES:
            raise ValueError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(data)}")
        opcode, func, flags, *rest = _LAYOUT.unpack(data)
        return Instruction(Opcode(opcode), func, flags, *rest)
