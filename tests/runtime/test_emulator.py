"""The emulated device's parts: memory with two views, registers, the kernel's bounds, trace and flush."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import Bundle, BundleError, DeviceError, load
from tritloom.runtime.driver import AP_DONE, AP_IDLE, AP_START, CTRL, GIER, IP_IER, IP_ISR
from tritloom.runtime.emulator.memory import BASE, PAGE, Memory
from tritloom.runtime.emulator.registers import INTC_IAR, INTC_IPR, INTC_MER, INTC_SIE, AxiIntc, HlsKernel
from tritloom.runtime.hwh import Layout, Register

from .fake_bundle import edit, write_bundle


class TestMemory:
    def test_host_and_device_differ_until_synced(self) -> None:
        memory = Memory(16 * PAGE)
        block = memory.allocate(100)
        memory.host_map[block.offset : block.offset + 4] = b"abcd"
        view = memory.device_view(BASE + block.offset, 4, "x")
        assert view.tobytes() != b"abcd"
        memory.flush(block.offset, 2)
        assert view.tobytes()[:2] == b"ab"
        assert view.tobytes()[2:] != b"cd"
        view[:] = 7
        memory.invalidate(block.offset, 4)
        assert memory.host_map[block.offset : block.offset + 4] == b"\7" * 4

    def test_gaps_are_used_again(self) -> None:
        memory = Memory(4 * PAGE)
        blocks = [memory.allocate(PAGE) for _ in range(4)]
        with pytest.raises(MemoryError, match=r"1 bytes asked for, 16,384 of 16,384 in use"):
            memory.allocate(1)
        memory.free(blocks[1])
        memory.free(blocks[1])
        memory.free(blocks[2])
        assert memory.allocate(2 * PAGE).offset == PAGE
        assert len(memory.blocks) == 3

    @pytest.mark.parametrize(
        ("offset", "nbytes", "message"),
        [
            (-16, 4, "nothing is allocated there"),
            (2 * PAGE, 4, "nothing is allocated there"),
            (0, 113, "its buffer ends after 112"),
            (96, 17, "its buffer ends after 16"),
            (112, 4, "nothing is allocated there"),
        ],
    )
    def test_accesses_outside_a_buffer(self, offset: int, nbytes: int, message: str) -> None:
        memory = Memory(4 * PAGE)
        memory.allocate(100)
        memory.allocate(16)
        with pytest.raises(DeviceError, match=f"AXI DECERR: the kernel accesses {nbytes} bytes of `tokens`.*{message}"):
            memory.device_view(BASE + offset, nbytes, "tokens")

    def test_untouched_memory_costs_nothing(self) -> None:
        memory = Memory(64 << 30)
        assert memory.allocate(32 << 30).offset == 0


def _wait(ready: Any) -> None:
    end = time.monotonic() + 5
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.001)


class TestHlsKernel:
    layout = Layout(
        "k",
        {
            "p": Register("p", 0x10, 64, "pointer"),
            "n": Register("n", 0x1C, 32, "in"),
            "c": Register("c", 0x24, 64, "out"),
        },
    )

    def kernel(self, run: Any) -> HlsKernel:
        return HlsKernel(0, 0x1000, self.layout, run)

    def test_arguments_and_handshake(self) -> None:
        gate, seen = threading.Event(), {}

        def run(values: dict[str, int]) -> dict[str, int]:
            gate.wait(5)
            seen.update(values)
            return {"c": 5 << 32 | 6}

        kernel = self.kernel(run)
        for offset, value in ((0x10, 1), (0x14, 2), (0x1C, 3)):
            kernel.write32(offset, value)
        assert kernel.read32(CTRL) == AP_IDLE
        kernel.write32(CTRL, AP_START)
        assert kernel.read32(CTRL) == AP_START
        kernel.write32(CTRL, AP_START)  # ignored while busy
        gate.set()
        _wait(lambda: kernel.words.get(0x28) == 5)
        _wait(lambda: kernel.read32(CTRL) & AP_DONE)
        assert kernel.read32(CTRL) == AP_IDLE  # done is cleared by the read
        assert seen == {"p": 2 << 32 | 1, "n": 3}
        assert (kernel.read32(0x24), kernel.read32(0x28)) == (6, 5)

    def test_interrupt_and_its_controller(self) -> None:
        kernel, controller, levels = self.kernel(lambda _: {}), AxiIntc(0, 0x1000), []
        controller.interrupt = levels.append
        kernel.interrupt = controller.line(3)
        kernel.write32(GIER, 1)
        kernel.write32(IP_IER, 1)
        controller.write32(INTC_SIE, 1 << 3)
        controller.write32(INTC_MER, 3)
        kernel.write32(CTRL, AP_START)
        _wait(lambda: levels[-1:] == [True])
        controller.write32(INTC_IAR, 1 << 3)
        assert controller.read32(INTC_IPR) == 1 << 3  # acknowledged while the line was high
        kernel.write32(IP_ISR, 1)
        controller.write32(INTC_IAR, 1 << 3)
        assert controller.read32(INTC_IPR) == 0
        assert levels[-1] is False

    @pytest.mark.parametrize("error", [DeviceError("broken"), RuntimeError("broken")])
    def test_an_error_of_the_body_is_raised_at_the_next_read(self, error: Exception) -> None:
        def run(values: dict[str, int]) -> dict[str, int]:
            raise error

        kernel = self.kernel(run)
        kernel.write32(CTRL, AP_START)
        with pytest.raises(DeviceError, match="broken"):
            _wait(lambda: kernel.read32(CTRL) & AP_DONE)
        assert kernel.read32(CTRL) == AP_IDLE


def test_a_buffer_that_is_too_short(bundle: Path, emulation: None) -> None:
    edit(bundle, lambda manifest: manifest["program"].update(state_words=8, states=[]))
    message = r"accesses 80 bytes of `state`.* its buffer ends after 32"
    with load(bundle, "emulated") as session, pytest.raises(DeviceError, match=message):
        session.step(1)


def test_trace(bundle: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    seen: list[tuple[Any, ...]] = []
    device = EmulatedDevice(trace=lambda *values: seen.append(values))
    with load(bundle, device) as session:
        session.prefill([3, 4])
        state = session.save_state().words
    assert [values[:4] for values in seen] == [
        (position, 0, position, what) for position in (0, 1) for what in ("codes", "state")
    ]
    assert seen[2][4].dtype == np.int8
    assert seen[2][4].tolist() == [4]
    assert np.array_equal(seen[3][4], state)


def test_an_error_in_the_trace_callback(bundle: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    def fail(*_: object) -> None:
        raise KeyError("codes")

    message = r"the trace callback failed: KeyError\('codes'\)"
    with load(bundle, EmulatedDevice(trace=fail)) as session, pytest.raises(DeviceError, match=message):
        session.step(1)


@pytest.mark.parametrize("flush", [True, False])
def test_flush(bundle: Path, emulation: None, flush: bool) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    with load(bundle, EmulatedDevice(build="bounded", flush=flush)) as session:
        session.step(1)
        assert session.last_counters is not None
        assert session.last_counters.waiting == int(flush)  # the fake kernel reports it there


@pytest.mark.parametrize("family", ["zynq", "zynqmp"])
def test_pynq_sees_an_overlay(tmp_path: Path, emulation: None, family: str) -> None:
    from tritloom.runtime._pynq import TritloomIP, open_overlay
    from tritloom.runtime.emulator.device import EmulatedDevice

    device = EmulatedDevice()
    overlay: Any = open_overlay(device.overlay_for(Bundle.open(write_bundle(tmp_path / "b", family))), device)
    assert isinstance(overlay.tritloom_0, TritloomIP)
    assert overlay.is_loaded()
    assert overlay.tritloom_0.interrupt is not None
    assert "AP_IDLE" in repr(overlay.tritloom_0.register_map.CTRL)
    buffer = overlay.PSDDR.allocate((4, 4), "f4")
    buffer[1] = 3
    buffer[1].flush()
    assert buffer[1].device_address == buffer.device_address + 16
    with pytest.raises(DeviceError, match="bus error"):
        device.read_registers(0x1234, 4)


FRESH = """
import sys
import numpy as np
import pynq
from tritloom.runtime import load

