"""Macro-instructions of the engine: fields, and their 64-byte form (docs/kernel.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

INSTRUCTION_BYTES: Final = 64
_LAYOUT: Final = struct.Struct("<BBH7I3fIfI8x")


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


class Norms(IntEnum):
    """`func` of QUANTIZE: RMSNorms folded into the quantiser."""

    NONE = 0
    ONE = 1
    TWO = 2


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


class VectorFlag(IntFlag):
    B_IMMEDIATE = 1
    B_STREAM = 2
    A_STATE = 4
    DST_STATE = 8


@dataclass(frozen=True)
class Instruction:
    """One macro-instruction. Addresses are in floats; `op` is the index of its IR op in the program."""

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

    def encode(self) -> bytes:
        """The 64 bytes of the instruction, little endian."""
        fields = (self.length, self.rows, self.src0, self.src1, self.dst, self.state, self.slot)
        floats = (self.scale, self.eps0, self.eps1)
        return _LAYOUT.pack(self.opcode, self.func, self.flags, *fields, *floats, self.slices, self.imm, self.op)

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
