"""RTL behind the emulated device: the runtime's own driver, pynq and memory against a hand-written Verilog fixture.

The fixture stands for an HLS kernel at its ports; no clock count is taken from it.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritloom.runtime.errors import BuildError, DeviceError, KernelError, KernelTimeout
from tritloom.runtime.kernel_manifest import NET_VLNV, Kernel, net_arguments

pytest.importorskip("pynq")
if shutil.which("verilator") is None or shutil.which("g++") is None:
    pytest.skip("verilator and g++ are not installed", allow_module_level=True)

from tritloom.runtime.emulator.rtl import Master, RtlDesign, RtlDevice, build_rtl
from tritloom.runtime.overlay import LoadedKernel

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "rtl" / "vector_adder.v"
LANES = 16
KERNEL = Kernel(
    hash="0" * 64,
    vlnv=NET_VLNV,
    board="kv260",
    part="xck26-sfvc784-2LV-c",
    family="zynqmp",
    clock_mhz=250.0,
    limits=None,
    args=net_arguments(),
)


def _design(source: Path = FIXTURE) -> RtlDesign:
    masters = (Master("input", 128), Master("output", 128))
    return RtlDesign("vector_adder", (source,), masters, ROOT / "templates" / "rtl")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture, Verilated."""
    return build_rtl(_design(), tmp_path_factory.mktemp("rtl"))


def _load(library: Path, seed: int = 1, kernel: Kernel = KERNEL) -> LoadedKernel:
    bundle: Any = SimpleNamespace(kernel=kernel)
    return LoadedKernel(bundle, RtlDevice(_design(), library, seed))


@pytest.fixture
def kernel(library: Path) -> LoadedKernel:
    return _load(library)


