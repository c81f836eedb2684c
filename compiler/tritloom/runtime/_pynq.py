"""The one module that imports pynq, and all of pynq that the runtime uses.

pynq has no type hints: for the type checker the parts in use are declared here. Import this module inside
functions only, so that reading a bundle works without pynq.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from .driver import Interrupt
from .errors import DeviceError
from .kernel_manifest import NET_VLNV, VLNV

if TYPE_CHECKING:

    class Device:
        """pynq.pl_server.device.Device."""

        capabilities: dict[str, bool]
        devices: list[Device]
        active_device: Device | None
        tag: str

        def __init__(self, tag: str) -> None: ...
        def post_download(self, *args: Any) -> None: ...

    class PynqBuffer(npt.NDArray[Any]):
        """pynq.buffer.PynqBuffer."""

        device: Any
        device_address: int

        def __new__(cls, *args: Any, **kwargs: Any) -> PynqBuffer: ...
        def flush(self) -> None: ...
        def invalidate(self) -> None: ...

    class Overlay:
        """pynq.Overlay."""

        ip_dict: dict[str, dict[str, Any]]

        def __init__(self, bitfile_name: str, *, device: Device) -> None: ...
        def is_loaded(self) -> bool: ...

    class DefaultIP:
        """pynq.DefaultIP."""

        def __init__(self, description: dict[str, Any]) -> None: ...
        def read(self, offset: int = 0) -> int: ...
        def write(self, offset: int, value: int) -> None: ...

    RuntimeMetadataParser: Any
    Metadata: Any
    InterruptController: Any
    CLOCKS_BY_DEVICE: bool
    Clocks: Any
else:
    try:
        from pynq import Clocks, DefaultIP, Overlay
        from pynq.buffer import PynqBuffer
        from pynq.interrupt import _InterruptController as InterruptController
        from pynq.pl_server.device import Device
        from pynqmetadata.frontends import Metadata  # noqa: F401

        try:  # pynq 4
            from pynqmetadata.views.runtime import RuntimeMetadataParser
        except ImportError:  # pynq 3
            from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser  # noqa: F401
    except ImportError as error:
        raise DeviceError(
            f"the package pynq cannot be imported: {error}",
            "pip install 'tritloom[board]' (or pynq itself, with numpy<2, setuptools<81, pycparser<3)",
        ) from error
    # pynq 3.0 picks the model of the PL clocks by the host's processor, later ones by the device
    CLOCKS_BY_DEVICE = hasattr(Clocks, "set_device")

T = TypeVar("T")

_PYNQ_ERRORS = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError, ImportError)


class TritloomIP(DefaultIP):
    """What pynq gives for the kernel in any overlay, once this module is imported: its registers and its interrupt."""

    bindto: ClassVar[list[str]] = [VLNV, NET_VLNV]
    interrupt: Interrupt | None = None


def board() -> Device | None:
    """The FPGA of this machine, or None where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No devices found"
        try:
            devices = Device.devices
        except _PYNQ_ERRORS as error:
            raise DeviceError(f"pynq cannot probe for devices: {error}", "are you root?") from error
    real = [device for device in devices if not getattr(device, "emulated", False)]
    return real[0] if real else None


def open_overlay(bitfile: str | os.PathLike[str], device: Device) -> Overlay:
    """Download an overlay to a device.

    Raises:
        DeviceError: pynq could not do it.
    """
    return _in_loop(lambda: _open(bitfile, device))  # pynq opens the interrupts' files in the current loop


def _open(bitfile: str | os.PathLike[str], device: Device) -> Overlay:
    before = getattr(Device, "_active_device", None)
    _forget_clocks()
    _forget_waiters()
    Device.active_device = device  # pynq's Interrupt and PL look there, whatever `device=` says
    try:
        overlay = Overlay(str(bitfile), device=device)
        _touch_ips(overlay)
        return overlay
    except _PYNQ_ERRORS as error:
        raise DeviceError(
            f"pynq could not load {bitfile}: {type(error).__name__}: {error}",
            "check that the overlay was built for this board and that you are root",
        ) from error
    finally:
        if before is not None:
            Device.active_device = before


def _forget_clocks() -> None:
    """Let pynq choose its model of the clocks again: it keeps the one for the first device of the process."""
    if "_real_instance" in vars(Clocks):
        del Clocks._real_instance


def _forget_waiters() -> None:
    """Drop what waited for the interrupts of earlier overlays.

    pynq keeps the UIO devices, and with them the controllers that were waiting when an overlay was replaced. The next
    interrupt would wake such a controller first, which takes it away from the one that the new overlay has.
    """
    for uio in InterruptController._uio_devices.values():
        uio.wait_events = []


def _touch_ips(overlay: Overlay) -> None:
    """Create the kernel's driver while the device is the active one."""
    for path, entry in overlay.ip_dict.items():
        if entry.get("type") in TritloomIP.bindto:
            find_ip(overlay, path)


def find_ip(overlay: Overlay, path: str) -> TritloomIP:
    """The driver of the IP at a path such as ``tritloom_0`` or ``engine/tritloom_0``."""
    found: Any = overlay
    for name in path.split("/"):
        found = getattr(found, name)
    if not isinstance(found, TritloomIP):
        raise DeviceError(f"pynq bound {type(found).__name__} to the IP {path}", "import tritloom first")
    return found


def allocate(nbytes: int, device: Device) -> PynqBuffer:
    """Contiguous memory, uint8 [nbytes].

    Raises:
        DeviceError: none left.
    """
    try:
        buffer = device.allocate((nbytes,), np.uint8)  # type: ignore[attr-defined]
    except (*_PYNQ_ERRORS, MemoryError) as error:
        raise DeviceError(
            f"no contiguous memory for {nbytes:,} bytes: {error}",
            "close other sessions, or raise the board's CMA (cma=... in the boot arguments)",
        ) from error
    if not isinstance(buffer, PynqBuffer):
        raise DeviceError(f"the device allocated a {type(buffer).__name__}, not a PynqBuffer")
    return buffer


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """This process's loop for pynq's interrupts, in a thread of its own, so that callers may have a loop too."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    threading.Thread(target=run, daemon=True, name="tritloom-interrupts").start()
    return loop


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Run a coroutine in the loop of pynq's interrupts."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop())


def _in_loop(function: Callable[[], T]) -> T:
    """Call a function in the loop of pynq's interrupts, and wait for it."""

    async def call() -> T:
        return function()

    return submit(call()).result()
