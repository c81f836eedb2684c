"""A device with a kernel on it, as a session uses it: through pynq (`overlay`) or through XRT (`xrt`)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from .sensors import Sensor

Wait = Literal["poll", "interrupt"]


class Buffer(Protocol):
    """`nbytes` of device memory; see `buffers.DeviceBuffer`."""

    @property
    def nbytes(self) -> int: ...

    @property
    def address(self) -> int:
        """Where the device sees it."""
        ...

    def view(self, dtype: npt.DTypeLike, start: int = 0, count: int = -1) -> npt.NDArray[np.generic]: ...

    def fill(self, data: npt.NDArray[np.generic], start: int = 0) -> None: ...

    def to_device(self, start: int = 0, nbytes: int = -1) -> None: ...

    def from_device(self, start: int = 0, nbytes: int = -1) -> None: ...

    def free(self) -> None: ...


class Accelerator(Protocol):
    """A loaded kernel. Sessions that share one take turns: hold `lock` from `start` to `results`."""

    emulated: bool
    lock: threading.RLock

    def allocate(self, name: str, nbytes: int) -> Buffer:
        """Memory for the kernel's argument `name`.

        Raises:
            DeviceError: none left.
        """
        ...

    def check_loaded(self) -> None:
        """Look whether the kernel is still the one on the device.

        Raises:
            DeviceError: another one has been loaded since.
        """
        ...

    def start(self, buffers: Mapping[str, Buffer], scalars: Mapping[str, int], wait: Wait) -> None:
        """Start the kernel on its buffers, by the names of its arguments."""
        ...

    def wait(self, timeout: float, wait: Wait, cancelled: threading.Event | None) -> None:
        """Wait for the kernel.

        Raises:
            KernelTimeout: it was not done after `timeout` seconds.
            Cancelled: the event was set.
            DeviceError: a bus error.
        """
        ...

    def results(self) -> dict[str, int]:
        """The kernel's output arguments by name.

        Raises:
            KernelError: it refused the start.
        """
        ...

    def settle(self, seconds: float) -> bool:
        """Wait for at most `seconds` until the kernel is idle; whether it is."""
        ...

    def sensors(self) -> list[Sensor]:
        """Power and temperatures, where the device has them."""
        ...

    def load(self) -> None:
        """Load the kernel again: whatever it was doing ends."""
        ...
