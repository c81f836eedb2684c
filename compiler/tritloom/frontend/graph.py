"""A view of the ONNX graph for matching: constants, shapes, and values with the do-nothing nodes looked through."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from .constants import Constant, constant_of

_RESHAPES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Transpose"})
_TRANSPARENT = frozenset({"Identity", "Dropout", "Cast", "Gather", "Slice", *_RESHAPES})


@dataclass(frozen=True, eq=False)
class State:
    """A recurrent state: its graph input, its graph output, and the value behind the output."""

    input: ir.Value
    output: ir.Value
    source: ir.Value


@dataclass
class Graph:
    """One decoding step, fed with `source`: a token, or a vector of floats, which is None until the states are known.

    Values are compared after `resolve`: nodes that only rename or reshape a vector are looked through. A vector is a
    value whose dimensions are 1 but for the last; `width` is that last one, and 1 for a scalar.
    """

    model: ir.Model
    source: ir.Value | None
    states: tuple[State, ...] = ()
    constants: dict[ir.Value, Constant] = field(default_factory=dict)
    residues: dict[ir.Value, ir.Value] = field(default_factory=dict)
    """Sums `w + (q - w)`, and the q that each stands for."""
    _codes: dict[ir.Value, ir.Value] = field(default_factory=dict)
    _held: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in self.model.graph.initializers.values():
            if value.const_value is not None:
                self.constants[value] = constant_of(value.name or "", value.const_value)

    def codes(self, value: ir.Value) -> ir.Value:
        """What a ternary product asks for: a value as codes. As floats it is another one, which may be needed too."""
        if value not in self._codes:
            self._codes[value] = ir.Value(name=value.name, type=value.type, shape=value.shape)
            self._held[self._codes[value]] = value
        return self._codes[value]

    def held_as_codes(self, value: ir.Value) -> ir.Value | None:
        """The value that a product asked for as codes."""
        return self._held.get(value)

    def shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """Dimensions, where all are known."""
        if (constant := self.constants.get(value)) is not None:
            return constant.shape
        return static_shape(value)

    def width(self, value: ir.Value) -> int | None:
        """Length of a vector (1 for a scalar); None for anything else."""
        shape = self.shape(value)
        if shape is None or any(dim != 1 for dim in shape[:-1]):
            return None
        return shape[-1] if shape else 1

    def resolve(self, value: ir.Value) -> ir.Value:
        """The value behind nodes that change neither the numbers nor their order."""
        while True:
            if (quantised := self.residues.get(value)) is not None:
                value = quantised
                continue
            node = value.producer()
            if node is None or value is not node.outputs[0]:
                return value
            source = node.inputs[0] if self._transparent(node) else self._times_one(node)
            if source is None:
                return value
            value = source

    def _transparent(self, node: ir.Node) -> bool:
        if node.domain or node.op_type not in _TRANSPARENT or not node.inputs or node.inputs[0] is None:
            return False
        source, result = node.inputs[0], node.outputs[0]
        if result in self.constants:
            return False
        if node.op_type == "Identity":
            return True
        if node.op_type == "Cast":
            return source.dtype is not None and source.dtype == result.dtype
        if node.op_type == "Dropout":
            return len(node.inputs) < 3 or node.inputs[2] is None
        if node.op_type == "Gather" and not self._takes_the_only_one(node):
            return False
        if node.op_type == "Slice":
            return self._takes_all(node)
        width = self.width(source)
        return width is not None and width == self.width(result)

    def _times_one(self, node: ir.Node) -> ir.Value | None:
        """The other operand of a product with the constant 1, which torch writes for `addcmul` and the like."""
        if (
            node.domain
            or node.op_type not in ("Mul", "Div")
            or len(node.inputs) != 2
            or node.outputs[0] in self.constants
        ):
            return None
        for one, other in ((1, 0), (0, 1)) if node.op_type == "Mul" else ((1, 0),):
            value, source = node.inputs[one], node.inputs[other]
            constant = self.constants.get(value) if value is not None else None
            if source is None or constant is None or constant.size != 1 or source in self.constants:
                continue
            if self.shape(source) == self.shape(node.outputs[0]) and constant.load().reshape(-1)[0] == 1:
                return source
        return None

    def _takes_all(self, node: ir.Node) -> bool:
        """Whether a Slice takes all there is, forwards."""
        steps = self.constant(input_at(node, 4))
        source, result = (
            self.shape(value) if value is not None else None for value in (node.inputs[0], node.outputs[0])
        )
        forwards = input_at(node, 4) is None or (steps is not None and bool((steps.load() == 1).all()))
        return forwards and source is not None and source == result

    def _takes_the_only_one(self, gather: ir.Node) -> bool:
        """Whether a Gather picks index 0 of an axis of length 1: the one position."""
        source, index = gather.inputs[0], self.constant(gather.inputs[1])
        shape = self.shape(source) if source is not None and source not in self.constants else None
        if not shape or index is None or index.size != 1:
            return False
        return shape[int_attribute(gather, "axis", 0)] == 1 and int(index.scalar()) in (0, -1)

    def producer(self, value: ir.Value, *op_types: str) -> ir.Node | None:
        """The node that computes a value, where it is one of `op_types` of the default domain."""
        node = self.resolve(value).producer()
        return node if node is not None and not node.domain and node.op_type in op_types else None

    def foreign(self, value: ir.Value, domains: Collection[str], *op_types: str) -> ir.Node | None:
        """The node that computes a value, where it is one of `op_types` of other domains."""
        node = self.resolve(value).producer()
        return node if node is not None and node.domain in domains and node.op_type in op_types else None

    def constant(self, value: ir.Value | None) -> Constant | None:
        """The constant that a value is."""
        return None if value is None else self.constants.get(self.resolve(value))

    def scalar(self, value: ir.Value | None) -> float | None:
        """The number that a value is, where it is a constant of one element."""
        constant = self.constant(value)
        return constant.scalar() if constant is not None and constant.size == 1 else None

    def operands(self, node: ir.Node) -> list[ir.Value]:
        """Inputs that are given, resolved."""
        return [self.resolve(value) for value in node.inputs if value is not None]

    def either_way(self, node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
        """Both orders of the operands of a commutative node."""
        if len(operands := self.operands(node)) == 2:
            yield operands[0], operands[1]
            yield operands[1], operands[0]

    def single_use(self, value: ir.Value) -> bool:
        """Whether one node, and no output of the graph, uses a value."""
        return len(value.uses()) <= 1 and not value.is_graph_output()


def static_shape(value: ir.Value) -> tuple[int, ...] | None:
    """Dimensions of a value, where all are known."""
    if value.shape is None or not all(isinstance(dim, int) for dim in value.shape):
        return None
    return tuple(int(dim) for dim in value.shape if isinstance(dim, int))


def int_attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    return attribute.as_int() if (attribute := node.attributes.get(name)) is not None else default


def float_attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    return attribute.as_float() if (attribute := node.attributes.get(name)) is not None else default


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """An input, None where it is not given."""
    return node.inputs[index] if index < len(node.inputs) else None


def reduces_last_axis(graph: Graph, node: ir.Node) -> bool:
    """Whether a Reduce node reduces a vector to one number (axes as attribute or as input)."""
    source = node.inputs[0]
    shape = graph.shape(source) if source is not None else None
    if source is None or shape is None or graph.width(source) is None:
        return False
    if (attribute := node.attributes.get("axes")) is not None:
        axes = list(attribute.as_ints())
    elif (given := input_at(node, 1)) is not None:
        if (constant := graph.constant(given)) is None:
            return False
        axes = [int(axis) for axis in constant.load().reshape(-1)]
    else:
        return int_attribute(node, "noop_with_empty_axes", 0) == 0
    if not axes:
        return int_attribute(node, "noop_with_empty_axes", 0) == 0
    return any(axis % max(len(shape), 1) == len(shape) - 1 for axis in axes)
