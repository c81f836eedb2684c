"""Driving the kernel through its registers: arguments, start, wait, status, counters.

The same code runs on a board and on the emulated device: the registers are pynq's `DefaultIP` on both.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import Cancelled, DeviceError, KernelError, KernelTimeout
from .hwh import CONTROL, Layout

AP_START, AP_DONE, AP_IDLE, AP_READY = 1, 2, 4, 8
CTRL, GIER, IP_IER, IP_ISR = (CONTROL[name] for name in ("CTRL", "GIER", "IP_IER", "IP_ISR"))
POLL_SECONDS = 50e-6
"""Pause between two polls, once a start has lasted `SPIN_SECONDS`."""
SPIN_SECONDS = 200e-6

STATUS = {
    1: ("the program has an instruction that the kernel does not know", "compile the bundle again"),
    2: ("an instruction exceeds a limit of the kernel", "compile the bundle again"),
    3: ("a token lies outside the embedding table", "give token ids below the vocabulary's size"),
    4: ("a mode or argument is invalid", "report this: the runtime should not have started the kernel"),
    5: ("the mode is reserved", "report this: the runtime should not have started the kernel"),
}


CANCEL_SECONDS = 0.1
"""How often a wait for the interrupt looks whether it was cancelled."""

Submit = Callable[[Coroutine[Any, Any, None]], "concurrent.futures.Future[None]"]
"""Runs a coroutine in the asyncio loop that pynq's interrupts belong to."""


class Registers(Protocol):
    """Words of 32 bits by byte offset, as `pynq.DefaultIP` gives them."""

    def read(self, offset: int = 0) -> int: ...

    def write(self, offset: int, value: int) -> None: ...


class Interrupt(Protocol):
    """What pynq gives for an interrupt pin."""

    async def wait(self) -> None: ...


@dataclass(frozen=True)
class Counters:
    """What a start took: clock cycles by the kernel's counters, `seconds` by the host's clock.

    `busy`: cycles the dot-product array worked; `starved`: a port was empty; `waiting`: the array
    waited for the vector unit. The cycles of an emulated kernel are simulated, not measured.
    """

    cycles: int
    busy: int
    starved: int
    waiting: int
    tokens: int
    seconds: float


def check_status(status: int) -> None:
    """Explain what the kernel said of a start.

    Raises:
        KernelError: `status` is not 0.
    """
    if status:
        message, hint = STATUS.get(status, ("an unknown status", "use the bundle's own runtime"))
        raise KernelError(status, f"the kernel refused the start with status {status}: {message}", hint)


