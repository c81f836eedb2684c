"""The wheel `tritloom-runtime`, made from the runtime that is installed here (PEP 427): no tools, no network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from io import BytesIO
from pathlib import Path, PurePosixPath

from .. import runtime
from ..runtime import __version__

NAME = f"tritloom_runtime-{__version__}-py3-none-any.whl"
_STAMP = (1980, 1, 1, 0, 0, 0)
_METADATA = f"""\
Metadata-Version: 2.1
Name: tritloom-runtime
Version: {__version__}
Summary: Runs ternary neural networks compiled by tritloom on PYNQ boards, or on an emulated device
License: Apache-2.0
Requires-Python: >=3.10
Requires-Dist: numpy>=1.22
"""
_WHEEL = """\
Wheel-Version: 1.0
Generator: tritloom
Root-Is-Purelib: true
Tag: py3-none-any
"""


def runtime_wheel() -> bytes:
    """The wheel; the same bytes each time."""
    root = Path(runtime.__file__).parent
    paths = [*sorted(root.rglob("*.py")), root / "py.typed"]
    files = {f"tritloom/runtime/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}
    info = f"tritloom_runtime-{__version__}.dist-info"
    files |= {f"{info}/METADATA": _METADATA.encode(), f"{info}/WHEEL": _WHEEL.encode()}
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = BytesIO()
    folders = sorted({f"{folder.as_posix()}/" for name in files for folder in list(PurePosixPath(name).parents)[:-1]})
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in folders:  # with these the wheel can be imported as it is, too: `tritloom` is a namespace
            entry = zipfile.ZipInfo(name, _STAMP)
            entry.external_attr = (0o40755 << 16) | 0x10
            archive.writestr(entry, b"")
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _STAMP)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
