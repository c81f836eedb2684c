"""Finding the device and loading the bundle's overlay onto it: a board's, or the emulated one."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union, cast

from .accelerator import Accelerator, Buffer, Wait
from .buffers import DeviceBuffer
from .bundle import Bundle
from .driver import KernelDriver
from .errors import DeviceError
from .hwh import read_layout
from .overlay_file import check_overlay
from .sensors import Sensor, board_sensors

if TYPE_CHECKING:
    from ._pynq import Device, Overlay
    from .emulator.device import EmulatedDevice

DeviceChoice = Union["Device", Literal["emulated"], None]
"""A pynq device, "emulated", or None: the board, or the emulated device where TRITLOOM_EMULATE is set."""

_EMULATE = "load with device='emulated', or set TRITLOOM_EMULATE=1, to run without a board"


def emulation_wanted() -> bool:
    """Whether the environment asks for the emulated device."""
    return os.environ.get("TRITLOOM_EMULATE", "0") not in ("", "0")


def choose_kernel(bundle: Bundle, choice: DeviceChoice) -> Accelerator:
    """Load the bundle's kernel onto the device of choice.

    Raises:
        DeviceError: no such device, no overlay, another kernel's overlay, or it could not be loaded.
    """
    if bundle.kernel.family == "alveo" and choice is None and not emulation_wanted():
        from .xrt import XrtKernel

        return XrtKernel(bundle)
    return LoadedKernel(bundle, choose_device(choice))


def choose_device(choice: DeviceChoice) -> Device:
    """The device to use.

    Raises:
        DeviceError: pynq is not installed, there is no board, or the choice is none of the above.
    """
    if isinstance(choice, str) and choice != "emulated":
        raise DeviceError(f"there is no device {choice!r}", "use 'emulated', a pynq device or None")
    if choice == "emulated" or (choice is None and emulation_wanted()):
        from .emulator.device import EmulatedDevice

        return EmulatedDevice()
    if choice is not None:
        return choice
    from ._pynq import board

    found = board()
    if found is None:
        raise DeviceError("no FPGA board was found on this machine", _EMULATE)
    return found


class LoadedKernel:
    """The kernel of a bundle on a device, and its driver: an `Accelerator` through pynq.

    Raises:
        DeviceError: the bundle has no overlay for a board, the overlay is another kernel's, or pynq
            could not load it.
    """

    def __init__(self, bundle: Bundle, device: Device) -> None:
        self.bundle = bundle
        self.device = device
        self.emulated = bool(getattr(device, "emulated", False))
        self.lock = threading.RLock()
        self._overlay: Overlay | None = None
        self.load()

    def load(self) -> None:
        """Download the overlay, again if need be: whatever the kernel was doing ends."""
        from ._pynq import find_ip, open_overlay

        bit = self._bitfile()
        kernel = self.bundle.kernel
        layout = read_layout(bit.with_suffix(".hwh"), kernel.vlnv, kernel.args)
        self._overlay = None
        self._overlay = open_overlay(bit, self.device)
        ip = find_ip(self._overlay, layout.instance)
        self.driver = KernelDriver(ip, layout, ip.interrupt)

    def check_loaded(self) -> None:
        """Look whether the overlay is still the one on the device; load it if the last attempt failed half-way.

        Raises:
            DeviceError: another one has been loaded since.
        """
        if self._overlay is None:
            self.load()
        elif not self._overlay.is_loaded():
            raise DeviceError("another overlay has been loaded onto the device since", "load this bundle again")

    def allocate(self, name: str, nbytes: int) -> DeviceBuffer:
        """Contiguous memory for the argument `name`.

        Raises:
            DeviceError: none left.
        """
        return DeviceBuffer(name, nbytes, self.device)

    def start(self, buffers: Mapping[str, Buffer], scalars: Mapping[str, int], wait: Wait) -> None:
        """Write the arguments that changed, and start.

        Raises:
            DeviceError: the kernel is running already.
        """
        self.driver.set_arguments({name: buffer.address for name, buffer in buffers.items()} | dict(scalars))
        self.driver.start(interrupt=wait == "interrupt")

    def wait(self, timeout: float, wait: Wait, cancelled: threading.Event | None) -> None:
        """Wait until the kernel is done, see `KernelDriver`."""
        if wait == "interrupt":
            from ._pynq import submit

            self.driver.wait_interrupt(timeout, submit, cancelled)
        else:
            self.driver.wait(timeout, cancelled)

    def results(self) -> dict[str, int]:
        """The kernel's output arguments.

        Raises:
            KernelError: the status is not 0.
        """
        self.driver.check_status()
        return {arg.name: self.driver.result(arg.name) for arg in self.bundle.kernel.args if arg.kind == "out"}

    def settle(self, seconds: float) -> bool:
        """Wait for at most `seconds` until the kernel is idle; whether it is."""
        return self.driver.settle(seconds)

    def sensors(self) -> list[Sensor]:
        """The board's, none where it is emulated."""
        return [] if self.emulated else board_sensors()

    def _bitfile(self) -> Path:
        if self.emulated:
            return cast("EmulatedDevice", self.device).overlay_for(self.bundle)
        return check_overlay(self.bundle)
