"""Faults: each ends in a clear error, the device can be used afterwards, and no buffer is left."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import DeviceError, KernelError, KernelTimeout, Session, load

from .boards import board, build_overlay, emulated_device
from .fake_bundle import Reference, write_bundle

DEADLOCK, STALL, STUCK, BAD_STATUS = 60, 61, 62, 63
WAITS = ["poll", "interrupt"]


def expected(tokens: list[int]) -> np.ndarray:
    reference = Reference()
    return np.stack([reference.step(token) for token in tokens])


def check_usable(bundle: Path, device: Any) -> None:
    """The device takes a session, gives the right numbers, and has no memory left in use afterwards."""
    with load(bundle, device) as session:
        assert np.array_equal(session.prefill([1, 2, 3], all_logits=True), expected([1, 2, 3]))
    gc.collect()
    assert device.memory.blocks == ()


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("token", [STALL, STUCK])
def test_the_kernel_never_finishes(
    bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch, wait: Any, token: int
) -> None:
    monkeypatch.setattr("tritloom.runtime.engine._GRACE_SECONDS", 0.2)
    device = emulated_device()
    with load(bundle, device, timeout=0.2, wait=wait) as session:
        session.step(1)
        with pytest.raises(
            KernelTimeout, match=r"not done after 0\.2 s\n  CTRL=0x01 \(START\) ISR=0 IER=[01]\n  mode=2"
        ):
            session.step(token)
        assert np.array_equal(session.step(2), expected([1, 2])[-1])
    check_usable(bundle, device)


def test_interrupts_after_the_overlay_was_loaded_again(
    bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes long enough that the host really sleeps: who waited before must not take the interrupt."""
    monkeypatch.setattr("tritloom.runtime.engine._GRACE_SECONDS", 0.1)
    monkeypatch.setenv("FAKE_KERNEL_MICROSECONDS", "30000")
    device = emulated_device()
    with load(bundle, device, timeout=1.0, wait="interrupt") as session:
        with pytest.raises(KernelTimeout):
            session.step(STUCK)
        assert np.array_equal(session.prefill([1, 2]), expected([1, 2])[-1])
        assert np.array_equal(session.step(3), expected([1, 2, 3])[-1])


