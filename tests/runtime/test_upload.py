"""Writing the weights to the device: progress, and every image read back and compared."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from tritloom.runtime import DeviceError, load
from tritloom.runtime.buffers import DeviceBuffer

from .boards import emulated_device


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.memory_map._CHUNK", 1000)


def test_progress(bundle: Path, emulation: None) -> None:
    seen: list[tuple[str, int, int]] = []
    with load(bundle, "emulated", progress=lambda *what: seen.append(what)):
        pass
    total = 4 * 4096 + 64 * 16
    assert {entry[2] for entry in seen} == {total}
    assert list(dict.fromkeys(entry[0] for entry in seen)) == ["port0", "port1", "gains", "embedding", "program"]
    done = [entry[1] for entry in seen]
    assert done == sorted(set(done))
    assert done[0] == 1000
    assert done[-1] == total


def test_an_error_in_the_progress_leaves_no_buffer(bundle: Path, emulation: None) -> None:
    device = emulated_device()

    def stop(name: str, done: int, total: int) -> None:
        if name == "gains":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(bundle, device, progress=stop)
    gc.collect()
    assert device.memory.blocks == ()


@pytest.mark.parametrize(("name", "byte"), [("port0", 0), ("gains", 2500), ("program", 4095)])
def test_a_bit_that_flips_on_the_way(
    bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch, name: str, byte: int
) -> None:
    device = emulated_device()
    fill = DeviceBuffer.fill

    def faulty(self: DeviceBuffer, data: object, start: int = 0) -> None:
        fill(self, data, start)  # type: ignore[arg-type]
        if self.name == name and start <= byte < start + 1000:
            device.memory.device_view(self.address + byte, 1, name)[0] ^= 0x10

    monkeypatch.setattr(DeviceBuffer, "fill", faulty)
    with pytest.raises(DeviceError, match=f"image `{name}` differs in device memory from byte {byte:,} on"):
        load(bundle, device)
    gc.collect()
    assert device.memory.blocks == ()


def test_a_forgotten_flush(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceBuffer, "to_device", lambda *_: None)
    with pytest.raises(DeviceError, match="image `port0` differs in device memory from byte 0 on"):
        load(bundle, "emulated")
