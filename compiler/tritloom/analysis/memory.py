"""How many block RAMs, UltraRAMs or LUTs an on-chip memory takes.

Organisations: UG473 (7 series) and UG573 (UltraScale), tables of RAMB18/RAMB36 and URAM288 port widths;
distributed RAM: UG474/UG574, a LUT6 holds 64 bits, a simple dual-port RAM64M gives 3 bits of 64 in 4 LUTs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ..ir.kernel import KernelLimits


class Ports(Enum):
    """How a memory is accessed."""

    SIMPLE = "simple"
    """One read and one write port: FIFOs, tables, code memory."""
    TRUE = "true"
    """Two ports that each read or write: widths above 36 bits need several RAMB36."""


# (depth, width) of half a RAMB36, in each port mode.
_RAMB18: Final[Mapping[Ports, tuple[tuple[int, int], ...]]] = {
    Ports.SIMPLE: ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    Ports.TRUE: ((1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
_RAMB36: Final[Mapping[Ports, tuple[tuple[int, int], ...]]] = {
    Ports.SIMPLE: ((512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1)),
    Ports.TRUE: ((1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1)),
}
URAM_DEPTH: Final = 4096
URAM_WIDTH: Final = 72
LUTRAM_DEPTH: Final = 64
LUTRAM_MOST: Final = 1024
"""Memories up to this many bits (each copy) go to distributed RAM."""
LUTRAM_BITS: Final = 3
"""Bits that a RAM64M (four LUTs) gives with a read and a write port."""
URAM_PAYS: Final = 2.0
"""RAMB36 that an UltraRAM must save to be taken; it has the bits of eight."""


def _blocks(depth: int, width: int, shapes: Iterable[tuple[int, int]]) -> int:
    return min(-(-depth // rows) * -(-width // bits) for rows, bits in shapes)


def bram36(depth: int, width: int, ports: Ports = Ports.SIMPLE) -> float:
    """RAMB36 (a RAMB18 is half of one) of a memory of `depth` words of `width` bits.

    >>> bram36(512, 128)            # a port's FIFO: two of 512 x 72
    2.0
    >>> bram36(512, 36)             # half a block
    0.5
    >>> bram36(1024, 256, Ports.TRUE)
    7.5
    """
    if depth <= 0 or width <= 0:
        return 0.0
    return min(_blocks(depth, width, _RAMB18[ports]) / 2, float(_blocks(depth, width, _RAMB36[ports])))


def uram(depth: int, width: int) -> int:
    """UltraRAMs (4096 x 72, two ports) of a memory.

    >>> uram(4096, 256)
    4
    """
    return -(-depth // URAM_DEPTH) * -(-width // URAM_WIDTH) if depth > 0 and width > 0 else 0


def lutram(depth: int, width: int) -> int:
    """LUTs of a distributed RAM with a read and a write port.

    >>> lutram(39, 32)              # 11 RAM64M of 3 bits
    44
    """
    return 4 * -(-depth // LUTRAM_DEPTH) * -(-width // LUTRAM_BITS)


@dataclass(frozen=True)
class Memory:
    """An on-chip memory: `copies` of `depth` words of `width` bits."""

    name: str
    depth: int
    width: int
    copies: int = 1
    ports: Ports = Ports.SIMPLE
    may_be_uram: bool = False
    in_logic: bool = False
    """Small and accessed by loops that need it near: distributed RAM or shift registers whatever its size."""

    @property
    def distributed(self) -> bool:
        return self.in_logic or self.depth * self.width <= LUTRAM_MOST

    @property
    def bram36(self) -> float:
        return 0.0 if self.distributed else self.copies * bram36(self.depth, self.width, self.ports)

    @property
    def uram(self) -> int:
        return self.copies * uram(self.depth, self.width)


@dataclass(frozen=True)
class Placed:
    """A memory and what it takes."""

    memory: Memory
    bram36: float = 0.0
    uram: int = 0
    lut: int = 0

    @property
    def kind(self) -> str:
        return "URAM" if self.uram else "LUTRAM" if self.lut else "BRAM"


GAIN_BUFFER: Final = 16 * 8
IO_BUFFER: Final = 16 * 4
"""Beats that the gain and io adapters buffer: burst length times outstanding requests, as in top.cpp."""
GROUP_FIFO: Final = 16


def kernel_memories(limits: KernelLimits) -> tuple[Memory, ...]:
    """The memories of an engine kernel, with the shapes and the partitioning of `templates/hls/include/tritloom/`."""
    lanes, batch, beat = limits.lanes, limits.batch, limits.port_bits
    word = 32 * lanes
    return (
        Memory("port FIFOs", limits.port_fifo, beat, limits.ports),
        Memory("m_axi buffers, weights", limits.burst_beats * limits.outstanding, beat, limits.ports),
        Memory("m_axi buffer, gains", GAIN_BUFFER, 128),
        Memory("m_axi buffers, io", IO_BUFFER, 128, 2),
        Memory("gain FIFO", limits.gain_fifo, word),
        Memory("program", limits.program_max, 512),
        # A slice's 80 codes are read at once, `lanes` codes written at once.
        Memory("codes", limits.code_slots * limits.k_max // 80, 8 * lanes, batch * (80 // lanes)),
        # Every position and lane has a memory of its own.
        Memory(
            "vector memory",
            limits.vector_words // lanes,
            32,
            batch * lanes,
            Ports.TRUE,
            may_be_uram=True,
        ),
        Memory("state", limits.state_words // 4, 32, 4, Ports.TRUE, may_be_uram=True),
        Memory("u FIFO", batch * -(-limits.k_max // lanes), word, may_be_uram=True),
        Memory("partial sums", batch * 128 // lanes, 32, 2 * lanes, in_logic=True),
        Memory("group FIFO", GROUP_FIFO, 32 * batch * limits.slices, in_logic=True),
        Memory("exp table", 256, 32, 2),
    )


def place(memories: Iterable[Memory], uram_available: int) -> tuple[Placed, ...]:
    """BRAM, URAM or LUTs for each memory: UltraRAM where the part has it, best saving first, while it pays."""
    placed = []
    for memory in memories:
        if memory.distributed:
            placed.append(Placed(memory, lut=memory.copies * lutram(memory.depth, memory.width)))
        else:
            placed.append(Placed(memory, bram36=memory.bram36))

    def saving(index: int) -> float:
        memory = placed[index].memory
        return placed[index].bram36 / memory.uram if memory.may_be_uram and memory.uram else 0.0

    left = uram_available
    for index in sorted(range(len(placed)), key=saving, reverse=True):
        memory = placed[index].memory
        if saving(index) >= URAM_PAYS and memory.uram <= left:
            placed[index] = replace(placed[index], bram36=0.0, uram=memory.uram)
            left -= memory.uram
    return tuple(placed)
