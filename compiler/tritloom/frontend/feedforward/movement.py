"""Nodes that move data: they rearrange the index of a form, as long as frames stay apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import onnx_ir as ir

from ..graph import input_at, int_attribute
from .constants import Constants
from .context import Net, Refused
from .forms import Form, Index

_MIXES = "it mixes the frames of a batch with their elements"
_KEEP = "keep the first axis, the batch, as it is"


def _ints(constants: Constants, node: ir.Node, name: str) -> list[int] | None:
    """Axes or a shape: an attribute, or the second input."""
    if (attribute := node.attributes.get(name)) is not None:
        return list(attribute.as_ints())
    value = input_at(node, 1)
    if value is None or not value.name:
        return None
    if value not in constants:
        raise Refused(f"its operand '{value.name}' is computed at run time", "export the model with static shapes")
    return [int(number) for number in constants[value].reshape(-1)]


def _transposed(node: ir.Node, index: Index, batch: int, constants: Constants) -> Index:
    attribute = node.attributes.get("perm")
    order = list(attribute.as_ints()) if attribute is not None else list(range(index.ndim + 1))[::-1]
    if order[0] != 0:
        raise Refused(_MIXES, _KEEP)
    return index.transpose([axis - 1 for axis in order[1:]])


def _reshaped(node: ir.Node, index: Index, batch: int, constants: Constants) -> Index:
    shape = _ints(constants, node, "shape")
    if shape is None:
        raise Refused("its shape is missing", "give the shape as a constant")
    source = (batch, *index.shape)
    if not int_attribute(node, "allowzero", 0):
        shape = [source[i] if size == 0 and i < len(source) else size for i, size in enumerate(shape)]
    if shape.count(-1) == 1:
        known = -math.prod(shape)
        if known < 1 or math.prod(source) % known:
            raise Refused(f"it makes {shape} of {list(source)}", "export the model again")
        shape[shape.index(-1)] = math.prod(source) // known
    return _in_shape(index, shape, batch)


def _in_shape(index: Index, shape: list[int], batch: int) -> Index:
    if not shape or shape[0] != batch or math.prod(shape[1:]) != index.size:
        raise Refused(_MIXES, _KEEP)
    return index.reshape(shape[1:])


def _flattened(node: ir.Node, index: Index, batch: int, constants: Constants) -> Index:
    shape = (batch, *index.shape)
    axis = int_attribute(node, "axis", 1) % (len(shape) + 1)
    return _in_shape(index, [math.prod(shape[:axis]), math.prod(shape[axis:])], batch)


def _squeezed(node: ir.Node, index: Index, batch: int, constants: Constants) -> Index:
    axes, rank = _ints(constants, node, "axes"), index.ndim + 1
    if axes is None or any(axis % rank == 0 for axis in axes):
        raise Refused("it may remove the batch axis", "name the axes to remove: not the first one")
    return index.squeeze(tuple(axis % rank - 1 for axis in axes))


def _unsqueezed(node: ir.Node, index: Index, batch: int, constants: Constants) -> Index:
    axes = _ints(constants, node, "axes")
    rank = index.ndim + 1 + len(axes or ())
    if not axes or any(axis % rank == 0 for axis in axes):
        raise Refused(_MIXES, _KEEP)
    return np.expand_dims(index, tuple(axis % rank - 1 for axis in axes))


MOVES: Final[dict[str, Callable[[ir.Node, Index, int, Constants], Index]]] = {
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Flatten": _flattened,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
}


def move(net: Net, node: ir.Node) -> Form:
    """A node of the table above."""
    form = net.form(node)
    return form.moved(MOVES[node.op_type](node, form.index, net.batch, net.constants)).by(node)


def channels_last(read: Callable[[Net, ir.Node], Form]) -> Callable[[Net, ir.Node], Form]:
    """QONNX's variant of an operator, whose activations are [N, H, W, C]."""

    def moved(net: Net, node: ir.Node) -> Form:
        form, value = net.form(node), node.inputs[0]
        if value is None:
            raise Refused("its operand is missing", "export the model again")
        net.forms[value] = form.moved(np.moveaxis(form.index, -1, 0))
        try:
            result = read(net, node)
        finally:
            net.forms[value] = form
        return result.moved(np.moveaxis(result.index, 0, -1))

    return moved


def same(net: Net, node: ir.Node) -> Form:
    """Identity."""
    return net.form(node).by(node)


def dropout(net: Net, node: ir.Node) -> Form:
    """Dropout, which does nothing outside of training."""
    training = net.constant(node, 2)
    if training is not None and training.any():
        raise Refused("it drops values at random: the model is in training mode", "export it in evaluation mode")
    return same(net, node)
