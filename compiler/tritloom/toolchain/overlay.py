"""The folder overlay/ and its record, which ties a bitstream to the kernel in the manifest (docs/build.md)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .. import __version__
from .errors import ToolError
from .find import Tool
from .record import sha256_of

SCHEMA: Final = 1
RECORD: Final = "overlay.json"
LABEL: Final = "implemented"
"""What the overlay is: it came out of the tools with its timing met. It says nothing of hardware."""


def overlay_record(kernel: Mapping[str, Any], tools: Mapping[str, Tool], files: Sequence[Path]) -> dict[str, Any]:
    """Content of overlay.json.

    Args:
        kernel: the manifest's kernel.
        tools: role (`hls`, `vivado`, `vpp`) -> tool.
        files: the products.
    """
    return {
        "schema": SCHEMA,
        "generator": f"tritloom {__version__}",
        "kernel_hash": kernel["hash"],
        "board": kernel["board"],
        "part": kernel["part"],
        "clock_mhz": kernel["clock_mhz"],
        "tools": {role: tool.as_dict() for role, tool in tools.items()},
        "files": {file.name: {"bytes": file.stat().st_size, "sha256": sha256_of(file)} for file in files},
        "label": LABEL,
    }


def install(bundle: Path, record: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Put the products and their record into overlay/: the whole folder at once, or not at all.

    Raises:
        ToolError: the folder cannot be written.
    """
    beside = Path(tempfile.mkdtemp(prefix=".overlay.", dir=bundle))
    old = bundle / f".overlay.old{os.getpid()}"
    folder = bundle / "overlay"
    try:
        beside.chmod(0o755)
        for file in files:
            shutil.copyfile(file, beside / file.name)
        (beside / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise ToolError(f"cannot write {folder}: {error.strerror}", "is the disk full?") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