def test_an_interrupt_that_is_not_wired(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from tritloom.runtime.emulator.registers import AxiIntc

    monkeypatch.setattr(AxiIntc, "_evaluate", lambda self: None)
    monkeypatch.setenv("FAKE_KERNEL_MICROSECONDS", "30000")
    with load(bundle, "emulated", timeout=0.3, wait="interrupt") as session:
        with pytest.raises(KernelTimeout, match="is done, but its interrupt did not arrive within 0.3 s") as caught:
            session.step(1)
        assert "wait='poll'" in caught.value.hint


@pytest.mark.parametrize("wait", WAITS)
def test_a_bus_error_of_the_kernel(bundle: Path, emulation: None, wait: Any) -> None:
    """A buffer that is gone while the kernel wants it: on AXI, a decode error."""
    device = emulated_device()
    session = load(bundle, device, wait=wait)
    session._engine.memory["gains"].free()
    gc.collect()
    # the host knows the address still
    session._engine.memory._buffers["gains"] = _Address(session._engine.memory["gains"].address)
    with pytest.raises(DeviceError, match="AXI DECERR: the kernel accesses 1,600 bytes of `gains` at 0x1"):
        session.step(1)
    session.close()
    check_usable(bundle, device)


class _Address:
    """A buffer without memory."""

    def __init__(self, address: int) -> None:
        self.address = address

    def free(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize("wait", WAITS)
def test_a_bus_error_of_the_host(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch, wait: Any) -> None:
    device = emulated_device()
    with load(bundle, device, wait=wait) as session:
        with monkeypatch.context() as patch:
            patch.setattr(device, "_find", _bus_error)
            with pytest.raises(DeviceError, match="bus error: nothing answers"):
                session.step(1)
        assert np.array_equal(session.step(2), expected([2])[-1])
    check_usable(bundle, device)


def _bus_error(address: int) -> None:
    raise DeviceError(f"bus error: nothing answers at 0x{address:x}")


def test_a_deadlock_and_a_bad_status(bundle: Path, emulation: None) -> None:
    device = emulated_device()
    with load(bundle, device) as session:
        with pytest.raises(DeviceError, match="deadlocked:\nprocess `engine` waits for stream `codes`"):
            session.step(DEADLOCK)
        with pytest.raises(KernelError, match="status 77"):
            session.step(BAD_STATUS)
        assert np.array_equal(session.step(2), expected([2])[-1])
    check_usable(bundle, device)


def test_contiguous_memory_runs_out_while_it_is_in_use(bundle: Path, emulation: None) -> None:
    device = emulated_device(memory=64 << 10)
    with load(bundle, device) as first:
        in_use = len(device.memory.blocks)
        for _ in range(3):
            with pytest.raises(DeviceError, match=r"no contiguous memory for 4,096 bytes.*CMA exhausted") as caught:
                load(bundle, first)
            assert "the model needs 54,416 bytes" in caught.value.message
            assert "close other sessions" in caught.value.hint
            del caught
            assert len(device.memory.blocks) == in_use
        assert np.array_equal(first.step(2), expected([2])[-1])
    check_usable(bundle, device)


def test_how_much_of_the_cma_is_free(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    build_overlay(bundle)
    device = board(bundle)
    monkeypatch.setattr("tritloom.runtime.memory_map.contiguous_memory", lambda: (4096, 128 << 20))
    monkeypatch.setattr(device.memory, "_gap", _no_gap)
    with pytest.raises(DeviceError, match="; 4,096 of the 134,217,728 bytes of CMA were free"):
        load(bundle, device)


def _no_gap(nbytes: int) -> None:
    raise MemoryError("none")


def test_loading_again_and_again_leaks_nothing(bundle: Path, emulation: None) -> None:
    """As a notebook does whose cell is run again: sessions are dropped, not closed, and no collector helps."""
    device = emulated_device()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            session = load(bundle, device)
            session.step(1)
            del session
            assert device.memory.blocks == ()
    finally:
        gc.enable()


def test_the_wrong_overlay_leaves_the_device_as_it_was(bundle: Path, tmp_path: Path, emulation: None) -> None:
    build_overlay(bundle)
    other = write_bundle(tmp_path / "other", batch=2)
    build_overlay(other)
    device = board(bundle)
    with load(bundle, device) as session:
        (other / "overlay/overlay.json").write_bytes((bundle / "overlay/overlay.json").read_bytes())
        with pytest.raises(DeviceError, match="the overlay is of kernel"):
            load(other, device)
        assert np.array_equal(session.step(2), expected([2])[-1])
    check_usable(bundle, device)


def test_an_hwh_that_changes_between_two_loads(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload after a timeout reads the overlay again, and checks it again."""
    monkeypatch.setattr("tritloom.runtime.engine._GRACE_SECONDS", 0.1)
    build_overlay(bundle)
    device = board(bundle)
    hwh = bundle / "overlay/tritloom.hwh"
    sound = hwh.read_bytes()
    with load(bundle, device, timeout=0.2) as session:
        hwh.write_bytes(sound.replace(b"stop_token", b"stop_tokem"))
        with pytest.raises(DeviceError, match=r"overlay/tritloom\.hwh was changed"):
            session.step(STUCK)
        hwh.write_bytes(sound)
        session._engine.kernel.load()
        assert np.array_equal(session.step(2), expected([2])[-1])
    check_usable(bundle, device)


def test_a_start_that_nobody_waits_for(bundle: Path, emulation: None) -> None:
    """A process that died in mid-run leaves a busy kernel on the fabric: the next load begins from nothing."""
    device = emulated_device()
    session = load(bundle, device)
    _start_and_forget(session)
    with pytest.raises(DeviceError, match="still busy"):
        session._engine.kernel.start({}, {}, "poll")
    del session
    gc.collect()
    assert device.memory.blocks == ()
    check_usable(bundle, device)


def _start_and_forget(session: Session) -> None:
    engine = session._engine
    scalars = engine._prepare(np.array([STUCK], np.uint32), 2, 0, None)
    engine.kernel.start(engine.memory.arguments(), scalars, "poll")
    end = time.monotonic() + 5
    while engine.kernel.settle(0) and time.monotonic() < end:
        time.sleep(0.001)


KILLED = """
import sys
from tritloom.runtime import load
session = load(sys.argv[1], "emulated")
session.step(1)
print("running", flush=True)
session.step(61)
"""


def test_a_process_that_is_killed_in_mid_run(bundle: Path, emulation: None) -> None:
    """Nothing of it stays in the bundle or the cache that would stop the next one."""
    before = sorted(path for path in bundle.rglob("*"))
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(bundle)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    child.stdout.close()
    assert sorted(path for path in bundle.rglob("*")) == before
    check_usable(bundle, emulated_device())


def test_a_process_that_is_killed_while_it_compiles(
    bundle: Path, emulation: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache never holds half a library."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cc").write_text("#!/bin/sh\nwhile [ $1 != -o ]; do shift; done\necho half > $2\nsleep 60\n")
    (tools / "cc").chmod(0o755)
    slow = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(bundle)], start_new_session=True, env=slow)
    end = time.monotonic() + 30
    while not list((tmp_path / "cache").rglob("libtritloom_fast.so")) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(10)
    assert list((tmp_path / "cache").rglob("libtritloom_fast.so"))
    check_usable(bundle, emulated_device())