class KernelDriver:
    """A kernel behind its registers; `layout` says where its arguments lie, `interrupt` is its pin if it is wired."""

    def __init__(self, registers: Registers, layout: Layout, interrupt: Interrupt | None = None) -> None:
        self._registers = registers
        self.read = registers.read
        self.layout = layout
        self._interrupt = interrupt
        self._written: dict[int, int] = {}

    def set_arguments(self, values: Mapping[str, int]) -> None:
        """Write arguments by name; registers that hold the value already are left alone.

        Raises:
            DeviceError: no such argument, or a value that its register cannot hold.
        """
        for name, value in values.items():
            register = self.layout.registers.get(name)
            if register is None or register.kind == "out" or not 0 <= value < 1 << register.bits:
                raise DeviceError(f"cannot write {value} to the argument `{name}`")
            self._write_word(register.offset, value & 0xFFFFFFFF)
            if register.bits == 64:
                self._write_word(register.offset + 4, value >> 32)

    def _write_word(self, offset: int, value: int) -> None:
        if self._written.get(offset) != value:
            self._registers.write(offset, int(value))
            self._written[offset] = value

    def result(self, name: str) -> int:
        """Read an output argument."""
        register = self.layout.registers[name]
        value = int(self.read(register.offset))
        return value | int(self.read(register.offset + 4)) << 32 if register.bits == 64 else value

    def start(self, interrupt: bool = False) -> None:
        """Start the kernel, with its done interrupt on or off.

        Raises:
            DeviceError: the kernel is running already.
        """
        if not self.read(CTRL) & AP_IDLE:  # this read also drops an AP_DONE that nobody has seen
            raise DeviceError("the kernel is still busy with an earlier start", "load the bundle again")
        if self.read(IP_ISR) & 1:
            self._registers.write(IP_ISR, 1)  # toggle on write
        self._registers.write(IP_IER, int(interrupt))
        self._registers.write(GIER, int(interrupt))
        self._registers.write(CTRL, AP_START)

    def wait(self, timeout: float, cancelled: threading.Event | None = None) -> None:
        """Poll until the kernel is done.

        Raises:
            KernelTimeout: it was not done after `timeout` seconds.
            Cancelled: the event was set.
        """
        began = time.monotonic()
        while not self.read(CTRL) & AP_DONE:
            spent = time.monotonic() - began
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            if spent > timeout:
                raise self._timeout(timeout)
            if spent > SPIN_SECONDS:
                time.sleep(POLL_SECONDS)

    def wait_interrupt(self, timeout: float, submit: Submit, cancelled: threading.Event | None = None) -> None:
        """Sleep until the kernel's interrupt; the kernel must have been started with it.

        Raises:
            KernelTimeout: it was not done after `timeout` seconds, or it was and its interrupt never came.
            Cancelled: the event was set.
            DeviceError: the overlay has no interrupt.
        """
        if self._interrupt is None:
            raise DeviceError("the overlay's interrupt is not connected", "load with wait='poll'")
        end = time.monotonic() + timeout
        future = submit(self._isr(self._interrupt))
        try:
            while True:
                try:
                    return future.result(max(0.0, min(CANCEL_SECONDS, end - time.monotonic())))
                except concurrent.futures.TimeoutError:
                    if cancelled is not None and cancelled.is_set():
                        raise Cancelled from None
                    if time.monotonic() >= end:
                        raise self._no_interrupt(timeout) from None
        finally:
            future.cancel()

    def settle(self, seconds: float) -> bool:
        """Wait for at most `seconds` until the kernel is idle; whether it is."""
        end = time.monotonic() + seconds
        while not self.read(CTRL) & (AP_IDLE | AP_DONE):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    async def _isr(self, interrupt: Interrupt) -> None:
        # The controller keeps a level latched that it acknowledged while the line was high, so a wait
        # may return at once: only the IP's own status register tells.
        while not self.read(IP_ISR) & 1:
            self.read(CTRL)  # a device that failed says so here
            await interrupt.wait()
        self._registers.write(IP_ISR, 1)

    def check_status(self) -> None:
        """Look at the status of the last start.

        Raises:
            KernelError: it is not 0.
        """
        check_status(self.result("status"))

    def dump(self) -> str:
        """The registers as text, the control register decoded: one line a group."""
        control = int(self.read(CTRL))
        flags = (("START", AP_START), ("DONE", AP_DONE), ("IDLE", AP_IDLE), ("READY", AP_READY))
        names = "+".join(name for name, bit in flags if control & bit) or "none"
        scalars = [
            f"{register.name}={self.result(register.name)}"
            for register in self.layout.registers.values()
            if register.bits == 32
        ]
        pointers = [
            f"{register.name}=0x{self.result(register.name):x}"
            for register in self.layout.registers.values()
            if register.kind == "pointer"
        ]
        isr, ier = int(self.read(IP_ISR)), int(self.read(IP_IER))
        lines = (f"CTRL=0x{control:02x} ({names}) ISR={isr} IER={ier}", " ".join(scalars), " ".join(pointers))
        return "\n".join("  " + line for line in lines)

    def _no_interrupt(self, timeout: float) -> KernelTimeout:
        if not self.read(IP_ISR) & 1:
            return self._timeout(timeout)
        return KernelTimeout(
            f"the kernel is done, but its interrupt did not arrive within {timeout:.1f} s\n{self.dump()}",
            "load with wait='poll'; the overlay's interrupt controller or its driver (uio) is at fault",
        )

    def _timeout(self, timeout: float) -> KernelTimeout:
        return KernelTimeout(
            f"the kernel was not done after {timeout:.1f} s\n{self.dump()}",
            "raise the time limit (timeout=...) if the model is that slow; otherwise report the registers",
        )
