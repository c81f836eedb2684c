"""A session of a feed-forward net on the emulated device: values, failures, awaiting, timing, the self-test."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import (
    BundleError,
    DeviceError,
    InputError,
    KernelError,
    KernelTimeout,
    NetSession,
    canonical_hash,
    load,
)
from tritloom.runtime.__main__ import main
from tritloom.runtime.bench import bench_net, random_frames
from tritloom.runtime.selftest import check, record

from .boards import board, build_overlay, emulated_device
from .fake_bundle import write_overlay
from .fake_net import scores, write_net
from .fake_pyxrt import make_module

STALL, DEADLOCK, REFUSE = 113, 114, 115


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_net(tmp_path / "net")


@pytest.fixture
def session(net: Path, emulation: None) -> Iterator[NetSession]:
    with load(net, "emulated") as opened:
        assert isinstance(opened, NetSession)
        yield opened


def frames(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(-100, 100, (count, 2, 4)).astype(np.int8)


def frame(first: int) -> dict[str, np.ndarray]:
    return {"x": np.array([[[first, 1, 2, 3], [4, 5, 6, 7]]], np.int8)}


@pytest.mark.parametrize("count", [1, 3, 256, 257, 600])
@pytest.mark.parametrize("wait", ["poll", "interrupt"])
def test_run(net: Path, emulation: None, count: int, wait: Any) -> None:
    with load(net, "emulated", wait=wait) as session:
        (found,) = session.run(None, {"x": frames(count)})
        assert (found.dtype, found.shape) == (np.float32, (count, 2, 3))
        assert np.array_equal(found, scores(frames(count)))
        counters = session.last_counters
        assert (counters.frames, counters.starts, counters.cycles) == (count, -(-count // 256), 20 * count)


@pytest.mark.parametrize(
    ("names", "feeds", "message"),
    [
        (["y"], frame(1), "no output 'y'"),
        (None, {}, "'x' is missing"),
        (None, {**frame(1), "z": 1}, "no input 'z'"),
        (None, {"x": frame(1)["x"].astype(np.int16)}, r"'x' is int16 \[1, 2, 4\]"),
        (None, {"x": frame(1)["x"][0]}, r"'x' is int8 \[2, 4\]"),
        (None, {"x": frame(1)["x"][:0]}, r"'x' is int8 \[0, 2, 4\]"),
    ],
)
def test_bad_feeds(session: NetSession, names: Any, feeds: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        session.run(names, feeds)


@pytest.mark.parametrize("wait", ["poll", "interrupt"])
@pytest.mark.parametrize(
    ("first", "error", "message"),
    [
        (STALL, KernelTimeout, r"not done after 0.3 s\n  CTRL=0x01 \(START\)"),
        (DEADLOCK, DeviceError, "deadlocked:\nprocess `mvau0` waits"),
        (REFUSE, KernelError, "refused the start with status 1"),
    ],
)
def test_faults(
    net: Path, emulation: None, monkeypatch: pytest.MonkeyPatch, wait: Any, first: int, error: Any, message: str
) -> None:
    monkeypatch.setattr("tritloom.runtime.net_session._GRACE_SECONDS", 0.1)
    device = emulated_device()
    with load(net, device, timeout=0.3, wait=wait) as session:
        with pytest.raises(error, match=message):
            session.run(None, frame(first))
        assert np.array_equal(session.run(None, frame(1))[0], scores(frame(1)["x"]))
    gc.collect()
    assert device.memory.blocks == ()


def test_a_closed_session(net: Path, emulation: None) -> None:
    device = emulated_device()
    with load(net, device) as session:
        session.run(None, frame(1))
    with pytest.raises(DeviceError, match="the session is closed"):
        session.run(None, frame(1))
    session.close()
    gc.collect()
    assert device.memory.blocks == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 2, 4), np.nan, np.float32), "'x' holds NaN"),
        (np.zeros((2, 2, 4)), r"'x' is float64 \[2, 2, 4\]"),
        (np.zeros((2, 4, 2), np.float32), r"'x' is float32 \[2, 4, 2\]"),
        (np.float32(1), r"'x' is float32 \[\]"),
        ([[["a"] * 4] * 2], r"'x' is <U1 \[1, 2, 4\]"),
    ],
)
def test_bad_floats(net: Path, emulation: None, values: Any, message: str) -> None:
    def floats(program: dict[str, Any]) -> None:
        program["input"]["dtype"], program["input_bytes"] = "float32", 32

    change_program(net, floats)
    with load(net, "emulated") as session:
        with pytest.raises(InputError, match=message) as caught:
            session.run(None, {"x": values})
        assert caught.value.hint
        assert session.last_counters is None  # nothing was started
        session.run(None, {"x": np.full((1, 2, 4), np.inf, np.float32)})


def change_program(net: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the program in the manifest, its hash made right."""
    path = net / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["program"])
    manifest["program"]["hash"] = canonical_hash(manifest["program"])
    path.write_text(json.dumps(manifest))


