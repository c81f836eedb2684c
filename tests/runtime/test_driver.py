"""The driver over a plain register file."""

from __future__ import annotations

import asyncio

import pytest
from tritloom.runtime import DeviceError, KernelError
from tritloom.runtime.driver import AP_IDLE, CTRL, KernelDriver
from tritloom.runtime.hwh import Layout, Register


class Registers(KernelDriver):
    def __init__(self) -> None:
        self.words: dict[int, int] = {CTRL: AP_IDLE}
        self.writes: list[tuple[int, int]] = []
        names = {
            "p": (0x10, 64, "pointer"),
            "T": (0x1C, 32, "in"),
            "status": (0x24, 32, "out"),
            "cycles": (0x34, 64, "out"),
        }
        self.attach(Layout("k", {name: Register(name, *where) for name, where in names.items()}))

    def read(self, offset: int = 0) -> int:
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        assert type(value) is int  # numpy integers confuse pynq
        assert 0 <= value < 1 << 32
        self.words[offset] = value
        self.writes.append((offset, value))


def test_a_pointer_is_two_writes() -> None:
    driver = Registers()
    driver.set_arguments({"p": 0x1_2345_6780, "T": 3})
    assert driver.writes == [(0x10, 0x2345_6780), (0x14, 1), (0x1C, 3)]


def test_what_a_register_holds_is_not_written_again() -> None:
    driver = Registers()
    driver.set_arguments({"p": 5, "T": 3})
    driver.writes.clear()
    driver.set_arguments({"p": 5, "T": 4})
    assert driver.writes == [(0x1C, 4)]


@pytest.mark.parametrize("values", [{"x": 1}, {"T": -1}, {"T": 1 << 32}, {"p": 1 << 64}, {"status": 0}])
def test_bad_arguments(values: dict[str, int]) -> None:
    with pytest.raises(DeviceError, match="cannot write"):
        Registers().set_arguments(values)


def test_a_busy_kernel_is_not_started() -> None:
    driver = Registers()
    driver.words[CTRL] = 1
    with pytest.raises(DeviceError, match="still busy"):
        driver.start()


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 99])
def test_every_status_has_a_message(status: int) -> None:
    driver = Registers()
    driver.words[0x24] = status
    with pytest.raises(KernelError, match=f"with status {status}: ") as caught:
        driver.check_status()
    assert caught.value.hint
    assert caught.value.status == status


def test_the_dump_decodes_the_control_register() -> None:
    driver = Registers()
    driver.words |= {CTRL: 1, 0x10: 0x80, 0x1C: 7}
    assert driver.dump() == "  CTRL=0x01 (START) ISR=0 IER=0\n  T=7 status=0\n  p=0x80"


def test_interrupts_need_a_wire_and_a_loop_of_their_own() -> None:
    class Wired(Registers):
        class interrupt:  # noqa: N801
            @staticmethod
            async def wait() -> None: ...

    async def inside() -> None:
        with pytest.raises(DeviceError, match="asyncio loop is running"):
            Wired().wait_interrupt(1.0, asyncio.get_running_loop())

    asyncio.run(inside())
    loop = asyncio.new_event_loop()
    with pytest.raises(DeviceError, match="interrupt is not connected"):
        Registers().wait_interrupt(1.0, loop)
    loop.close()
