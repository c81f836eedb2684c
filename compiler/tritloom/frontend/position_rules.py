"""Where the positions are in the results of a node that works on all of them; or why it mixes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import onnx_ir as ir

from .graph import input_at, int_attribute
from .positions import Along, At, MixedError, Positions, from_the_right, one_row, set_along, shape_of_one

_ELEMENTWISE: Final = frozenset(
    {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "Mod", "Where", "PRelu", "Clip", "Identity"}
    | {"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Not", "Xor", "IsNaN", "Dropout"}
    | {"Cast", "CastLike", "Abs", "Neg", "Sign", "Sqrt", "Reciprocal", "Exp", "Log", "Erf", "Round", "Floor", "Ceil"}
    | {"Sigmoid", "Tanh", "Relu", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "HardSwish"}
    | {"Gelu", "Swish", "Mish", "QuickGelu", "FastGelu", "BiasGelu", "Quant", "IntQuant", "BipolarQuant", "Expand"}
)
_PRODUCTS: Final = frozenset({"MatMul", "MatMulInteger", "MatMulNBits"})
_SKIP_NORMS: Final = frozenset({"SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})
"""Norms over the last axis of a sum."""
_NORMS: Final = frozenset(
    {"LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization", "Softmax", "LogSoftmax"}
)
_SAME_ORDER: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def of_sequence(found: Positions, node: ir.Node) -> None:
    """A node with all positions in an operand."""
    if any(found.position(value) is not None for value in node.inputs):
        raise MixedError("it combines one position with all")
    if (rule := _RULES.get(node.op_type)) is not None:
        rule(found, node)
    elif node.op_type in _ELEMENTWISE:
        _elementwise(found, node)
    elif node.op_type in _PRODUCTS:
        _product(found, node)
    elif node.op_type in _SKIP_NORMS:
        _skip_norm(found, node)
    elif node.op_type in _NORMS:
        _norm(found, node)
    elif node.op_type in _SAME_ORDER:
        _same_order(found, node)
    elif node.op_type.startswith("Reduce") or node.op_type in ("ArgMax", "ArgMin"):
        _reduction(found, node)
    else:
        raise MixedError("it may mix the positions of the sequence")


def _elementwise(found: Positions, node: ir.Node) -> None:
    """Operands are aligned at their last axes. Constants that have rows for positions must have one for all."""
    given = [value for value in node.inputs if value is not None]
    sides = {from_the_right(found, value) for value in given if found.along(value) is not None}
    if len(sides) != 1:
        raise MixedError("the positions of its operands are in different axes")
    (side,) = sides
    for index, value in enumerate(node.inputs):
        if value is None or value in found.places:
            continue
        if node.op_type == "Expand":
            shape_of_one(found, node, index, len(found.shape(node.outputs[0])) - side)
        elif len(found.shape(value)) >= side and found.shape(value)[-side] != 1:
            one_row(found, node, index, len(found.shape(value)) - side)
    set_along(found, node, len(found.shape(node.outputs[0])) - side)


def _first(found: Positions, node: ir.Node, otherwise: str) -> tuple[ir.Value, int]:
    """The first operand, which holds all positions, and their axis; `otherwise` is the reason if it does not."""
    first = node.inputs[0]
    axis = found.along(first)
    if first is None or axis is None:
        raise MixedError(otherwise)
    return first, axis


def _product(found: Positions, node: ir.Node) -> None:
    """A matrix that is the same for every position, and what rows of all positions become."""
    mixes = "it multiplies positions with each other"
    first, _ = _first(found, node, mixes)
    side, matrix = from_the_right(found, first), input_at(node, 1)
    if side < 2 or found.along(matrix) is not None:
        raise MixedError(mixes)
    if node.op_type != "MatMulNBits" and side > 2 and matrix is not None and len(found.shape(matrix)) >= side:
        one_row(found, node, 1, len(found.shape(matrix)) - side)
    set_along(found, node, len(found.shape(first)) - side)


def _skip_norm(found: Positions, node: ir.Node) -> None:
    if from_the_right(found, _first(found, node, "it adds positions to something else")[0]) < 2:
        raise MixedError("it normalises over the positions of the sequence")
    _elementwise(found, node)


def _gemm(found: Positions, node: ir.Node) -> None:
    if found.along(node.inputs[0]) != 0 or int_attribute(node, "transA", 0) or found.along(node.inputs[1]) is not None:
        raise MixedError("it multiplies positions with each other")
    bias = input_at(node, 2)
    if bias is not None and found.along(bias) != 0 and len(found.shape(bias)) == 2 and found.shape(bias)[0] != 1:
        one_row(found, node, 2, 0)
    set_along(found, node, 0)


def _norm(found: Positions, node: ir.Node) -> None:
    first, axis = _first(found, node, "it normalises by values of every position")
    rank = len(found.shape(first))
    old = node.op_type in ("Softmax", "LogSoftmax") and found.graph.model.opset_imports.get("", 20) < 13
    start = int_attribute(node, "axis", 1 if old else -1) % rank
    single = node.op_type in ("Softmax", "LogSoftmax") and not old
    if axis == start or (axis > start and not single):
        raise MixedError("it normalises over the positions of the sequence")
    for output in node.outputs:
        found.places[output] = Along(axis)


def _reduction(found: Positions, node: ir.Node) -> None:
    first, axis = _first(found, node, "it reduces axes that depend on the positions")
    rank = len(found.shape(first))
    if node.op_type in ("ArgMax", "ArgMin"):
        axes = [int_attribute(node, "axis", 0)]
    elif "axes" in node.attributes:
        axes = list(node.attributes["axes"].as_ints())
    else:
        given = found.numbers(input_at(node, 1)) or []
        axes = given if given or int_attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    reduced = {number % rank for number in axes}
    if axis in reduced:
        raise MixedError("it reduces over the positions of the sequence")
    keeps = int_attribute(node, "keepdims", 1)
    set_along(found, node, axis if keeps else axis - sum(number < axis for number in reduced))


def _same_order(found: Positions, node: ir.Node) -> None:
    """A new shape of the same elements: as many of them in front of an axis of as many positions."""
    first, axis = _first(found, node, "its shape depends on the positions")
    before, after = found.shape(first), found.shape(node.outputs[0])
    for place, size in enumerate(after):
        if size == found.count and math.prod(after[:place]) == math.prod(before[:axis]):
            break
    else:
        raise MixedError("it joins positions with other axes")
    if node.op_type == "Reshape":
        shape_of_one(found, node, 1, place)
    set_along(found, node, place)


def _transpose(found: Positions, node: ir.Node) -> None:
    first, axis = _first(found, node, "its order depends on the positions")
    rank = len(found.shape(first))
    order = list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else list(range(rank))[::-1]
    set_along(found, node, order.index(axis))


def _gather(found: Positions, node: ir.Node) -> None:
    """Rows of a table for every position, or one position."""
    data, indices = node.inputs[:2]
    if data is None or indices is None:
        raise MixedError("it has no operands")
    along, rank = int_attribute(node, "axis", 0) % len(found.shape(data)), len(found.shape(indices))
    if node.op_type == "GatherBlockQuantized":
        along = int_attribute(node, "gather_axis", 0) % len(found.shape(data))
    if (axis := found.along(indices)) is not None:
        if found.along(data) is not None:
            raise MixedError("it looks up positions")
        set_along(found, node, along + axis)
        return
    axis = found.along(data)
    if axis == along:
        _take(found, node, found.numbers(indices))
    elif axis is not None:
        set_along(found, node, axis + rank - 1 if along < axis else axis)


def _take(found: Positions, node: ir.Node, numbers: Sequence[int] | None) -> None:
    """One position of all."""
    if numbers is None or len(numbers) != 1 or node.inputs[0] is None:
        raise MixedError("it picks several positions, or which is computed at run time")
    found.taken[node.outputs[0]] = node.inputs[0]
    found.places[node.outputs[0]] = At(numbers[0] % found.count)


def _slice(found: Positions, node: ir.Node) -> None:
    data = node.inputs[0]
    axis = found.along(data)
    starts, ends, axes, steps = (_bounds(found, node, index, name) for index, name in enumerate(_BOUNDS, 1))
    if data is None or axis is None or starts is None or ends is None:
        raise MixedError("its bounds are computed at run time")
    rank = len(found.shape(data))
    of_axis = [number % rank for number in axes] if axes is not None else list(range(len(starts)))
    if axis in of_axis:
        at = of_axis.index(axis)
        picked = range(found.count)[slice(starts[at], ends[at], steps[at] if steps else 1)]
        if len(of_axis) == 1 and len(picked) == 1:
            _take(found, node, [picked[0]])
            return
        if list(picked) != list(range(found.count)):
            raise MixedError("it takes some of the positions")
    set_along(found, node, axis)


_BOUNDS: Final = ("starts", "ends", "axes", "steps")


def _bounds(found: Positions, node: ir.Node, index: int, name: str) -> list[int] | None:
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    return found.numbers(input_at(node, index))


def _split(found: Positions, node: ir.Node) -> None:
    data, axis = _first(found, node, "its sizes depend on the positions")
    if int_attribute(node, "axis", 0) % len(found.shape(data)) != axis:
        set_along(found, node, axis)
        return
    if len(node.outputs) != found.count:
        raise MixedError("it takes several positions at a time")
    for position, output in enumerate(node.outputs):
        found.taken[output] = data
        found.places[output] = At(position)


def _concat(found: Positions, node: ir.Node) -> None:
    axes = {found.along(value) for value in node.inputs if value in found.places and value is not None}
    rank = len(found.shape(node.outputs[0]))
    if len(axes) != 1 or None in axes:
        raise MixedError("it puts one position and all of them together")
    axis = axes.pop()
    if axis is None or int_attribute(node, "axis", 0) % rank == axis:
        raise MixedError("it moves positions")
    for index, value in enumerate(node.inputs):
        if value is not None and value not in found.places:
            one_row(found, node, index, axis)
    set_along(found, node, axis)


def _codes(found: Positions, node: ir.Node) -> None:
    """QuantizeLinear and DequantizeLinear with one constant scale, or one along another axis."""
    data, scale = node.inputs[:2]
    axis = found.along(data)
    if data is None or axis is None or scale is None or found.along(scale) is not None:
        raise MixedError("it has a scale for every position")
    if found.shape(scale) and int_attribute(node, "axis", 1) % len(found.shape(data)) == axis:
        raise MixedError("it has a scale for every position")
    set_along(found, node, axis)


_RULES: Final[dict[str, Callable[[Positions, ir.Node], None]]] = {
    "Gather": _gather,
    "GatherBlockQuantized": _gather,
    "Gemm": _gemm,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Transpose": _transpose,
    "QuantizeLinear": _codes,
    "DequantizeLinear": _codes,
}
