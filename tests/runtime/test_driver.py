"""The driver over a plain register file."""

from __future__ import annotations

import threading

import pytest
from tritloom.runtime import DeviceError, KernelError
from tritloom.runtime.driver import AP_IDLE, AP_START, CTRL, GIER, IP_IER, IP_ISR, KernelDriver
from tritloom.runtime.errors import Cancelled
from tritloom.runtime.hwh import Layout, Register

LAYOUT = Layout(
    "k",
    {
        "p": Register("p", 0x10, 64, "pointer"),
        "T": Register("T", 0x1C, 32, "in"),
        "status": Register("status", 0x24, 32, "out"),
        "cycles": Register("cycles", 0x34, 64, "out"),
    },
)


class Registers:
    def __init__(self) -> None:
        self.words: dict[int, int] = {CTRL: AP_IDLE}
        self.writes: list[tuple[int, int]] = []

    def read(self, offset: int = 0) -> int:
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        assert type(value) is int  # numpy integers confuse pynq
        assert 0 <= value < 1 << 32
        self.words[offset] = value
        self.writes.append((offset, value))


@pytest.fixture
def registers() -> Registers:
    return Registers()


@pytest.fixture
def driver(registers: Registers) -> KernelDriver:
    return KernelDriver(registers, LAYOUT)


def test_a_pointer_is_two_writes(registers: Registers, driver: KernelDriver) -> None:
    driver.set_arguments({"p": 0x1_2345_6780, "T": 3})
    assert registers.writes == [(0x10, 0x2345_6780), (0x14, 1), (0x1C, 3)]


def test_what_a_register_holds_is_not_written_again(registers: Registers, driver: KernelDriver) -> None:
    driver.set_arguments({"p": 5, "T": 3})
    registers.writes.clear()
    driver.set_arguments({"p": 5, "T": 4})
    assert registers.writes == [(0x1C, 4)]


@pytest.mark.parametrize("values", [{"x": 1}, {"T": -1}, {"T": 1 << 32}, {"p": 1 << 64}, {"status": 0}])
def test_bad_arguments(driver: KernelDriver, values: dict[str, int]) -> None:
    with pytest.raises(DeviceError, match="cannot write"):
        driver.set_arguments(values)


def test_a_busy_kernel_is_not_started(registers: Registers, driver: KernelDriver) -> None:
    registers.words[CTRL] = 1
    with pytest.raises(DeviceError, match="still busy"):
        driver.start()


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 99])
def test_every_status_has_a_message(registers: Registers, driver: KernelDriver, status: int) -> None:
    registers.words[0x24] = status
    with pytest.raises(KernelError, match=f"with status {status}: ") as caught:
        driver.check_status()
    assert caught.value.hint
    assert caught.value.status == status


def test_the_dump_decodes_the_control_register(registers: Registers, driver: KernelDriver) -> None:
    registers.words |= {CTRL: 1, 0x10: 0x80, 0x1C: 7}
    assert driver.dump() == "  CTRL=0x01 (START) ISR=0 IER=0\n  T=7 status=0\n  p=0x80"


def test_a_start_sets_the_interrupt_up(registers: Registers, driver: KernelDriver) -> None:
    registers.words[IP_ISR] = 1  # left over
    driver.start(interrupt=True)
    assert registers.writes == [(IP_ISR, 1), (IP_IER, 1), (GIER, 1), (CTRL, AP_START)]
    registers.words |= {CTRL: AP_IDLE, IP_ISR: 0}
    registers.writes.clear()
    driver.start()
    assert registers.writes == [(IP_IER, 0), (GIER, 0), (CTRL, AP_START)]


def test_interrupts_need_a_wire(driver: KernelDriver) -> None:
    def never(_: object) -> None:
        pytest.fail("nothing to wait for")

    with pytest.raises(DeviceError, match="interrupt is not connected") as caught:
        driver.wait_interrupt(1.0, never)
    assert caught.value.hint == "load with wait='poll'"


def test_a_wait_that_is_cancelled(registers: Registers, driver: KernelDriver) -> None:
    registers.words[CTRL] = AP_START
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        driver.wait(10.0, cancelled)
