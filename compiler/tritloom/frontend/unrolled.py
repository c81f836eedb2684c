"""A sequence of a fixed number of positions becomes the step that is done at each of them.

What is computed at a position is compared with what is computed at the one before, node by node. They are the same but
for where a position uses a result of the one before it: that is a state, and what stands in its place at the first
position is its start. The last position is kept; with one position, everything that works on all of them is a step's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ..errors import InputError
from .locate import folded, locate
from .positions import BEFORE, Along, Positions, Written
from .problems import NotImported, Refusal, node_label
from .surgery import add_output, is_output, moved_axis, stored, take_over, unused_name

_KEEP_ORDER: Final = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "Transpose", "Expand")
_INSTEAD: Final = "export one decoding step, with one token and its states as inputs and outputs"


@dataclass
class _Pairs:
    """Values of one position and those that they correspond to at the position before."""

    before: dict[ir.Value, ir.Value] = field(default_factory=dict)
    starts: dict[ir.Value, ir.Value | None] = field(default_factory=dict)
    """Results of the first position, and what the first position has in the place of such a result; None: zero."""


class _DiffersError(Exception):
    """Two positions differ in these values."""

    def __init__(self, later: ir.Value, earlier: ir.Value) -> None:
        super().__init__()
        self.later, self.earlier = later, earlier


def positions_axis(token: ir.Value) -> int | None:
    """The axis of a token's positions, where their number is fixed and there are several; None for a step's token."""
    dims = list(token.shape) if token.shape is not None else []
    long = [axis for axis, dim in enumerate(dims) if isinstance(dim, int) and dim > 1]
    return long[0] if len(long) == 1 and 0 not in dims else None


def roll_up(model: ir.Model, token: ir.Value, axis: int) -> None:
    """Make a step of a sequence, in place; `axis` is that of the token's positions.

    Raises:
        NotImported: a node mixes positions, or positions differ in more than their data.
    """
    graph = folded(model, token)
    positions = locate(graph, token, axis)
    if positions.refused:
        raise NotImported(positions.refused, [], {})
    _Rolling(positions).run(token, axis)


class _Rolling:
    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self.model = positions.graph.model
        self.last = positions.count - 1
        self.pairs = _Pairs()
        self.old: dict[ir.Value, ir.Value] = {}
        """Results of the last position but one, and the step's values in their place: its states."""

    def run(self, token: ir.Value, axis: int) -> None:
        self._check_outputs()
        for values in self.positions.joined.values():
            for later, earlier in zip(values[1:], values, strict=False):
                self._same_or_refuse(later, earlier)
        kept = [node for node in self.model.graph if self._position(node.outputs[0]) == self.last]
        for node in kept:
            for index, value in enumerate(node.inputs):
                if value is not None and self._before_last(value):
                    node.replace_input_with(index, self._state(value, node))
        self._one_position(token, axis)
        RemoveUnusedNodesPass()(self.model)

    def _check_outputs(self) -> None:
        """Outputs hold all positions, or the last."""
        for output in self.model.graph.outputs:
            place = self.positions.places.get(output)
            if isinstance(place, Written) or self._before_last(output):
                raise InputError(
                    f"output '{output.name}' holds some of the positions of the sequence",
                    "let it hold all of them or the last, or export one decoding step",
                )

    def _position(self, value: ir.Value) -> int | None:
        return self.positions.position(value)

    def _before_last(self, value: ir.Value) -> bool:
        position = self._position(value)
        return position not in (None, BEFORE, self.last)

    # -- that positions are the same

    def _same_or_refuse(self, later: ir.Value, earlier: ir.Value) -> None:
        try:
            self._same(later, earlier)
        except _DiffersError as error:
            raise self._differs(error.later, error.earlier) from None

    def _same(self, later: ir.Value, earlier: ir.Value) -> None:
        """Pair what two values are computed from."""
        found = _Pairs()
        queue, seen = [((later, earlier), (later, earlier))], set()
        while queue:
            wanted, users = queue.pop()
            a, b = pair = _behind_identity(wanted[0]), _behind_identity(wanted[1])
            if pair in seen or self.pairs.before.get(a) is b:
                continue
            seen.add(pair)
            found.before[a] = b
            if self._position(a) == 0 and self._is_start(b):
                self._starts_at(a, b, found)
            elif (more := self._operands(a, b, found)) is None:
                consecutive = (self._position(a) or 0) == (self._position(b) or 0) + 1
                raise _DiffersError(a, b) if consecutive else _DiffersError(*users)
            else:
                queue += [(operands, pair) for operands in more]
        self.pairs.before |= found.before
        self.pairs.starts |= found.starts

    def _is_start(self, value: ir.Value) -> bool:
        return self._position(value) == BEFORE or self._is_zero(value)

    def _starts_at(self, a: ir.Value, b: ir.Value, found: _Pairs) -> None:
        """Note what the first position has in the place of a result, and of what that is made of in other shapes."""
        start = b if self._position(b) == BEFORE else None
        for known in (found.starts, self.pairs.starts):
            if known.get(a, start) is not start:
                raise _DiffersError(a, b)
        found.starts[a] = start
        pairs = _node_operands(a, b)
        if pairs is not None:  # what is made of a state alone: the states are further in
            if all((self._position(x) == 0 and self._is_start(y)) or self._unplaced(x, y) for x, y in pairs):
                for x, y in pairs:
                    if self._position(x) == 0:
                        self._starts_at(x, y, found)
            return
        node = a.producer()
        inner = node.inputs[0] if node is not None and node.op_type in _KEEP_ORDER else None
        if start is None and inner is not None and self._position(inner) == 0:
            self._starts_at(inner, b, found)

    def _unplaced(self, a: ir.Value, b: ir.Value) -> bool:
        """Whether two values are the same constant."""
        places = self.positions.places
        return a not in places and b not in places and (a is b or self._same_constants(a, b) == [])

    def _is_zero(self, value: ir.Value) -> bool:
        constant = self.positions.graph.constants.get(value)
        return constant is not None and not np.asarray(constant.load()).any()

    def _operands(self, a: ir.Value, b: ir.Value, found: _Pairs) -> list[tuple[ir.Value, ir.Value]] | None:
        """What must be the same for two values to be; None where they differ themselves."""
        places = self.positions.places
        if a is b:
            return [] if a not in places or isinstance(places[a], Along) else None
        if a not in places and b not in places:
            return self._same_constants(a, b)
        at, before = self._position(a), self._position(b)
        if at == 0 and b not in places:  # made of the state that the first position has, a constant
            return _node_operands(a, b)
        if at is None or before is None or at != before + 1:
            return None
        taken = self.positions.taken
        if a in taken and b in taken:
            return [] if taken[a] is taken[b] else None
        pairs = _node_operands(a, b)
        if pairs is None and not before:
            return self._without_a_start(a, b, found)
        return pairs

    def _same_constants(self, a: ir.Value, b: ir.Value) -> list[tuple[ir.Value, ir.Value]] | None:
        constants = self.positions.graph.constants
        one, other = constants.get(a), constants.get(b)
        if one is None or other is None:
            return _node_operands(a, b)
        if one.shape != other.shape:
            return None
        return [] if np.array_equal(one.load(), other.load(), equal_nan=False) else None

    def _without_a_start(self, a: ir.Value, b: ir.Value, found: _Pairs) -> list[tuple[ir.Value, ir.Value]] | None:
        """`f * h + c` at the second position and `c` at the first, which then starts at zero."""
        node = a.producer()
        if node is None or node.op_type != "Add" or node.domain:
            return None
        for zero, rest in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
            if zero is None or rest is None:
                continue
            states = self._zero_with(zero)
            known = [
                starts[state] for state in states for starts in (found.starts, self.pairs.starts) if state in starts
            ]
            if states and self._position(rest) == 1 and all(start is None for start in known):
                found.starts |= dict.fromkeys(states)
                return [(rest, b)]
        return None

    def _zero_with(self, value: ir.Value) -> list[ir.Value]:
        """The results of the first position of which one being zero makes a value zero."""
        if self._position(value) == 0:
            return [value]
        node = value.producer()
        if node is None or node.domain or node.op_type not in ("Mul", *_KEEP_ORDER):
            return []
        operands = node.inputs if node.op_type == "Mul" else node.inputs[:1]
        return [state for operand in operands if operand is not None for state in self._zero_with(operand)]

    def _differs(self, later: ir.Value, earlier: ir.Value) -> InputError:
        node, other = later.producer(), earlier.producer()
        name = node_label(other) if other is not None else earlier.name
        position = self._position(later)
        where = f"position {position}" if position is not None else "a position"
        reason = f"{where} does something else than the one before it, which has '{name}' there"
        if node is None:
            return InputError(f"'{later.name}': {reason}", _INSTEAD)
        return NotImported([Refusal(node, reason, _INSTEAD)], [], {})

    # -- the states

    def _state(self, value: ir.Value, user: ir.Node) -> ir.Value:
        """What the step has in the place of a result of the position before: a state, or what is made of states."""
        if value not in self.old:
            new = self._new_value(value)
            self.old[value] = self._input_of(value, new) if new is not None else self._remade(value, user)
        return self.old[value]

    def _new_value(self, value: ir.Value) -> ir.Value | None:
        """What the last position has in the place of a result of the one before."""
        node = value.producer()
        if node is None or self._position(value) != self.last - 1:
            return None
        for other in self.model.graph:
            if other.op_type != node.op_type or len(other.outputs) != len(node.outputs):
                continue
            candidate = other.outputs[value.index() or 0]
            if self._position(candidate) != self.last:
                continue
            try:
                self._same(candidate, value)
            except _DiffersError:
                continue
            return candidate
        return None

    def _remade(self, value: ir.Value, user: ir.Node) -> ir.Value:
        """A copy of a node that makes something of states alone, which only the position behind the last would use."""
        node = value.producer()
        if node is None or value in self.positions.taken or len(node.outputs) != 1:
            raise self._differs(user.outputs[0], value)
        operands = [
            operand if operand is None or not self._before_last(operand) else self._state(operand, user)
            for operand in node.inputs
        ]
        copy = ir.Node(
            node.domain, node.op_type, operands, list(node.attributes.values()), name=f"{node_label(node)}.of_state"
        )
        copy.outputs[0].name, copy.outputs[0].type = f"{value.name}.of_state", value.type
        copy.outputs[0].shape = value.shape
        self.model.graph.insert_before(user, copy)
        return copy.outputs[0]

    def _input_of(self, value: ir.Value, new: ir.Value) -> ir.Value:
        """The state itself; its new value becomes an output, if it is none."""
        first = value
        while self._position(first):
            first = self.pairs.before[first]
        if first not in self.pairs.starts:
            raise self._differs(new, value)
        if (start := self.pairs.starts[first]) is not None:
            if not is_output(new):
                add_output(self.model, new, unused_name(self.model, f"{start.name}.out"))
            return start
        name = unused_name(self.model, f"state.{len(self.old)}")
        state = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape)
        self.model.graph.inputs.append(state)
        if not is_output(new):
            add_output(self.model, new, unused_name(self.model, f"{name}.out"))
        return state

    # -- one position

    def _one_position(self, token: ir.Value, axis: int) -> None:
        for node, index, values in self.positions.edits:
            name = f"{node.outputs[0].name}.one.{index}"
            node.replace_input_with(index, stored(self.model, name, values))
        only = {
            value: self._only(value, source)
            for value, source in self.positions.taken.items()
            if self._position(value) == self.last
        }
        joined = {
            value: self._in_shape(only.get(parts[-1], parts[-1]), value)
            for value, parts in self.positions.joined.items()
        }
        for value, result in (*only.items(), *joined.items()):
            take_over(self.model, value, result)
        for value, place in self.positions.places.items():
            if isinstance(place, Along) and value.shape is not None:
                value.shape = _with_one(value.shape, place.axis)
        token.shape = _with_one(token.shape, axis)

    def _only(self, value: ir.Value, source: ir.Value) -> ir.Value:
        """The one position of a value, in the shape of what took it."""
        node, axis = value.producer(), self.positions.along(source)
        if node is None or axis is None or len(self.positions.shape(value)) == len(self.positions.shape(source)):
            return source
        squeezed = moved_axis(self.model, node, "Squeeze", source, axis, f"{value.name}.only")
        squeezed.shape = value.shape
        return squeezed

    def _in_shape(self, part: ir.Value, whole: ir.Value) -> ir.Value:
        """The last position in the shape of all, with one position."""
        node, axis = whole.producer(), self.positions.along(whole)
        shape = _with_one(whole.shape, axis or 0)
        if node is None or part.shape == shape:
            return part
        sizes = stored(self.model, f"{whole.name}.shape", np.asarray(shape.numpy(), np.int64))
        reshape = ir.node("Reshape", [part, sizes], name=f"{whole.name}.row")
        row = reshape.outputs[0]
        row.name, row.type, row.shape = f"{whole.name}.row", part.type, shape
        self.model.graph.insert_before(node, reshape)
        return row


def _with_one(shape: ir.Shape | None, axis: int) -> ir.Shape:
    dims = list(shape or ())
    return ir.Shape([*dims[:axis], 1, *dims[axis + 1 :]])


def _behind_identity(value: ir.Value) -> ir.Value:
    """Exporters put Identity between a shared weight and all its users but the first."""
    node = value.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items() if isinstance(attribute, ir.Attr)}


def _node_operands(a: ir.Value, b: ir.Value) -> list[tuple[ir.Value, ir.Value]] | None:
    """The operands of two nodes that do the same; None where they do not."""
    one, other = a.producer(), b.producer()
    if one is None or other is None or (one.domain, one.op_type) != (other.domain, other.op_type):
        return None
    if a.index() != b.index() or len(one.inputs) != len(other.inputs) or _attributes(one) != _attributes(other):
        return None
    pairs: list[tuple[ir.Value, ir.Value]] = []
    for x, y in zip(one.inputs, other.inputs, strict=True):
        if (x is None) != (y is None):
            return None
        if x is not None and y is not None:
            pairs.append((x, y))
    return pairs
