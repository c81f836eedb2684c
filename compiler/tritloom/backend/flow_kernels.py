"""The kernel library of the dataflow mapping, as Python sees it: one entry a kernel.

The kernels themselves are templates/hls/include/tritloom/flow/*.h; docs/dataflow.md describes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kernel:
    """What a stage of this kernel must have."""

    header: str
    """File below include/tritloom/flow/."""
    traits: tuple[str, ...]
    """Names of its compile-time parameters."""
    inputs: Mapping[str, str]
    """Element type in the kernel -> product of traits that gives the lanes, one entry an input stream."""
    outputs: Mapping[str, str]
    roms: Mapping[str, tuple[str, ...]]
    """Table -> its dimensions, each a product of traits."""


_WINDOW: Final = (
    "HEIGHT WIDTH CHANNELS LANES KERNEL_H KERNEL_W STRIDE_H STRIDE_W DILATION_H DILATION_W "
    "PAD_TOP PAD_LEFT PAD_BOTTOM PAD_RIGHT PAD_CODE OUT_HEIGHT OUT_WIDTH GROUPS"
)
_MVAU: Final = "INPUTS OUTPUTS PE SIMD VECTORS GROUPS WEIGHTS_IN_BRAM"
_VVAU: Final = "GROUPS PE INPUTS OUTPUTS TAPS VECTORS WEIGHTS_IN_BRAM"
_THRESHOLDS: Final = "ELEMENTS CHANNELS LANES LEVELS LOW STEP"
_TOP_K: Final = "VECTORS CHANNELS LANES K KEPT MULTIPLIERS BIASES LAST"
_MULTIPLY_SHIFT: Final = "ELEMENTS CHANNELS LANES SHIFT LOW HIGH"


def product_of(traits: Mapping[str, int], product: str) -> int:
    """The value of a product of traits.

    >>> product_of({"PE": 2, "INPUTS": 3}, "PE*INPUTS")
    6
    """
    return math.prod(traits[name] for name in product.split("*"))


def _kernel(
    header: str,
    traits: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    roms: Mapping[str, str] | None = None,
) -> Kernel:
    shapes = {name: tuple(shape.split()) for name, shape in (roms or {}).items()}
    return Kernel(header, tuple(traits.split()), inputs, outputs, shapes)


_IN: Final = {"In": "LANES"}
_TWO: Final = {"A": "LANES", "B": "LANES"}
_OUT: Final = {"Out": "LANES"}

KERNELS: Final[Mapping[str, Kernel]] = {
    "load_codes": _kernel("load.h", "BEAT_BITS ELEMENTS LANES", {}, _OUT),
    "load_floats": _kernel("load.h", "BEAT_BITS ELEMENTS LANES", {}, _OUT),
    "resize": _kernel("resize.h", "ELEMENTS IN_LANES OUT_LANES", {"In": "IN_LANES"}, {"Out": "OUT_LANES"}),
    "window": _kernel("window.h", _WINDOW, _IN, _OUT),
    "mvau": _kernel("mvau.h", _MVAU, {"In": "SIMD"}, {"Out": "PE"}, {"weights": "GROUPS*OUTPUTS INPUTS"}),
    "hard_wired": _kernel(
        "hard_wired.h",
        "INPUTS OUTPUTS VECTORS",
        {"In": "INPUTS"},
        {"Out": "OUTPUTS"},
        {"weights": "OUTPUTS INPUTS"},
    ),
    "vvau": _kernel(
        "vvau.h", _VVAU, {"In": "PE*INPUTS"}, {"Out": "PE*OUTPUTS"}, {"weights": "GROUPS*OUTPUTS TAPS*INPUTS"}
    ),
    "reduce": _kernel("reduce.h", "CHANNELS LANES TAPS VECTORS MAX", _IN, _OUT),
    "global_reduce": _kernel("reduce.h", "CHANNELS LANES PIXELS MAX", _IN, _OUT),
    "thresholds": _kernel(
        "thresholds.h", _THRESHOLDS, _IN, _OUT, {"thresholds": "CHANNELS LEVELS", "negative": "CHANNELS"}
    ),
    "multiply_shift": _kernel(
        "multiply_shift.h", _MULTIPLY_SHIFT, _IN, _OUT, {"multiplier": "CHANNELS", "bias": "CHANNELS"}
    ),
    "multiply_shift2": _kernel(
        "multiply_shift.h",
        _MULTIPLY_SHIFT,
        _TWO,
        _OUT,
        {"multiplier0": "CHANNELS", "multiplier1": "CHANNELS", "bias": "CHANNELS"},
    ),
    "add": _kernel("join.h", "ELEMENTS LANES FACTOR_A FACTOR_B", _TWO, _OUT),
    "concat": _kernel("join.h", "PIXELS CHANNELS_A CHANNELS_B LANES", _TWO, _OUT),
    "top_k": _kernel("top_k.h", _TOP_K, _IN, {"Out": "KEPT"}, {"multiplier": "MULTIPLIERS", "bias": "BIASES"}),
    "fork": _kernel("fork.h", "ELEMENTS LANES COPIES", _IN, {}),
    "store": _kernel("store.h", "BEAT_BITS ELEMENTS LANES", _IN, {}),
}
