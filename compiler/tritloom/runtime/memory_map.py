"""The buffers of a session in device memory: the images, written once, and what each start reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .buffers import DeviceBuffer
from .bundle import Bundle
from .errors import DeviceError

if TYPE_CHECKING:
    from ._pynq import Device

TOKENS = 2048
"""Tokens a start takes and generates at most."""
CONTROL_BYTES = 4096
_LOGITS_BYTES = 4 << 20
_LOGITS_ROWS = 64


class MemoryMap:
    """Every buffer by the name of its kernel argument; `logits_rows` positions of logits fit.

    Raises:
        DeviceError: not enough contiguous memory; nothing stays allocated then.
    """

    def __init__(self, bundle: Bundle, device: Device) -> None:
        program, batch = bundle.program, bundle.program.max_batch
        row = program.logits_stride * 4
        rows = max(1, min(_LOGITS_ROWS, _LOGITS_BYTES // row) // batch) * batch
        self.logits_rows = rows
        sizes = {
            "state": max(16, -(-program.state_words // 4) * 16),
            "tokens": TOKENS * 4,
            "tokens_out": TOKENS * 4,
            "logits": rows * row,
            "topk": -(-bundle.kernel.limits.topk // 2) * 16,
            "ctl": CONTROL_BYTES,
        }
        self._buffers: dict[str, DeviceBuffer] = {}
        try:
            for image in program.images:
                buffer = self._add(image.name, image.bytes, device)
                buffer.fill(bundle.image(image))
            for name, nbytes in sizes.items():
                self._add(name, nbytes, device)
        except DeviceError as error:
            self.free()
            needed = sum(image.bytes for image in program.images) + sum(sizes.values())
            raise DeviceError(
                f"{error.message}\nthe model needs {needed:,} bytes of contiguous memory", error.hint
            ) from error
        self["state"].fill(np.zeros(sizes["state"], np.uint8))

    def _add(self, name: str, nbytes: int, device: Device) -> DeviceBuffer:
        self._buffers[name] = DeviceBuffer(name, nbytes, device)
        return self._buffers[name]

    def __getitem__(self, name: str) -> DeviceBuffer:
        return self._buffers[name]

    @property
    def nbytes(self) -> int:
        """Contiguous memory in use."""
        return sum(buffer.nbytes for buffer in self._buffers.values())

    def addresses(self) -> dict[str, int]:
        """The kernel's pointer arguments."""
        found = {name: buffer.address for name, buffer in self._buffers.items()}
        return found | {"ctl_governor": found["ctl"]}

    def free(self) -> None:
        """Give all memory back; harmless when repeated."""
        for buffer in self._buffers.values():
            buffer.free()
