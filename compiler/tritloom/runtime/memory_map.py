"""The buffers of a session in device memory: the images, written once, and what each start reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .accelerator import Accelerator, Buffer
from .bundle import Bundle
from .errors import DeviceError

TOKENS = 2048
"""Tokens a start takes and generates at most."""
CONTROL_BYTES = 4096
_LOGITS_BYTES = 4 << 20
_LOGITS_ROWS = 64
_CHUNK = 4 << 20

Progress = Callable[[str, int, int], None]
"""Called while the images are written: name of the image, bytes written so far, bytes of all images."""


class MemoryMap:
    """Every buffer by the name of its kernel argument; `logits_rows` positions of logits fit, and a start takes
    `positions`: tokens, or as many vectors as there are rows.

    The images are read back from the device and compared.

    Raises:
        DeviceError: not enough contiguous memory, or an image did not arrive; nothing stays allocated then.
    """

    def __init__(self, bundle: Bundle, kernel: Accelerator, progress: Progress | None = None) -> None:
        program, batch = bundle.program, bundle.program.max_batch
        row = program.logits_stride * 4
        rows = max(1, min(_LOGITS_ROWS, _LOGITS_BYTES // row) // batch) * batch
        self.positions = TOKENS if program.vector is None else min(TOKENS, program.embedding.rows)
        self.logits_rows = min(rows, self.positions)
        images = {image.name: bundle.image(image) for image in program.images}
        sizes = {name: data.size for name, data in images.items()} | {
            "state": max(16, -(-program.state_words // 4) * 16),
            "tokens": TOKENS * 4,
            "tokens_out": TOKENS * 4,
            "logits": rows * row,
            "topk": -(-bundle.kernel.engine.topk // 2) * 16,
            "ctl": CONTROL_BYTES,
        }
        self._buffers: dict[str, Buffer] = {}
        try:
            self._allocate(kernel, sizes)
            self._upload(images, progress)
        except BaseException:
            self.free()
            raise
        self["state"].fill(np.zeros(sizes["state"], np.uint8))

    def _allocate(self, kernel: Accelerator, sizes: Mapping[str, int]) -> None:
        try:
            for name, nbytes in sizes.items():
                self._buffers[name] = kernel.allocate(name, nbytes)
        except DeviceError as error:
            free = None if kernel.emulated else contiguous_memory()
            known = "" if free is None else f"; {free[0]:,} of the {free[1]:,} bytes of CMA were free"
            raise DeviceError(
                f"{error.message}\nthe model needs {sum(sizes.values()):,} bytes of contiguous memory{known}",
                error.hint,
            ) from error

    def _upload(self, images: Mapping[str, npt.NDArray[np.uint8]], progress: Progress | None) -> None:
        done, total = 0, sum(data.size for data in images.values())
        for name, data in images.items():
            for at in range(0, data.size, _CHUNK):
                part = data[at : at + _CHUNK]
                self[name].fill(part, at)
                done += part.size
                if progress is not None:
                    progress(name, done, total)
        for name, data in images.items():
            for at in range(0, data.size, _CHUNK):
                if (wrong := _first_difference(self[name], data[at : at + _CHUNK], at)) is not None:
                    raise DeviceError(
                        f"image `{name}` differs in device memory from byte {wrong:,} on",
                        "load again; if it stays, the board's memory or the driver's cache handling is at fault",
                    )

    def __getitem__(self, name: str) -> Buffer:
        return self._buffers[name]

    @property
    def nbytes(self) -> int:
        """Contiguous memory in use."""
        return sum(buffer.nbytes for buffer in self._buffers.values())

    def arguments(self) -> dict[str, Buffer]:
        """The buffers of the kernel's pointer arguments."""
        return self._buffers | {"ctl_governor": self["ctl"]}

    def free(self) -> None:
        """Give all memory back; harmless when repeated."""
        for buffer in self._buffers.values():
            buffer.free()


def contiguous_memory() -> tuple[int, int] | None:
    """Bytes of this machine's CMA that are free, and all of it; None where the kernel has none."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace").splitlines()
        values = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Cma")}
    except (OSError, ValueError, IndexError):
        return None
    return (values["CmaFree"], values["CmaTotal"]) if {"CmaFree", "CmaTotal"} <= values.keys() else None


def _first_difference(buffer: Buffer, wanted: npt.NDArray[np.uint8], start: int) -> int | None:
    """Where the device's copy of `wanted`, from byte `start` of the buffer on, first differs."""
    buffer.from_device(start, wanted.size)
    differs = buffer.view(np.uint8, start, wanted.size) != wanted
    return start + int(np.argmax(differs)) if differs.any() else None
