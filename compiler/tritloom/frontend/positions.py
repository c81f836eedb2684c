"""Where the positions of a sequence of fixed length are in the values of a graph: along an axis, or one in each value.

Read forwards. A node either treats every position alike, or takes one position out of all, or works on single
positions, or puts single ones together again; anything else mixes positions and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .folding import evaluate
from .graph import Graph, input_at, int_attribute
from .problems import Refusal

BEFORE: Final = -1
"""The position of a state that comes in."""

_ELEMENTWISE: Final = frozenset(
    {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "Mod", "Where", "PRelu", "Clip", "Identity"}
    | {"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Not", "Xor", "IsNaN", "Dropout"}
    | {"Cast", "CastLike", "Abs", "Neg", "Sign", "Sqrt", "Reciprocal", "Exp", "Log", "Erf", "Round", "Floor", "Ceil"}
    | {
        "Sigmoid",
        "Tanh",
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "HardSigmoid",
        "HardSwish",
        "Mish",
    }
    | {"Gelu", "Swish", "QuickGelu", "FastGelu", "BiasGelu", "Quant", "IntQuant", "BipolarQuant", "Trunc", "Expand"}
)
_LAST_AXIS: Final = frozenset(
    {"MatMul", "MatMulInteger", "MatMulNBits", "MatMulIntegerToFloat", "SkipLayerNormalization"}
    | {"SkipSimplifiedLayerNormalization", "SwiGLU"}
)
"""What keeps all axes of its first operand but the last."""
_NORMS: Final = frozenset(
    {"LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization", "Softmax", "LogSoftmax"}
)
_SAME_ORDER: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True)
class Along:
    """All positions, along an axis."""

    axis: int


@dataclass(frozen=True)
class At:
    """What belongs to one position."""

    position: int


@dataclass(frozen=True)
class Written:
    """A buffer into which some positions have been written, each by a value."""

    axis: int
    rows: dict[int, ir.Value]


Place = Along | At | Written


class MixedError(Exception):
    """A node that does not treat every position alike; the message is the reason."""


@dataclass
class Positions:
    """What `locate` finds. A value that is in no dictionary has nothing to do with positions."""

    graph: Graph
    count: int
    places: dict[ir.Value, Place] = field(default_factory=dict)
    taken: dict[ir.Value, ir.Value] = field(default_factory=dict)
    """Single positions, and what they were taken from."""
    joined: dict[ir.Value, list[ir.Value]] = field(default_factory=dict)
    """Values of all positions that are made of single ones."""
    edits: list[tuple[ir.Node, int, NDArray[Any]]] = field(default_factory=list)
    """Constant operands that become others where there is only one position: node, index of the operand, value."""
    refused: list[Refusal] = field(default_factory=list)

    def along(self, value: ir.Value | None) -> int | None:
        """The axis of the positions of a value."""
        place = self.places.get(value) if value is not None else None
        return place.axis if isinstance(place, Along) else None

    def position(self, value: ir.Value | None) -> int | None:
        """The one position of a value."""
        place = self.places.get(value) if value is not None else None
        return place.position if isinstance(place, At) else None

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """Dimensions, all known."""
        if (shape := self.graph.shape(value)) is None:
            raise MixedError("the shape of what it works on is not known")
        return shape

    def numbers(self, value: ir.Value | None) -> list[int] | None:
        """The elements of a constant of integers."""
        constant = self.graph.constants.get(value) if value is not None else None
        return None if constant is None else [int(number) for number in np.asarray(constant.load()).reshape(-1)]


def locate(graph: Graph, token: ir.Value, axis: int) -> Positions:
    """Find the positions of every value; `axis` is theirs in the token."""
    found = Positions(graph, graph.shape(token)[axis])  # type: ignore[index]
    found.places[token] = Along(axis)
    initializers = set(graph.model.graph.initializers.values())
    for value in graph.model.graph.inputs:
        if value is not token and value not in initializers:
            found.places[value] = At(BEFORE)
    needed = _needed(graph)
    for node in graph.model.graph:
        if node in needed:
            _locate_results(found, node)
    return found


def _needed(graph: Graph) -> set[ir.Node]:
    """Nodes that the outputs need, constants known."""
    found: set[ir.Node] = set()
    queue = list(graph.model.graph.outputs)
    while queue:
        value = queue.pop()
        node = value.producer()
        if node is None or node in found or value in graph.constants:
            continue
        found.add(node)
        queue += [operand for operand in node.inputs if operand is not None]
        queue += [value for inner in _bodies(node) for value in inner]
    return found


def _bodies(node: ir.Node) -> list[list[ir.Value]]:
    """What the bodies of a node take from the graph around them."""
    bodies = [
        attribute.as_graph() for attribute in node.attributes.values() if attribute.type == ir.AttributeType.GRAPH
    ]
    return [[value for inner in body for value in inner.inputs if value is not None] for body in bodies]


def _locate_results(found: Positions, node: ir.Node) -> None:
    places = [found.places[value] for value in node.inputs if value in found.places and value is not None]
    if not places and node.op_type != "Loop":
        return
    try:
        if node.op_type in ("Scan", "Loop", "GRU"):
            _recurrence(found, node)
        elif not _write(found, node):
            if any(isinstance(place, Written) for place in places):
                raise MixedError("it uses a buffer in which not all positions are written")
            if any(isinstance(place, Along) for place in places):
                _of_sequence(found, node)
            else:
                _of_items(found, node)
    except MixedError as error:
        instead = "export one decoding step, with one token and its states as inputs and outputs"
        found.refused.append(Refusal(node, str(error), instead))
        for output in node.outputs:  # so that what follows is not refused, too
            shape = graph_shape(found, output)
            if found.count in shape:
                found.places[output] = Along(shape.index(found.count))


def graph_shape(found: Positions, value: ir.Value) -> tuple[int, ...]:
    """Dimensions, or none."""
    return found.graph.shape(value) or ()


def _of_items(found: Positions, node: ir.Node) -> None:
    """The latest position of a node's operands; all of them, where it puts each once in order."""
    positions = [found.position(value) for value in node.inputs]
    if node.op_type == "Concat" and positions == list(range(found.count)):
        rank = len(found.shape(node.outputs[0]))
        axis = int_attribute(node, "axis", 0) % rank
        values = [value for value in node.inputs if value is not None]
        if all(found.shape(value)[axis] == 1 for value in values):
            found.joined[node.outputs[0]] = values
            found.places[node.outputs[0]] = Along(axis)
            return
    latest = max(position for position in positions if position is not None)
    found.places |= dict.fromkeys(node.outputs, At(latest))