def _add(kernel: LoadedKernel, frames: npt.NDArray[np.int32], wait: Any = "poll") -> npt.NDArray[np.int32]:
    """Frames of two vectors each, int32 [n, 2, 16], through the kernel: their sums, int32 [n, 16]."""
    source, target = (
        kernel.allocate("input", max(1, frames.nbytes)),
        kernel.allocate("output", max(1, frames.nbytes // 2)),
    )
    try:
        source.fill(frames.reshape(-1))
        target.fill(np.full(len(frames) * LANES, 0x5A5A5A5A, np.int32))
        kernel.start({"input": source, "output": target}, {"frames": len(frames)}, wait)
        kernel.wait(10.0, wait, None)
        assert kernel.results()["status"] == 0
        target.from_device()
        return np.array(target.view(np.int32, 0, len(frames) * LANES)).reshape(-1, LANES)
    finally:
        source.free()
        target.free()


def _frames(count: int, seed: int = 3) -> npt.NDArray[np.int32]:
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (count, 2, LANES), np.int32)


@pytest.mark.parametrize("wait", ["poll", "interrupt"])
@pytest.mark.parametrize("count", [1, 7])
def test_sums_in_memory(kernel: LoadedKernel, wait: str, count: int) -> None:
    frames = _frames(count)
    assert np.array_equal(_add(kernel, frames, wait), frames[:, 0] + frames[:, 1])


@pytest.mark.parametrize("seed", range(2, 7))
def test_waits_on_the_bus_do_not_matter(library: Path, seed: int) -> None:
    frames = _frames(5, seed)
    assert np.array_equal(_add(_load(library, seed), frames), frames[:, 0] + frames[:, 1])


def test_starts_follow_each_other(kernel: LoadedKernel) -> None:
    for round_number in range(4):
        frames = _frames(3, round_number)
        wait = "interrupt" if round_number % 2 else "poll"
        assert np.array_equal(_add(kernel, frames, wait), frames[:, 0] + frames[:, 1])


def test_a_forgotten_sync_shows(kernel: LoadedKernel) -> None:
    frames = _frames(1)
    source, target = kernel.allocate("input", frames.nbytes), kernel.allocate("output", frames.nbytes // 2)
    source.view(np.int32, 0, frames.size)[:] = frames.reshape(-1)  # and no to_device
    kernel.start({"input": source, "output": target}, {"frames": 1}, "poll")
    kernel.wait(20.0, "poll", None)
    target.from_device()
    assert not np.array_equal(target.view(np.int32, 0, LANES), frames[0, 0] + frames[0, 1])


def test_the_kernel_refuses(kernel: LoadedKernel) -> None:
    with pytest.raises(KernelError):
        _add(kernel, _frames(0))
    frames = _frames(2)
    assert np.array_equal(_add(kernel, frames), frames[:, 0] + frames[:, 1])


def test_memory_that_is_not_there_is_a_bus_error(kernel: LoadedKernel) -> None:
    source, target = kernel.allocate("input", 128), kernel.allocate("output", 64)
    kernel.start({"input": source, "output": target}, {"frames": 3}, "poll")
    with pytest.raises(DeviceError, match=r"AXI DECERR: the kernel accesses 128 bytes of `input`"):
        kernel.wait(20.0, "poll", None)


@pytest.mark.long
def test_a_hanging_kernel_times_out_and_the_device_lives(library: Path, tmp_path: Path) -> None:
    text = FIXTURE.read_text(encoding="utf-8").replace("if (m_axi_output_BVALID)", "if (0)")
    broken = tmp_path / "vector_adder.v"
    broken.write_text(text.replace("ANSWER: begin", "ANSWER: begin"), encoding="utf-8")
    design = _design(broken)
    bundle: Any = SimpleNamespace(kernel=KERNEL)
    kernel = LoadedKernel(bundle, RtlDevice(design, build_rtl(design, tmp_path / "out")))
    source, target = kernel.allocate("input", 128), kernel.allocate("output", 64)
    kernel.start({"input": source, "output": target}, {"frames": 1}, "poll")
    with pytest.raises(KernelTimeout, match="not done after 0.2 s"):
        kernel.wait(0.2, "poll", None)
    kernel.load()
    assert kernel.settle(1.0)


# What is changed in the Verilog, and what the bridge says of it.
BROKEN = {
    "a burst over a page": ("ARADDR <= input_address", "ARADDR <= input_address + 64'hfc0", "over a boundary of 4 KiB"),
    "an early last": ("WLAST = beat == BEATS - 1", "WLAST = beat == BEATS - 2", "WLAST is not at a burst's end"),
    "an address that moves": (
        "ASK: if (m_axi_input_ARREADY) begin",
        "ASK: if (!m_axi_input_ARREADY) m_axi_input_ARADDR <= m_axi_input_ARADDR + 16; else begin",
        "ARADDR or its VALID changed before it was accepted",
    ),
    "a wrapping burst": ("m_axi_input_ARBURST = 2'b01", "m_axi_input_ARBURST = 2'b10", "a burst that is not INCR"),
    "narrow beats": ("m_axi_input_ARSIZE = 3'd4", "m_axi_input_ARSIZE = 3'd2", "a burst of narrow beats"),
    "no answer to a read": ("s_axi_control_RVALID <= 1;", "s_axi_control_RVALID <= 0;", "a read is not answered"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_protocol_is_named(tmp_path: Path, name: str) -> None:
    old, new, complaint = BROKEN[name]
    text = FIXTURE.read_text(encoding="utf-8")
    assert old in text
    source = tmp_path / "vector_adder.v"
    source.write_text(text.replace(old, new), encoding="utf-8")
    design = _design(source)
    library = build_rtl(design, tmp_path / "out")
    with pytest.raises(DeviceError, match=complaint):
        _add_with_all_seeds(design, library)


def _add_with_all_seeds(design: RtlDesign, library: Path) -> None:
    """Sums under several patterns of waits, of which one at least brings a broken rule to light."""
    bundle: Any = SimpleNamespace(kernel=KERNEL)
    for seed in range(1, 9):
        _add(LoadedKernel(bundle, RtlDevice(design, library, seed)), _frames(4))


@pytest.mark.long
def test_a_wrong_sum_is_seen(tmp_path: Path) -> None:
    text = FIXTURE.read_text(encoding="utf-8").replace("kept[31:0] + other[31:0]", "kept[31:0] - other[31:0]")
    source = tmp_path / "vector_adder.v"
    source.write_text(text, encoding="utf-8")
    kernel = _load(build_rtl(_design(source), tmp_path / "out"))
    frames = _frames(2)
    assert not np.array_equal(_add(kernel, frames), frames[:, 0] + frames[:, 1])


def test_verilog_that_is_none(tmp_path: Path) -> None:
    source = tmp_path / "vector_adder.v"
    source.write_text("module vector_adder (input wire ap_clk;\nendmodule\n", encoding="utf-8")
    with pytest.raises(BuildError, match="verilator failed: .*rror"):
        build_rtl(_design(source), tmp_path / "out")


@pytest.mark.long
def test_verilog_without_the_ports(tmp_path: Path) -> None:
    source = tmp_path / "vector_adder.v"
    source.write_text("module vector_adder (input wire ap_clk);\nendmodule\n", encoding="utf-8")
    with pytest.raises(BuildError, match="the C\\+\\+ compiler failed: .*member"):
        build_rtl(_design(source), tmp_path / "out")


def test_without_verilator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError) as caught:
        build_rtl(_design(), tmp_path)
    assert caught.value.message == "RTL simulation needs `verilator`, which is not installed"


@pytest.mark.parametrize("wait", ["poll", "interrupt"])
def test_the_clock_stops_with_the_kernel(kernel: LoadedKernel, wait: str) -> None:
    before = set(threading.enumerate())
    _add(kernel, _frames(1), wait)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(thread.name == "emulated-clock" for thread in set(threading.enumerate()) - before):
            return
        time.sleep(0.01)
    pytest.fail("the clock runs on")


def test_interrupts_arrive_whatever_the_waits(library: Path) -> None:
    for seed in range(1, 25):
        frames = _frames(7, seed)
        assert np.array_equal(_add(_load(library, seed), frames, "interrupt"), frames[:, 0] + frames[:, 1])
