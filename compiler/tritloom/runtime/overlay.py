"""Finding the device and loading the bundle's overlay onto it: a board's, or the emulated one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union, cast

from .bundle import Bundle
from .errors import DeviceError
from .hwh import read_layout

if TYPE_CHECKING:
    from ._pynq import Device, TritloomIP
    from .emulator.device import EmulatedDevice

DeviceChoice = Union["Device", Literal["emulated"], None]
"""A pynq device, "emulated", or None: the board, or the emulated device where TRITLOOM_EMULATE is set."""

_EMULATE = "load with device='emulated', or set TRITLOOM_EMULATE=1, to run without a board"


def emulation_wanted() -> bool:
    """Whether the environment asks for the emulated device."""
    return os.environ.get("TRITLOOM_EMULATE", "0") not in ("", "0")


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
    """The kernel of a bundle on a device, and its driver.

    Raises:
        DeviceError: the bundle has no overlay for a board, the overlay is another kernel's, or pynq
            could not load it.
    """

    def __init__(self, bundle: Bundle, device: Device) -> None:
        self.bundle = bundle
        self.device = device
        self.emulated = bool(getattr(device, "emulated", False))
        self.load()

    def load(self) -> None:
        """Download the overlay, again if need be: whatever the kernel was doing ends."""
        from ._pynq import find_ip, open_overlay

        bit = self._bitfile()
        kernel = self.bundle.kernel
        layout = read_layout(bit.with_suffix(".hwh"), kernel.vlnv, kernel.args)
        self._overlay = open_overlay(bit, self.device)
        self.driver: TritloomIP = find_ip(self._overlay, layout.instance)
        self.driver.attach(layout)

    def check_loaded(self) -> None:
        """Look whether the overlay is still the one on the device.

        Raises:
            DeviceError: another one has been loaded since.
        """
        if not self._overlay.is_loaded():
            raise DeviceError("another overlay has been loaded onto the device since", "load this bundle again")

    def _bitfile(self) -> Path:
        if self.emulated:
            return cast("EmulatedDevice", self.device).overlay_for(self.bundle)
        bit = self.bundle.root / "overlay" / "tritloom.bit"
        for path in (bit, bit.with_suffix(".hwh")):
            if not path.is_file():
                raise DeviceError(
                    f"the bundle has no overlay/{path.name}: it has not been built for {self.bundle.kernel.board}",
                    f"run `tritloom build` on a machine with Vivado; or {_EMULATE}",
                )
        return bit
