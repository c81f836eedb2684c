"""Scan and Loop over the positions of a sequence: with one position their body runs once, in their place.

A model of a whole sequence, whose number of positions is symbolic, is thus the same step function as an export of one
step. A state that the graph starts at zero becomes an input with an output of its own, as a step has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from .graph import input_at, int_attribute
from .stacked import constant_numbers
from .surgery import KEEP_ELEMENTS, add_output, is_output, is_zero, moved_axis, stored, take_over

_PARTS: Final = ("Gather", "Slice", "Split")


@dataclass
class Iteration:
    """The one iteration of a loop: an operand for each parameter of the body, and a result for each output of the
    node, of which the first are states."""

    node: ir.Node
    body: ir.Graph
    operands: list[ir.Value]
    states: range
    """Which operands are the states before it."""
    results: list[ir.Value]
    axes: list[int]
    """Where the positions of the results behind the states are."""

    @property
    def label(self) -> str:
        return self.node.name or self.node.outputs[0].name or self.node.op_type


def inline_loops(model: ir.Model) -> bool:
    """Put the bodies of loops over positions in their place; whether there were any. Others stay, and are refused
    by name later."""
    found = False
    for node in list(model.graph):
        iteration = _scan(model, node) or _loop(model, node)
        if iteration is not None and _expose_states(model, iteration):
            _inline(model, iteration)
            found = True
    return found


def is_loop(node: ir.Node) -> bool:
    """Whether a node is one that `inline_loops` looks at."""
    return not node.domain and node.op_type in ("Scan", "Loop")


def _one(dim: object) -> bool:
    """Whether a dimension is 1, or symbolic: then it becomes 1."""
    return not isinstance(dim, int) or dim == 1


def _ints(node: ir.Node, name: str) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else []


def _given(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None]


def _scan(model: ir.Model, node: ir.Node) -> Iteration | None:
    """A Scan over one position."""
    if node.domain or node.op_type != "Scan" or len(_given(node)) != len(node.inputs):
        return None
    if any(_ints(node, "scan_input_directions") + _ints(node, "scan_output_directions")):
        return None  # from the last position to the first: no step does that
    body, sequences = node.attributes["body"].as_graph(), int_attribute(node, "num_scan_inputs", 1)
    states = len(node.inputs) - sequences
    axes = _ints(node, "scan_input_axes") or [0] * sequences
    operands = _given(node)
    for index, axis in enumerate(axes, states):
        shape = operands[index].shape
        if shape is None or not _one(shape[axis]):
            return None
    for index, axis in enumerate(axes, states):
        operands[index] = moved_axis(model, node, "Squeeze", operands[index], axis, f"{node.name}.first.{index}")
    outputs = list(body.outputs)
    return Iteration(
        node, body, operands, range(states), outputs, _ints(node, "scan_output_axes") or [0] * (len(outputs) - states)
    )


def _loop(model: ir.Model, node: ir.Node) -> Iteration | None:
    """A Loop that goes on for as many iterations as there are positions."""
    if node.domain or node.op_type != "Loop":
        return None
    body, count, condition = node.attributes["body"].as_graph(), input_at(node, 0), input_at(node, 1)
    if count is None or not _is_number_of_positions(count) or len(_given(node)) < len(node.inputs) - 1:
        return None
    if condition is not None and constant_numbers(condition) != [1]:
        return None
    if not _picks_in_order(body.inputs[0]):
        return None
    values = [value for value in node.inputs[2:] if value is not None]
    first = stored(model, f"{node.name}.iteration", np.asarray(0, np.int64))
    on = stored(model, f"{node.name}.condition", np.asarray(True))
    outputs = list(body.outputs)[1:]
    axes = [0] * (len(outputs) - len(values))
    return Iteration(node, body, [first, on, *values], range(2, 2 + len(values)), outputs, axes)


def _picks_in_order(number: ir.Value) -> bool:
    """Whether the number of an iteration is only used as the position that it takes."""
    users = [(node, index) for node, index in number.uses() if node.op_type not in ("Gather", "Slice") or index == 0]
    return all(node.op_type in KEEP_ELEMENTS and _picks_in_order(node.outputs[0]) for node, _ in users)


def _is_number_of_positions(value: ir.Value) -> bool:
    """Whether a trip count is 1, or a dimension of some value that is 1 or symbolic."""
    if constant_numbers(value) == [1]:
        return True
    node, picked = value.producer(), None
    while node is not None and node.op_type in ("Gather", "Slice", *KEEP_ELEMENTS):
        if node.op_type in ("Gather", "Slice"):
            numbers = constant_numbers(input_at(node, 1))
            picked = numbers[0] if numbers is not None and len(numbers) == 1 else None
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    if node is None or node.op_type != "Shape" or node.inputs[0] is None or node.inputs[0].shape is None:
        return False
    dims = list(node.inputs[0].shape)[int_attribute(node, "start", 0) :]
    if picked is None:
        return len(dims) == 1 and _one(dims[0])
    return -len(dims) <= picked < len(dims) and _one(dims[picked])


def _from_input(model: ir.Model, value: ir.Value) -> bool:
    """Whether a value is an input of the graph, or a part of one."""
    while (node := value.producer()) is not None:
        if node.op_type not in (*KEEP_ELEMENTS, *_PARTS) or node.inputs[0] is None:
            return False
        value = node.inputs[0]
    return value in model.graph.inputs and value.const_value is None


def _expose_states(model: ir.Model, iteration: Iteration) -> bool:
    """Make inputs of the states that start at zero, and outputs of those that have none; False where a state is
    neither at zero nor computed from an input, or of unknown length."""
    inputs: dict[int, ir.Value] = {}
    for number, index in enumerate(iteration.states):
        value = iteration.operands[index]
        if _from_input(model, value):
            continue
        shapes = (value.shape, iteration.body.inputs[index].shape)
        known = [shape for shape in shapes if shape is not None and len(shape) and isinstance(shape[-1], int)]
        if not is_zero(value) or not known or iteration.body.inputs[index].dtype not in (None, ir.DataType.FLOAT):
            return False
        dims = [dim if isinstance(dim, int) else 1 for dim in known[0]]
        name = f"{iteration.label}.state.{number}"
        inputs[index] = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(dims))
    for index, value in inputs.items():
        iteration.operands[index] = value
        model.graph.inputs.append(value)
    return True


def _inline(model: ir.Model, iteration: Iteration) -> None:
    node, label = iteration.node, iteration.label
    stand_for = dict(zip(iteration.body.inputs, iteration.operands, strict=True))
    for parameter, operand in stand_for.items():
        ir.convenience.replace_all_uses_with(parameter, operand)
    results = [stand_for.get(value, value) for value in iteration.results]
    _move(model, iteration)
    for number, result in enumerate(results):
        output = node.outputs[number]
        state = number < len(iteration.states)
        if not state:
            axis = iteration.axes[number - len(iteration.states)]
            result = moved_axis(model, node, "Unsqueeze", result, axis, f"{label}.all.{number}")
        elif not is_output(output):
            add_output(model, result, f"{label}.state.{number}.out")
        take_over(model, output, result)
    model.graph.remove(node, safe=True)


def _move(model: ir.Model, iteration: Iteration) -> None:
    """The body's nodes and constants, into the graph. Their names may be those of another body."""
    body, label = iteration.body, iteration.label
    taken = {value.name for value in model.graph.initializers.values()} | {
        value.name for other in model.graph for value in other.outputs
    }
    for name, value in list(body.initializers.items()):
        body.initializers.pop(name)
        value.name = f"{label}/{name}" if name in taken else name
        model.graph.register_initializer(value)
    nodes = list(body)
    iteration.body.outputs.clear()
    for node in nodes:
        body.remove(node)
        for output in node.outputs:
            if output.name and output.name in taken:
                output.name = f"{label}/{output.name}"
        model.graph.insert_before(iteration.node, node)
