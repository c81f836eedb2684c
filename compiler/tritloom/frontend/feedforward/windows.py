"""Windows of convolutions and poolings as ONNX writes them: attributes, automatic padding, rounded-up sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ...ir.tern import Window
from ..graph import int_attribute
from .context import LARGEST, Refused


def _ints(node: ir.Node, name: str, count: int, default: int) -> list[int]:
    attribute = node.attributes.get(name)
    values = list(attribute.as_ints()) if attribute is not None else []
    return values or [default] * count


def window_of(node: ir.Node, size: tuple[int, int], kernel: Sequence[int] | None, axes: int) -> Window:
    """The windows of a node over rows and columns; a 1-D one has one row.

    `axes` is how many of them ONNX counts. Rounded-up sizes (ceil_mode) become padding at the end.

    Raises:
        Refused: an attribute is malformed, or unsupported.
    """
    kernel = list(kernel) if kernel is not None else _in_two(_ints(node, "kernel_shape", axes, 1), 1)
    strides = _in_two(_ints(node, "strides", axes, 1), 1)
    dilations = _in_two(_ints(node, "dilations", axes, 1), 1)
    pads = _ints(node, "pads", 2 * axes, 0)
    sizes = (kernel, strides, dilations)
    if len(pads) != 2 * axes or min(pads) < 0 or any(len(values) != 2 or min(values) < 1 for values in sizes):
        raise Refused(
            f"its kernel {kernel}, strides {strides}, dilations {dilations} or pads {pads} are not supported",
            f"pads are {2 * axes} numbers of at least 0, the others {axes} numbers of at least 1",
        )
    pads = pads if axes == 2 else [0, pads[0], 0, pads[1]]
    window = Window(kernel, strides, pads, dilations)
    auto = node.attributes.get("auto_pad")
    mode = auto.as_string() if auto is not None else "NOTSET"
    if mode == "VALID":
        window = Window(kernel, strides, [0, 0, 0, 0], dilations)
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        window = _same(window, size, upper=mode == "SAME_UPPER")
    if int_attribute(node, "ceil_mode", 0):
        window = _rounded_up(window, size)
    if min(window.output_size(*size)) < 1:
        raise Refused(
            f"its window {window.extent(0)} x {window.extent(1)} is larger than its operand {size[0]} x {size[1]}",
            "check kernel, dilations and padding",
        )
    if math.prod(window.output_size(*size)) > LARGEST or window.taps > LARGEST:
        raise Refused(
            f"its pads {window.pads} or its kernel {window.kernel} are absurd", "check the exported attributes"
        )
    return window


def _in_two(values: list[int], default: int) -> list[int]:
    return [default, *values] if len(values) == 1 else values


def _same(window: Window, size: tuple[int, int], upper: bool) -> Window:
    """Padding so that the result has ceil(size / stride) rows and columns."""
    begin, end = [], []
    for axis in (0, 1):
        wanted = -(-size[axis] // window.strides[axis])
        total = max((wanted - 1) * window.strides[axis] + window.extent(axis) - size[axis], 0)
        small, large = total // 2, total - total // 2
        begin.append(small if upper else large)
        end.append(large if upper else small)
    return Window(window.kernel, window.strides, [*begin, *end], window.dilations)


def _rounded_up(window: Window, size: tuple[int, int]) -> Window:
    """A last window that begins inside of the operand counts, though it ends outside."""
    pads = list(window.pads)
    for axis in (0, 1):
        stride, before = window.strides[axis], window.pads[axis]
        length = size[axis] + before + window.pads[axis + 2]
        count = -(-(length - window.extent(axis)) // stride) + 1
        if (count - 1) * stride >= size[axis] + before:
            count -= 1
        pads[axis + 2] += max((count - 1) * stride + window.extent(axis) - length, 0)
    return Window(window.kernel, window.strides, pads, window.dilations)
