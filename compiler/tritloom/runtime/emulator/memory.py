"""Emulated DDR: a contiguous-memory allocator over two copies of the same addresses.

The host reads and writes one copy, the kernel the other, and only flush and invalidate copy between them:
a forgotten sync shows, as it does with a board's caches. Both are anonymous mappings, so untouched memory
costs nothing.
"""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DeviceError

PAGE = 4096
BASE = 0x1000_0000
_POISON_LIMIT = 1 << 20
_WORD = 16


@dataclass(frozen=True)
class Block:
    """An allocation: `offset` from the arena's start, `nbytes` as asked for."""

    offset: int
    nbytes: int

    @property
    def end(self) -> int:
        """The first page after the block."""
        return self.offset + max(PAGE, -(-self.nbytes // PAGE) * PAGE)


class Memory:
    """`size` bytes of emulated contiguous memory at the physical address `BASE`."""

    def __init__(self, size: int) -> None:
        if size <= 0 or size % PAGE:
            raise ValueError("the size must be a multiple of 4096")
        self.size = size
        self.host_map = _anonymous(size)
        self._device_map = _anonymous(size)
        self._host = np.frombuffer(self.host_map, np.uint8)
        self._device: npt.NDArray[np.uint8] = np.frombuffer(self._device_map, np.uint8)
        self._blocks: list[Block] = []
        self._lock = threading.RLock()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The allocations in use."""
        with self._lock:
            return tuple(self._blocks)

    def allocate(self, nbytes: int) -> Block:
        """The first gap that is large enough. Small blocks hold garbage, as fresh memory does on a board.

        Raises:
            MemoryError: there is none.
        """
        with self._lock:
            new = self._gap(nbytes)
            self._blocks = sorted([*self._blocks, new], key=lambda block: block.offset)
        if nbytes <= _POISON_LIMIT:
            self._host[new.offset : new.end] = 0xA5
            self._device[new.offset : new.end] = 0x5A
        return new

    def _gap(self, nbytes: int) -> Block:
        at = 0
        for block in [*self._blocks, Block(self.size, 0)]:
            new = Block(at, nbytes)
            if new.end <= block.offset:
                return new
            at = block.end
        used = sum(block.end - block.offset for block in self._blocks)
        raise MemoryError(f"emulated CMA exhausted: {nbytes:,} bytes asked for, {used:,} of {self.size:,} in use")

    def free(self, block: Block) -> None:
        """Give a block back, and its pages to the system; harmless when repeated."""
        with self._lock:
            if block not in self._blocks:
                return
            self._blocks.remove(block)
            for mapping in (self.host_map, self._device_map):
                mapping.madvise(mmap.MADV_DONTNEED, block.offset, block.end - block.offset)

    def flush(self, offset: int, nbytes: int) -> None:
        """Host -> device."""
        self._device[offset : offset + nbytes] = self._host[offset : offset + nbytes]

    def invalidate(self, offset: int, nbytes: int) -> None:
        """Device -> host."""
        self._host[offset : offset + nbytes] = self._device[offset : offset + nbytes]

    def device_view(self, address: int, nbytes: int, name: str) -> npt.NDArray[np.uint8]:
        """What a bus master sees at a physical address: uint8 [nbytes].

        Raises:
            DeviceError: the access leaves the allocated blocks (to 16 bytes).
        """
        offset = address - BASE
        with self._lock:
            for block in self._blocks:
                room = -(-(block.offset + block.nbytes) // _WORD) * _WORD - offset
                if block.offset <= offset and room > 0:
                    if nbytes <= room:
                        return self._device[offset : offset + nbytes]
                    if offset < block.end:
                        raise _decode_error(name, address, nbytes, f"its buffer ends after {room:,}")
        raise _decode_error(name, address, nbytes, "nothing is allocated there")


def _anonymous(size: int) -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    return mmap.mmap(-1, size, flags=flags)


def _decode_error(name: str, address: int, nbytes: int, reason: str) -> DeviceError:
    return DeviceError(
        f"AXI DECERR: the kernel accesses {nbytes:,} bytes of `{name}` at 0x{address:x}, but {reason}",
        "the buffer behind this argument is too short, or its address was not set",
    )
