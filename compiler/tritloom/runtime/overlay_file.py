"""The files of a built overlay: whole, unchanged, and of the bundle's kernel, or refused.

`tritloom build` writes ``overlay/overlay.json`` last (docs/build.md): the kernel's hash and the size and
sha256 of every other file in the folder. A file that was not copied, or copied in part, does not match.
"""

from __future__ import annotations

import json
from pathlib import Path

from .bundle import Bundle, check_file
from .errors import BundleError, DeviceError
from .fields import Fields

SCHEMA = 1
FILES = {
    "zynq": ("tritloom.bit", "tritloom.hwh"),
    "zynqmp": ("tritloom.bit", "tritloom.hwh"),
    "alveo": ("tritloom.xclbin",),
}
"""What a device of each family loads."""
_BUILD = "run `tritloom build` on a machine with AMD's tools, or copy its folder overlay/ again, whole"


def check_overlay(bundle: Bundle) -> Path:
    """The file that the device loads, after every file of the overlay was checked.

    Raises:
        DeviceError: the bundle has not been built, its overlay is another kernel's, or a file is
            missing, changed or copied in part.
    """
    folder = bundle.root / "overlay"
    names = FILES[bundle.kernel.family]
    if not any((folder / name).exists() for name in ("overlay.json", *names)):
        raise DeviceError(
            f"the bundle has no overlay: it has not been built for {bundle.kernel.board}",
            "run `tritloom build` on a machine with AMD's tools; or load with device='emulated' (TRITLOOM_EMULATE=1)",
        )
    record = _read(folder / "overlay.json")
    try:
        if record.integer("schema") != SCHEMA:
            raise BundleError(f"overlay/overlay.json has another schema than {SCHEMA}")
        built = record.sha256("kernel_hash")
        if built != bundle.kernel.hash:
            raise BundleError(
                f"the overlay is of kernel {built[:12]}, the bundle's kernel is {bundle.kernel.hash[:12]}"
            )
        files = record.fields("files")
        for name in names:
            entry = files.fields(name)
            check_file(folder / name, f"overlay/{name}", entry.integer("bytes"), entry.sha256("sha256"))
    except BundleError as error:
        raise DeviceError(error.message, _BUILD) from error
    return folder / names[0]


def _read(path: Path) -> Fields:
    try:
        return Fields(json.loads(path.read_text(encoding="utf-8")), "", "overlay/overlay.json")
    except FileNotFoundError as error:
        raise DeviceError("overlay/overlay.json is missing: the overlay was not copied whole", _BUILD) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DeviceError(f"overlay/overlay.json cannot be read: {error}", _BUILD) from error
    except BundleError as error:
        raise DeviceError(error.message, _BUILD) from error
