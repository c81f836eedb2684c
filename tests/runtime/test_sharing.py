"""Several sessions on one overlay: own weights and state, one kernel, turns."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import DeviceError, KernelTimeout, load

from .boards import emulated_device
from .fake_bundle import Reference, edit, sha256, write_bundle

STALL, STUCK = 61, 62


def expected(tokens: list[int]) -> np.ndarray:
    reference = Reference()
    return np.stack([reference.step(token) for token in tokens])


def other_weights(root: Path) -> Path:
    """A bundle for the same kernel whose gains are zero: its state, and so its logits, stay zero."""
    write_bundle(root)
    data = np.zeros(1024, np.float32).tobytes()
    (root / "weights/gains.bin").write_bytes(data)

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"]["weights/gains.bin"] = sha256(data)
        image = next(image for image in manifest["program"]["images"] if image["name"] == "gains")
        image["sha256"] = sha256(data)

    edit(root, change)
    return root


@pytest.mark.parametrize("wait", ["poll", "interrupt"])
def test_two_models_on_one_overlay(bundle: Path, tmp_path: Path, emulation: None, wait: Any) -> None:
    other = other_weights(tmp_path / "other")
    kernel = json.loads((bundle / "manifest.json").read_text())["kernel"]["hash"]
    assert json.loads((other / "manifest.json").read_text())["kernel"]["hash"] == kernel
    device = emulated_device()
    downloads = _count_downloads(device)
    with load(bundle, device, wait=wait) as a, load(other, a, wait=wait) as b, load(bundle, b, wait=wait) as c:
        assert len(downloads) == 1
        for index, token in enumerate([1, 5, 9]):
            assert np.array_equal(a.step(token), expected([1, 5, 9])[index])
            assert not b.step(token)[:60].any()
            assert np.array_equal(c.step(token + 1), expected([2, 6, 10])[index])
    assert device.memory.blocks == ()


def _count_downloads(device: Any) -> list[int]:
    count: list[int] = []
    download = device.download

    def counted(*arguments: Any) -> None:
        count.append(1)
        download(*arguments)

    device.download = counted
    return count


def test_closing_one_leaves_the_other(bundle: Path, emulation: None) -> None:
    device = emulated_device()
    with load(bundle, device) as a:
        with load(bundle, a) as b:
            b.step(1)
        assert len(device.memory.blocks) == 5 + 6
        assert np.array_equal(a.step(2), expected([2])[-1])


def test_another_kernel(bundle: Path, tmp_path: Path, emulation: None) -> None:
    other = write_bundle(tmp_path / "other", batch=2)
    with load(bundle, "emulated") as a:
        with pytest.raises(DeviceError, match="the session's overlay is kernel") as caught:
            load(other, a)
        assert "--overlay" in caught.value.hint
        assert np.array_equal(a.step(2), expected([2])[-1])


def test_an_overlay_that_was_replaced_is_not_shared(bundle: Path, emulation: None) -> None:
    device = emulated_device()
    with (
        load(bundle, device) as old,
        load(bundle, device),
        pytest.raises(DeviceError, match="another overlay has been loaded"),
    ):
        load(bundle, old)


def test_threads_take_turns(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KERNEL_MICROSECONDS", "3000")
    right: list[int] = []
    with load(bundle, "emulated") as first:
        sessions = [first, *(load(bundle, first) for _ in range(3))]

        def work(number: int) -> None:
            tokens = [number + 1, number + 5, number + 2]
            for _ in range(5):
                sessions[number].reset()
                if np.array_equal(sessions[number].prefill(tokens, all_logits=True), expected(tokens)):
                    right.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in sessions[1:]:
            session.close()
    assert sorted(right) == sorted([0, 1, 2, 3] * 5)


@pytest.mark.parametrize("token", [STALL, STUCK])
def test_a_failure_in_one_leaves_the_other(
    bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch, token: int
) -> None:
    monkeypatch.setattr("tritloom.runtime.engine._GRACE_SECONDS", 0.2)
    with load(bundle, "emulated", timeout=0.2) as a, load(bundle, a, timeout=5) as b:
        b.step(1)
        with pytest.raises(KernelTimeout):
            a.step(token)
        assert np.array_equal(b.step(2), expected([1, 2])[-1])
        assert np.array_equal(a.step(3), expected([3])[-1])