def test_two_sessions_on_two_devices(net: Path, emulation: None) -> None:
    """They take turns in one process, from two threads."""
    with load(net, emulated_device()) as a, load(net, emulated_device()) as b:
        given = {a: [frames(count) for count in (3, 300, 7)], b: [frames(count) for count in (5, 257, 1)]}
        found: dict[Any, list[np.ndarray]] = {a: [], b: []}

        def run(session: Any) -> None:
            found[session] += [session.run(None, {"x": part})[0] for part in given[session]]

        threads = [threading.Thread(target=run, args=(session,)) for session in (a, b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in (a, b):
            assert all(np.array_equal(x, scores(y)) for x, y in zip(found[session], given[session], strict=True))


def test_another_net_on_the_device(net: Path, tmp_path: Path, emulation: None) -> None:
    """Loading it replaces the overlay: the first session says so, and gives no numbers of the other net."""
    device = emulated_device()
    with load(net, device) as first, load(write_net(tmp_path / "other"), device) as second:
        assert np.array_equal(second.run(None, frame(1))[0], scores(frame(1)["x"]))
        with pytest.raises(DeviceError, match="another overlay has been loaded onto the device since"):
            first.run(None, frame(1))


def test_awaiting(session: NetSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.net_session._GRACE_SECONDS", 0.1)

    async def one(number: int) -> bool:
        (found,) = await session.run_async(None, {"x": frames(number)})
        return np.array_equal(found, scores(frames(number)))

    async def run() -> None:
        assert await asyncio.gather(*(one(number) for number in range(1, 9))) == [True] * 8
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.run_async(None, frame(STALL)), 0.1)
        assert await one(3)

    asyncio.run(run())


def test_bench(session: NetSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tritloom.runtime.bench.random_frames", lambda _, count: {"x": frames(count)})
    found = bench_net(session, frames=100, runs=5)
    assert (found.cycles_per_frame, found.estimated_frames_per_second) == (20, 1e7)
    assert found.document()["label"] == "simulated on the emulated device"
    lines = found.text().splitlines()
    assert [line.split()[0] for line in lines] == ["model", "latency", "throughput", "estimated", "cycles", "energy"]
    assert max(map(len, lines)) <= 80
    with pytest.raises(InputError, match="frames=257 is out of range"):
        bench_net(session, frames=257)


def test_random_frames(session: NetSession) -> None:
    found = random_frames(session, 1000)["x"]
    assert (found.dtype, found.shape) == (np.int8, (1000, 2, 4))
    assert (found.min(), found.max()) == (-128, 127)
    assert np.array_equal(found, random_frames(session, 1000)["x"])


def test_self_test(net: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    with load(net, "emulated") as session:
        assert [(found.name, found.passed) for found in check(session)] == [
            ("frames one by one", True),
            ("twice the same", True),
            ("known answer", True),
        ]
        answer = record(session)
    (net / "reference.json").write_text(json.dumps(answer))
    build_overlay(net)
    with load(net, board(net)) as session:
        *_, last = check(session)
        assert last.detail == "bit for bit what was simulated on the emulated device"
    answer["answer"]["outputs"][2] = "0" * 64
    (net / "reference.json").write_text(json.dumps(answer))
    assert main([str(net), "--self-test", "--emulate"]) == 1
    assert "failed  known answer: differs in outputs" in capsys.readouterr().out


def test_the_command_line(net: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(net)]) == 0
    out = capsys.readouterr().out
    assert "model      fake-net (net, 2 stages)\n" in out
    assert "input      x, int8 ['frames', 2, 4]\n" in out
    assert main([str(net), "--prompt", "x", "--emulate"]) == 2
    assert "fake-net is a feed-forward net: it generates no text" in capsys.readouterr().err
    assert main([str(net), "--record", "--emulate"]) == 0
    assert len(json.loads(capsys.readouterr().out)["answer"]["outputs"]) == 5


def test_a_program_for_another_kernel(net: Path) -> None:
    manifest = json.loads((net / "manifest.json").read_text())
    manifest["kernel"]["clock_mhz"] = 100.0
    (net / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="the hash of `kernel` does not match"):
        load(net, "emulated")


def test_on_a_card(tmp_path: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the stand-in for pyxrt."""
    from tritloom.runtime.emulator.build import build_library
    from tritloom.runtime.emulator.net_kernel import NetKernelModel

    from .fake_pyxrt import Card

    root = write_net(tmp_path / "card", "alveo")
    write_overlay(root, {"tritloom.xclbin": b"xclbin2" + bytes(100)})
    card = Card(
        root,
        model=lambda bundle, memory: NetKernelModel(build_library(root, bundle.hls_files), bundle.net, memory),
    )
    monkeypatch.setitem(sys.modules, "pyxrt", make_module(card))
    with load(root, timeout=0.3) as session:
        assert np.array_equal(session.run(None, {"x": frames(300)})[0], scores(frames(300)))
        assert card.kernel_names == ["tritloom_flow"]
        monkeypatch.setattr("tritloom.runtime.net_session._GRACE_SECONDS", 0.1)
        with pytest.raises(KernelTimeout, match=r"not done after 0.3 s\n  frames=1$"):
            session.run(None, frame(STALL))


def test_the_interrupt_is_that_of_this_device(net: Path, emulation: None) -> None:
    """Of the second device of a process too: pynq looks for interrupts on whichever is active."""
    for _ in range(2):
        device = emulated_device()
        with load(net, device, wait="interrupt") as session:
            interrupt: Any = session._kernel.driver._interrupt  # type: ignore[attr-defined]
            assert interrupt.parent().mmio.device is device
