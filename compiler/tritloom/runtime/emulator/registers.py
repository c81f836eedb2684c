"""Register-level models of what an overlay holds: the HLS kernel, axi_intc, and the PS clock registers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from ..driver import AP_DONE, AP_IDLE, AP_READY, AP_START, CTRL, GIER, IP_IER, IP_ISR
from ..errors import DeviceError, TritloomRuntimeError
from ..hwh import Layout

Level = Callable[[bool], None]
"""An interrupt output: called with the level of the line."""

Run = Callable[[Mapping[str, int]], Mapping[str, int]]
"""A kernel: input arguments by name -> output arguments by name."""

INTC_ISR, INTC_IPR, INTC_IER, INTC_IAR = 0x00, 0x04, 0x08, 0x0C
INTC_SIE, INTC_CIE, INTC_MER = 0x10, 0x14, 0x1C


def _unconnected(level: bool) -> None:
    """An interrupt output that is not wired."""


class RegisterFile:
    """`span` bytes of plain read/write words at the physical address `base`."""

    def __init__(self, base: int, span: int, initial: Mapping[int, int] | None = None) -> None:
        self.base = base
        self.span = span
        self.words = dict(initial or {})
        self.lock = threading.RLock()
        self.interrupt: Level = _unconnected

    def read32(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        self.words[offset] = value


class HlsKernel(RegisterFile):
    """A Vitis HLS s_axilite slave with ap_ctrl_hs, whose body runs in a thread of its own.

    Where the body raises, reading the control register raises the same error: the bus error that a
    board cannot give.
    """

    def __init__(self, base: int, span: int, layout: Layout, run: Run) -> None:
        super().__init__(base, span)
        self._layout = layout
        self._run = run
        self._control = AP_IDLE
        self._error: TritloomRuntimeError | None = None

    def read32(self, offset: int) -> int:
        with self.lock:
            if offset != CTRL:
                return super().read32(offset)
            if self._error is not None:
                error, self._error = self._error, None
                self._control = AP_IDLE
                raise error
            value = self._control
            self._control &= ~(AP_DONE | AP_READY)  # clear on read
            return value

    def write32(self, offset: int, value: int) -> None:
        with self.lock:
            if offset == CTRL:
                if value & AP_START and not self._control & AP_START:
                    self._control = AP_START
                    threading.Thread(target=self._body, daemon=True, name="emulated-kernel").start()
            elif offset == IP_ISR:
                self.words[IP_ISR] = self.words.get(IP_ISR, 0) ^ value & 3  # toggle on write
            else:
                super().write32(offset, value)
            self._drive()

    def _body(self) -> None:
        try:
            outputs = self._run(self._inputs())
        except TritloomRuntimeError as error:
            self._finish({}, error)
        except Exception as error:  # noqa: BLE001 (a thread's error would be lost otherwise)
            self._finish({}, DeviceError(f"the emulated kernel failed: {type(error).__name__}: {error}"))
        else:
            self._finish(outputs, None)

    def _inputs(self) -> dict[str, int]:
        values = {}
        with self.lock:
            for register in self._layout.registers.values():
                low = self.words.get(register.offset, 0)
                high = self.words.get(register.offset + 4, 0) if register.bits == 64 else 0
                if register.kind != "out":
                    values[register.name] = low | high << 32
        return values

    def _finish(self, outputs: Mapping[str, int], error: TritloomRuntimeError | None) -> None:
        with self.lock:
            for name, value in outputs.items():
                register = self._layout.registers[name]
                self.words[register.offset] = value & 0xFFFFFFFF
                if register.bits == 64:
                    self.words[register.offset + 4] = value >> 32
            self._error = error
            self._control = AP_DONE | AP_IDLE | AP_READY
            if error is not None:
                self.interrupt(True)  # wake a host that waits: its next read of CTRL tells why
                return
            self.words[IP_ISR] = self.words.get(IP_ISR, 0) | self.words.get(IP_IER, 0) & 1
            self._drive()

    def _drive(self) -> None:
        self.interrupt(bool(self.words.get(GIER, 0) & 1 and self.words.get(IP_ISR, 0)))


class AxiIntc(RegisterFile):
    """AMD's axi_intc with level-sensitive inputs: ISR IPR IER IAR SIE CIE MER."""

    def __init__(self, base: int, span: int) -> None:
        super().__init__(base, span)
        self._lines = self._isr = self._ier = self._mer = 0

    def line(self, number: int) -> Level:
        """The input of that number."""

        def set_level(level: bool) -> None:
            with self.lock:
                self._lines = self._lines | 1 << number if level else self._lines & ~(1 << number)
                self._evaluate()

        return set_level

    def read32(self, offset: int) -> int:
        with self.lock:
            pending = self._isr & self._ier
            values = {INTC_ISR: self._isr, INTC_IPR: pending, INTC_IER: self._ier, INTC_MER: self._mer}
            return values.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        with self.lock:
            if offset == INTC_IER:
                self._ier = value
            elif offset == INTC_IAR:
                self._isr &= ~value
            elif offset == INTC_SIE:
                self._ier |= value
            elif offset == INTC_CIE:
                self._ier &= ~value
            elif offset == INTC_MER:
                self._mer = value
            self._evaluate()

    def _evaluate(self) -> None:
        self._isr |= self._lines
        self.interrupt(bool(self._mer & 1 and self._isr & self._ier))


def ps_registers(family: str) -> list[RegisterFile]:
    """The clock registers that `pynq.Clocks` reads and writes, with plausible reset values."""
    if family == "zynq":  # SLCR: PLLs, CPU clock, four PL clocks
        slcr = {0x100: 40 << 12, 0x104: 32 << 12, 0x108: 20 << 12, 0x120: 0x200}
        slcr |= {0x170 + 0x10 * clock: 0x0010_0A00 for clock in range(4)}
        return [RegisterFile(0xF800_0000, 0x1000, slcr)]
    pll = 90 << 8 | 1 << 16  # 1500 MHz
    crl = {0x20: pll, 0x30: pll} | {0xC0 + 4 * clock: 0x0101_0F00 for clock in range(4)}
    crf = {0x20: pll, 0x2C: pll, 0x38: pll, 0x60: 0x100}
    return [RegisterFile(0xFF5E_0000, 0x1000, crl), RegisterFile(0xFD1A_0000, 0x1000, crf)]
