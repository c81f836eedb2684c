"""Concatenation along the channels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir

from ..graph import int_attribute
from .context import Net, Refused
from .forms import Form, Term, canonical
from .plain import plain
from .rows import row, spread
from .tensors import Joined


def concat(net: Net, node: ir.Node) -> Form:
    """Concat of codes: each part keeps its scale."""
    parts = [plain(net, net.form(node, index), node) for index in range(len(node.inputs))]
    frame = parts[0].index.shape
    axis = int_attribute(node, "axis", 1) % (len(frame) + 1) - 1
    if axis == -1 or any(_lies(part, axis) is False for part in parts):
        raise Refused("it joins along another axis than the channels", "join images along axis 1")
    if len({part.index.shape[:axis] + part.index.shape[axis + 1 :] for part in parts}) > 1:
        raise Refused("its operands differ in rows or columns", "join images of one size")
    tensors = [part.terms[0].tensor for part in parts]
    joined = Joined(net.builder, tensors, node.outputs[0].name or "", (node,))
    scale = row(value for part in parts for value in _channelwise(part.terms[0].scale, part.channels))
    offset = row(value for part in parts for value in _channelwise(part.offset, part.channels))
    index = np.moveaxis(canonical(joined.shape).reshape(_first(parts[0], axis, joined.shape[-1])), 0, axis)
    return Form((Term(joined, scale),), index, offset)


def _channelwise(values: tuple[Fraction, ...], channels: int) -> tuple[Fraction, ...]:
    return spread(values, channels)


def _first(part: Form, axis: int, channels: int) -> tuple[int, ...]:
    """Shape with the channels in front."""
    frame = part.index.shape
    return (channels, *frame[:axis], *frame[axis + 1 :])


def _lies(part: Form, axis: int) -> bool:
    """Whether an axis of the ONNX shape is the channels, and the others rows and columns."""
    moved = np.moveaxis(part.index, axis, 0)
    channels = part.channels
    return moved.shape[0] == channels and np.array_equal(
        moved.reshape(channels, -1), canonical(part.shape).reshape(channels, -1)
    )
