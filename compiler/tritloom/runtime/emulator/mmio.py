"""What `pynq.MMIO` indexes: on a board a view of /dev/mem, here an array whose elements are bus accesses."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Bus(Protocol):
    """Reads and writes registers at physical addresses."""

    def read_registers(self, address: int, length: int) -> bytes: ...

    def write_registers(self, address: int, data: bytes) -> None: ...


class RegisterArray:
    """`size` elements of `dtype` from the physical address `base` on."""

    def __init__(self, bus: Bus, base: int, size: int, dtype: npt.DTypeLike = "u4") -> None:
        self._bus = bus
        self._base = base
        self.size = size
        self.dtype = np.dtype(dtype)
        self.shape = (size,)
        self.nbytes = size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.size

    def view(self, dtype: npt.DTypeLike = "u4") -> RegisterArray:
        """The same bytes as another type."""
        return RegisterArray(self._bus, self._base, self.nbytes // np.dtype(dtype).itemsize, dtype)

    def _address(self, index: int) -> int:
        index = index + self.size if index < 0 else index
        if not 0 <= index < self.size:
            raise IndexError(f"index {index} is out of bounds for axis 0 with size {self.size}")
        return self._base + index * self.dtype.itemsize

    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            data = self._bus.read_registers(self._address(int(index)), self.dtype.itemsize)
            return np.frombuffer(data, self.dtype)[0]
        start, stop, step = index.indices(self.size)
        if step != 1:
            return np.asarray(self)[index]
        first = self._base + start * self.dtype.itemsize
        return RegisterArray(self._bus, first, max(0, stop - start), self.dtype)

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if not isinstance(index, slice):
            data = np.array(value).astype(self.dtype).tobytes()
            self._bus.write_registers(self._address(int(index)), data)
            return
        places = range(*index.indices(self.size))
        for place, item in zip(places, np.broadcast_to(np.asarray(value), (len(places),)), strict=True):
            self[place] = item

    def __array__(self, dtype: npt.DTypeLike = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array([self[index] for index in range(self.size)], dtype or self.dtype)