def _write(found: Positions, node: ir.Node) -> bool:
    """Whether a node writes one position into a buffer (torch: `o[:, t] = h`)."""
    if node.op_type not in ("ScatterND", "ScatterElements") or node.domain:
        return False
    buffer, indices, updates = node.inputs[:3]
    place = found.places.get(buffer) if buffer is not None else None
    position, constant = found.position(updates), found.graph.constants.get(indices) if indices is not None else None
    if updates is None or buffer is None or position is None or constant is None or isinstance(place, (Along, At)):
        raise MixedError("it writes into a value")
    shape = found.shape(buffer)
    order = np.arange(math.prod(found.shape(updates))).reshape(found.shape(updates))
    try:
        opset = found.graph.model.opset_imports.get("", 20)
        target = np.asarray(evaluate(node, [np.full(shape, -1), constant.load(), order], opset)[0], np.int64)
    except ValueError as error:
        raise MixedError("it writes into a value") from error
    for axis, size in enumerate(shape):
        rows = np.moveaxis(target, axis, 0).reshape(size, -1)
        whole = [row for row in range(size) if np.array_equal(rows[row], np.arange(rows.shape[1]))]
        written = np.count_nonzero(target >= 0)
        if size == found.count and len(whole) == 1 and written == rows.shape[1]:
            break
    else:
        raise MixedError("it writes something else than one position")
    if whole != [position] or (isinstance(place, Written) and place.axis != axis):
        raise MixedError("it writes one position in the place of another")
    parts = {**(place.rows if isinstance(place, Written) else {}), position: updates}
    result = node.outputs[0]
    if len(parts) < found.count:
        found.places[result] = Written(axis, parts)
    else:
        found.joined[result] = [parts[index] for index in range(found.count)]
        found.places[result] = Along(axis)
    return True


def _of_sequence(found: Positions, node: ir.Node) -> None:
    """A node with all positions in an operand."""
    if any(found.position(value) is not None for value in node.inputs):
        raise MixedError("it combines one position with all")
    if (rule := _RULES.get(node.op_type)) is not None:
        rule(found, node)
    elif node.op_type in _ELEMENTWISE:
        _elementwise(found, node)
    elif node.op_type in _LAST_AXIS:
        _last_axis(found, node)
    elif node.op_type in _NORMS:
        _norm(found, node)
    elif node.op_type in _SAME_ORDER:
        _same_order(found, node)
    elif node.op_type.startswith("Reduce") or node.op_type in ("ArgMax", "ArgMin"):
        _reduction(found, node)
    else:
        raise MixedError("it may mix the positions of the sequence")


