"""An overlay is loaded only where it is whole, unchanged and of the bundle's kernel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tritloom.runtime import DeviceError, load

from .boards import board, build_overlay, edit_overlay
from .fake_bundle import Reference, sha256, write_bundle


@pytest.fixture
def built(bundle: Path, emulation: None) -> Path:
    build_overlay(bundle)
    return bundle


def test_a_built_bundle(built: Path) -> None:
    with load(built, board(built)) as session:
        assert session.label == "measured on board"
        assert np.array_equal(session.step(3), Reference().step(3))


def test_a_bundle_that_was_not_built(bundle: Path, emulation: None) -> None:
    with pytest.raises(DeviceError, match="the bundle has no overlay: it has not been built for kv260") as caught:
        load(bundle, board(bundle))
    assert "tritloom build" in caught.value.hint
    assert "device='emulated'" in caught.value.hint


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rename_an_argument(path: Path) -> None:
    path.write_text(path.read_text().replace("stop_token", "stop_tokem"))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tritloom.bit", Path.unlink, "overlay/tritloom.bit is missing"),
        ("tritloom.bit", cut, "overlay/tritloom.bit has 255 bytes, the manifest says 256"),
        ("tritloom.bit", flip, "overlay/tritloom.bit was changed"),
        ("tritloom.hwh", Path.unlink, "overlay/tritloom.hwh is missing"),
        ("tritloom.hwh", cut, r"overlay/tritloom.hwh has \d+ bytes"),
        ("tritloom.hwh", rename_an_argument, "overlay/tritloom.hwh was changed"),
        ("overlay.json", Path.unlink, "overlay/overlay.json is missing: the overlay was not copied whole"),
        ("overlay.json", cut, "overlay/overlay.json cannot be read"),
    ],
)
def test_files_that_are_not_as_they_were_built(
    built: Path, file: str, change: Callable[[Path], None], message: str
) -> None:
    change(built / "overlay" / file)
    device = board(built)
    with pytest.raises(DeviceError, match=message) as caught:
        load(built, device)
    assert "copy its folder overlay/ again, whole" in caught.value.hint
    assert device.memory.blocks == ()


@pytest.mark.parametrize("kept", ["tritloom.bit", "tritloom.hwh", "overlay.json"])
def test_a_copy_that_stopped_after_one_file(built: Path, kept: str) -> None:
    for path in (built / "overlay").iterdir():
        if path.name != kept:
            path.unlink()
    with pytest.raises(DeviceError, match="is missing"):
        load(built, board(built))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "overlay/overlay.json has another schema than 1"),
        ({"kernel_hash": "0" * 64}, "the overlay is of kernel 000000000000, the bundle's kernel is "),
        ({"kernel_hash": "0" * 63}, "overlay/overlay.json: `kernel_hash` should be a sha256"),
        ({"files": []}, "overlay/overlay.json: `files` should be an object"),
        ({"files": {}}, "overlay/overlay.json: `files.tritloom.bit` is missing"),
        ({"files": {"tritloom.bit": {"bytes": -1, "sha256": "0" * 64}}}, r"`files.tritloom.bit.bytes` should be"),
    ],
)
def test_a_record_of_something_else(built: Path, changes: dict[str, object], message: str) -> None:
    edit_overlay(built, **changes)
    with pytest.raises(DeviceError, match=message):
        load(built, board(built))


def test_the_overlay_of_another_bundle(built: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", batch=2)
    shutil.copytree(built / "overlay", other / "overlay")
    with pytest.raises(DeviceError, match="the overlay is of kernel"):
        load(other, board(other))


def test_an_hwh_that_was_built_wrong(built: Path) -> None:
    """Its hash is right, its arguments are not those of the manifest."""
    hwh = built / "overlay" / "tritloom.hwh"
    rename_an_argument(hwh)
    record = json.loads((built / "overlay" / "overlay.json").read_text())
    record["files"]["tritloom.hwh"] = {"bytes": hwh.stat().st_size, "sha256": sha256(hwh.read_bytes())}
    edit_overlay(built, **record)
    with pytest.raises(DeviceError, match="`stop_token` is missing"):
        load(built, board(built))