sessions = []
for path in sys.argv[1:]:
    sessions.append(load(path, "emulated"))
    print(type(pynq.Clocks._instance).__name__, round(pynq.Clocks.fclk0_mhz))
for session in sessions:
    session.step(1)
    session._engine.kernel.load()  # as after a timeout: the clocks are set again
    session.step(2)
print(all(np.array_equal(session.save_state().words, sessions[0].save_state().words) for session in sessions))
"""


@pytest.mark.parametrize("families", [["zynq"], ["zynqmp"], ["zynq", "zynqmp"], ["zynqmp", "zynq"]], ids="-".join)
def test_families_in_a_fresh_process(tmp_path: Path, emulation: None, families: list[str]) -> None:
    """pynq keeps its model of the clocks as long as the process lives: other tests must not have made it."""
    from tritloom.runtime._pynq import CLOCKS_BY_DEVICE

    if not CLOCKS_BY_DEVICE:
        pytest.skip("this pynq does not set the emulated device's clocks")
    paths = [str(write_bundle(tmp_path / family, family)) for family in families]
    done = subprocess.run([sys.executable, "-c", FRESH, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    clocks = {"zynq": "_ClocksZynq 250", "zynqmp": "_ClocksUltrascale 250"}
    assert done.stdout.splitlines() == [*(clocks[family] for family in families), "True"]


def test_one_device_for_both_families(tmp_path: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    device = EmulatedDevice()
    for family in ("zynqmp", "zynq", "zynqmp"):
        with load(write_bundle(tmp_path / family, family), device) as session:
            session.step(1)
        if family == "zynq":
            assert device.read_registers(0xF800_0170, 4)
        else:
            with pytest.raises(DeviceError, match="bus error"):
                device.read_registers(0xF800_0170, 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("static constexpr unsigned K_MAX = 80;", None),
        ("static constexpr unsigned K_MAX = 160;", "config.h has 160 for K_MAX, the manifest says 80"),
        ("", "config.h has no number for K_MAX"),
    ],
)
def test_the_limits_of_the_sources(bundle: Path, emulation: None, line: str, message: str | None) -> None:
    limits = {"PORTS": 2, "PORT_BITS": 128, "SLICES": 2, "BATCH": 4, "LANES": 8, "CODE_SLOTS": 3}
    limits |= {"VECTOR_WORDS": 256, "STATE_WORDS": 64, "PROGRAM_MAX": 16, "TOPK": 8}
    text = "".join(f"  static constexpr unsigned {name} = {value};  // x\n" for name, value in limits.items()) + line
    (bundle / "hls" / "config.h").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    edit(bundle, lambda manifest: manifest["files"].update({"hls/config.h": digest}))
    if message is None:
        load(bundle, "emulated").close()
    else:
        with pytest.raises(BundleError, match=message):
            load(bundle, "emulated")