def _set(found: Positions, node: ir.Node, axis: int) -> None:
    """The axis of the positions of all results."""
    for output in node.outputs:
        if found.graph.shape(output) is not None and found.shape(output)[axis : axis + 1] != (found.count,):
            raise MixedError("its result does not hold every position")
        found.places[output] = Along(axis)


def _from_the_right(found: Positions, value: ir.Value) -> int:
    axis = found.along(value)
    return len(found.shape(value)) - (axis if axis is not None else 0)


def _elementwise(found: Positions, node: ir.Node) -> None:
    """Operands are aligned at their last axes. Constants that have rows for positions must have one for all."""
    given = [value for value in node.inputs if value is not None]
    sides = {_from_the_right(found, value) for value in given if found.along(value) is not None}
    if len(sides) != 1:
        raise MixedError("the positions of its operands are in different axes")
    (side,) = sides
    for index, value in enumerate(node.inputs):
        if value is None or value in found.places:
            continue
        if node.op_type == "Expand":
            _shape_of_one(found, node, index, len(found.shape(node.outputs[0])) - side)
        elif len(found.shape(value)) >= side and found.shape(value)[-side] != 1:
            _one_row(found, node, index, len(found.shape(value)) - side)
    _set(found, node, len(found.shape(node.outputs[0])) - side)


def _one_row(found: Positions, node: ir.Node, index: int, axis: int) -> None:
    """Use one row of a constant that has the same for every position."""
    value = node.inputs[index]
    constant = found.graph.constants.get(value) if value is not None else None
    if constant is None:
        raise MixedError("an operand has a part for every position")
    rows = np.asarray(constant.load())
    row = rows.take([0], axis)
    if not np.array_equal(np.broadcast_to(row, rows.shape), rows):
        raise MixedError(f"its constant '{constant.name}' differs from position to position")
    found.edits.append((node, index, row))


def _shape_of_one(found: Positions, node: ir.Node, index: int, axis: int) -> None:
    """Let the shape that a node asks for have one position."""
    numbers = found.numbers(node.inputs[index])
    if numbers is None:
        raise MixedError("the shape that it asks for is computed at run time")
    if axis < len(numbers) and numbers[axis] == found.count:
        found.edits.append((node, index, np.asarray([*numbers[:axis], 1, *numbers[axis + 1 :]], np.int64)))


def _last_axis(found: Positions, node: ir.Node) -> None:
    """Products and norms of what is along the last axis."""
    first = node.inputs[0]
    if first is None or found.along(first) is None or _from_the_right(found, first) < 2:
        raise MixedError("it sums over the positions of the sequence")
    for value in node.inputs[1:]:
        if value is None or found.along(value) is None:
            continue
        if not node.op_type.startswith("Skip") and (
            len(found.shape(value)) > 1 and _from_the_right(found, value) != _from_the_right(found, first)
        ):
            raise MixedError("it multiplies positions with each other")
        if node.op_type in ("MatMul", "MatMulInteger", "MatMulNBits") and value is node.inputs[1]:
            raise MixedError("it multiplies positions with each other")
    side = _from_the_right(found, first)
    matrix = node.inputs[1]
    if node.op_type == "MatMul" and side > 2 and matrix is not None and len(found.shape(matrix)) >= side:
        _one_row(found, node, 1, len(found.shape(matrix)) - side)
    shape = found.graph.shape(node.outputs[0])
    rank = len(shape) if shape is not None else len(found.shape(first))
    _set(found, node, rank - _from_the_right(found, first))


def _gemm(found: Positions, node: ir.Node) -> None:
    if found.along(node.inputs[0]) != 0 or int_attribute(node, "transA", 0) or found.along(node.inputs[1]) is not None:
        raise MixedError("it multiplies positions with each other")
    bias = input_at(node, 2)
    if bias is not None and found.along(bias) != 0 and len(found.shape(bias)) == 2 and found.shape(bias)[0] != 1:
        _one_row(found, node, 2, 0)
    _set(found, node, 0)


