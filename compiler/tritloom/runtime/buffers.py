"""Buffers in the device's memory, with explicit synchronisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .errors import DeviceError

if TYPE_CHECKING:
    from ._pynq import Device, PynqBuffer


class DeviceBuffer:
    """`nbytes` of contiguous memory at the physical address `address`.

    The host writes to and reads from `bytes` or `view`; what it wrote reaches the device by
    `to_device`, what the device wrote reaches the host by `from_device`. Never keep a view: memory goes
    back to the system when the last reference to it goes.
    """

    def __init__(self, name: str, nbytes: int, device: Device) -> None:
        from ._pynq import allocate

        self.name = name
        self.nbytes = nbytes
        self._buffer: PynqBuffer | None = allocate(nbytes, device)
        self.address = int(self._buffer.device_address)

    @property
    def _memory(self) -> PynqBuffer:
        if self._buffer is None:
            raise DeviceError(f"the buffer `{self.name}` was freed: the session is closed")
        return self._buffer

    def view(self, dtype: npt.DTypeLike, start: int = 0, count: int = -1) -> npt.NDArray[np.generic]:
        """A host view of `count` items (-1: all) from byte `start` on."""
        size = np.dtype(dtype).itemsize
        count = (self.nbytes - start) // size if count < 0 else count
        plain = np.asarray(self._memory).view(np.ndarray)
        return plain[start : start + count * size].view(dtype)

    def fill(self, data: npt.NDArray[np.generic], start: int = 0) -> None:
        """Copy `data` to byte `start` of the buffer and on to the device."""
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        self.view(np.uint8, start, raw.size)[:] = raw
        self.to_device(start, raw.size)

    def to_device(self, start: int = 0, nbytes: int = -1) -> None:
        """Make the device see what the host wrote to `nbytes` (-1: all) from byte `start` on."""
        self._part(start, nbytes).flush()

    def from_device(self, start: int = 0, nbytes: int = -1) -> None:
        """Make the host see what the device wrote."""
        self._part(start, nbytes).invalidate()

    def _part(self, start: int, nbytes: int) -> PynqBuffer:
        stop = self.nbytes if nbytes < 0 else start + nbytes
        part = self._memory[start:stop]  # a slice knows its own offset and address
        return part  # type: ignore[return-value]

    def free(self) -> None:
        """Give the memory back; harmless when repeated."""
        self._buffer = None
