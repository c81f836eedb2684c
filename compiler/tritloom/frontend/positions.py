"""Where the positions of a sequence of fixed length are in the values of a graph: along an axis, or one in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .graph import Graph
from .problems import Refusal

BEFORE: Final = -1
"""The position of a state that comes in."""


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


def set_along(found: Positions, node: ir.Node, axis: int) -> None:
    """The axis of the positions of all results."""
    for output in node.outputs:
        if found.graph.shape(output) is not None and found.shape(output)[axis : axis + 1] != (found.count,):
            raise MixedError("its result does not hold every position")
        found.places[output] = Along(axis)


def from_the_right(found: Positions, value: ir.Value) -> int:
    """The axis of the positions, counted from the last one, which is 1."""
    axis = found.along(value)
    return len(found.shape(value)) - (axis if axis is not None else 0)


def one_row(found: Positions, node: ir.Node, index: int, axis: int) -> None:
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


def shape_of_one(found: Positions, node: ir.Node, index: int, axis: int) -> None:
    """Let the shape that a node asks for have one position."""
    numbers = found.numbers(node.inputs[index])
    if numbers is None:
        raise MixedError("the shape that it asks for is computed at run time")
    if axis < len(numbers) and numbers[axis] == found.count:
        found.edits.append((node, index, np.asarray([*numbers[:axis], 1, *numbers[axis + 1 :]], np.int64)))