def _norm(found: Positions, node: ir.Node) -> None:
    first = node.inputs[0]
    axis = found.along(first)
    if first is None or axis is None:
        raise MixedError("it normalises by values of every position")
    rank = len(found.shape(first))
    old = node.op_type in ("Softmax", "LogSoftmax") and found.graph.model.opset_imports.get("", 20) < 13
    start = int_attribute(node, "axis", 1 if old else -1) % rank
    single = node.op_type in ("Softmax", "LogSoftmax") and not old
    if axis == start or (axis > start and not single):
        raise MixedError("it normalises over the positions of the sequence")
    for output in node.outputs:
        found.places[output] = Along(axis)


def _reduction(found: Positions, node: ir.Node) -> None:
    first = node.inputs[0]
    axis = found.along(first)
    if first is None or axis is None:
        raise MixedError("it reduces axes that depend on the positions")
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
    _set(found, node, axis if keeps else axis - sum(number < axis for number in reduced))


def _same_order(found: Positions, node: ir.Node) -> None:
    """A new shape of the same elements: as many of them in front of an axis of as many positions."""
    first = node.inputs[0]
    axis = found.along(first)
    if first is None or axis is None:
        raise MixedError("its shape depends on the positions")
    before, after = found.shape(first), found.shape(node.outputs[0])
    for place, size in enumerate(after):
        if size == found.count and math.prod(after[:place]) == math.prod(before[:axis]):
            break
    else:
        raise MixedError("it joins positions with other axes")
    if node.op_type == "Reshape":
        _shape_of_one(found, node, 1, place)
    _set(found, node, place)


def _transpose(found: Positions, node: ir.Node) -> None:
    first = node.inputs[0]
    axis = found.along(first)
    if first is None or axis is None:
        raise MixedError("its order depends on the positions")
    rank = len(found.shape(first))
    order = list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else list(range(rank))[::-1]
    _set(found, node, order.index(axis))


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
        _set(found, node, along + axis)
        return
    axis = found.along(data)
    if axis == along:
        _take(found, node, found.numbers(indices))
    elif axis is not None:
        _set(found, node, axis + rank - 1 if along < axis else axis)


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
    _set(found, node, axis)


_BOUNDS: Final = ("starts", "ends", "axes", "steps")


def _bounds(found: Positions, node: ir.Node, index: int, name: str) -> list[int] | None:
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    return found.numbers(input_at(node, index))


def _split(found: Positions, node: ir.Node) -> None:
    data = node.inputs[0]
    axis = found.along(data)
    if data is None or axis is None:
        raise MixedError("its sizes depend on the positions")
    if int_attribute(node, "axis", 0) % len(found.shape(data)) != axis:
        _set(found, node, axis)
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
            _one_row(found, node, index, axis)
    _set(found, node, axis)


def _codes(found: Positions, node: ir.Node) -> None:
    """QuantizeLinear and DequantizeLinear with one constant scale, or one along another axis."""
    data, scale = node.inputs[:2]
    axis = found.along(data)
    if data is None or axis is None or scale is None or found.along(scale) is not None:
        raise MixedError("it has a scale for every position")
    if found.shape(scale) and int_attribute(node, "axis", 1) % len(found.shape(data)) == axis:
        raise MixedError("it has a scale for every position")
    _set(found, node, axis)


def _recurrence(found: Positions, node: ir.Node) -> None:
    """Scan, Loop, GRU: states at the last position, and results of all. With one position they are taken apart
    later (`loops.py`, `gru.py`)."""
    if node.op_type == "Scan":
        states = len(node.inputs) - int_attribute(node, "num_scan_inputs", 1)
        given = node.attributes.get("scan_output_axes")
        axes = list(given.as_ints()) if given is not None else [0] * (len(node.outputs) - states)
        last, every = node.outputs[:states], node.outputs[states:]
    elif node.op_type == "Loop":
        states = len(node.inputs) - 2
        last, every = node.outputs[:states], node.outputs[states:]
        axes = [0] * len(every)
        if found.numbers(node.inputs[0]) != [found.count]:
            raise MixedError(f"it does not go over the {found.count} positions of the sequence")
        found.edits.append((node, 0, np.asarray(1, np.int64)))
    else:
        last, every, axes = node.outputs[1:], node.outputs[:1], [0]
        if found.along(node.inputs[0]) != 0:
            raise MixedError("the positions of the sequence are in another axis")
    found.places |= dict.fromkeys(last, At(found.count - 1))
    found.places |= {output: Along(axis) for output, axis in zip(every, axes, strict=True)}


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
