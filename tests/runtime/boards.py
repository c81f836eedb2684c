"""Emulated devices that behave like a board: they load the bundle's own overlay, or have less memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tritloom.runtime import Bundle
from tritloom.runtime.emulator.hwh_writer import write_hwh

from .fake_bundle import write_overlay


def emulated_device(**options: Any) -> Any:
    """An emulated device; pynq is imported here, not when the tests are collected."""
    from tritloom.runtime.emulator.device import EmulatedDevice

    return EmulatedDevice(**options)


def board(bundle: Path) -> Any:
    """An emulated device that takes overlays from the bundle's folder, as a board does."""
    from tritloom.runtime.emulator.device import EmulatedDevice

    class Board(EmulatedDevice):
        emulated = False

    device = Board()
    device.overlay_for(Bundle.open(bundle))  # what the fabric will hold
    return device


def build_overlay(bundle: Path) -> Path:
    """What `tritloom build` leaves, without a bitstream in the .bit; returns the folder."""
    (bundle / "overlay").mkdir(exist_ok=True)
    hwh = bundle / "overlay" / "tritloom.hwh"
    write_hwh(hwh, Bundle.open(bundle).kernel)
    write_overlay(bundle, {"tritloom.bit": b"bits" * 64, "tritloom.hwh": hwh.read_bytes()})
    return bundle / "overlay"


def edit_overlay(bundle: Path, **changes: Any) -> None:
    """Change members of overlay.json."""
    path = bundle / "overlay" / "overlay.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
