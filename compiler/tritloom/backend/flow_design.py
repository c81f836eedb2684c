"""A dataflow design: what the templates render into one HLS kernel (docs/dataflow.md).

Plain data. The passes decide everything in it (folding, widths, depths); :mod:`.flow_hls` only writes it down.
All counts are per frame. Activations are in channels-last order; a stream carries words of `lanes` elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rom = NDArray[Any]
"""A table of a stage in its natural form, as trits [N, K]: see :data:`.flow_kernels.KERNELS`."""


@dataclass(frozen=True)
class Element:
    """Integer type of a stream's elements."""

    bits: int
    """1 to 64."""
    signed: bool = False

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True)
class Stream:
    """A FIFO between two stages."""

    name: str
    """Lower-case C identifier."""
    element: Element
    lanes: int
    """Elements of a word."""
    depth: int
    """Words that it holds."""


@dataclass(frozen=True)
class Stage:
    """One process of the region: a kernel of the library with its parameters."""

    name: str
    """Lower-case C identifier; the traits struct is named after it."""
    kernel: str
    """A key of :data:`.flow_kernels.KERNELS`."""
    traits: Mapping[str, int]
    """Compile-time parameters; flags are 0 or 1. Element types come from the streams."""
    inputs: tuple[str, ...] = ()
    """Names of streams; the loads have none, they read the memory."""
    outputs: tuple[str, ...] = ()
    """Names of streams; `store` has none, it writes the memory."""
    roms: Mapping[str, Rom] = field(default_factory=dict)
    ir: str = ""
    """The IR op, for comments."""
    onnx: tuple[str, ...] = ()
    """Names of its ONNX nodes, for comments."""


@dataclass(frozen=True)
class FlowDesign:
    """A feed-forward net as a region of stages. The first stage loads, the last one stores."""

    name: str
    streams: tuple[Stream, ...]
    stages: tuple[Stage, ...]
    input_bytes: int
    """Bytes of a frame in the input buffer, padded to whole beats."""
    output_bytes: int
    """Bytes of a frame in the output buffer, padded to whole beats."""
    beat_bits: int = 128
    max_frames: int = 65536
    """Frames that a start takes at most; more is status 1."""

    def stream(self, name: str) -> Stream:
        """The stream of that name; KeyError if there is none."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)


def float_keys(values: Rom) -> NDArray[np.int32]:
    """Integers in the order of float32 values, as `load_floats` makes them: boundaries of a `thresholds` behind it.

    Sign and magnitude as two's complement, so that -0.0 and 0.0 are both 0.

    Raises:
        ValueError: a value is NaN.
    """
    floats = np.asarray(values, np.float32)
    if np.isnan(floats).any():
        raise ValueError("a boundary is NaN")
    bits = floats.view(np.int32)
    magnitude = bits & np.int32(0x7FFFFFFF)
    return np.where(bits < 0, -magnitude, magnitude).astype(np.int32)
