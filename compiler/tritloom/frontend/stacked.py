"""Stacked states: one tensor of the states of all layers becomes one input and one output a layer.

Models that keep `state[layers, d]` take a layer's part with Gather (indexing), Slice or Split (`unbind`), and put the
new ones together with Concat (`torch.stack`, `torch.cat`), whichever exporter writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from .graph import input_at, int_attribute

STATES_KEY: Final = "tritloom.states"


@dataclass(frozen=True)
class Stack:
    """A graph input of `count` states along `axis`, and which values are the state of which layer."""

    value: ir.Value
    axis: int
    count: int
    parts: list[tuple[ir.Value, int]]


def unstack(model: ir.Model) -> bool:
    """Take apart the stacked states whose every use is a part; whether there were any. Others stay, and are refused
    later (`states.pin_dimensions`)."""
    outputs: dict[ir.Value, list[ir.Value]] = {}
    stacks = [stack for value in list(model.graph.inputs) if (stack := _stack(model, value)) is not None]
    for stack in stacks:
        output = next((o for o in model.graph.outputs if o not in outputs and _pieces(o, stack) is not None), None)
        pieces = _pieces(output, stack) if output is not None else None
        if output is None or pieces is None:
            continue
        outputs[output] = pieces
        _split_input(model, stack)
        _split_output(model, output, pieces, stack)
        _rename_pairs(model, stack, output.name or "")
    return bool(outputs)


def _dims(value: ir.Value) -> list[int | None]:
    """Dimensions; None where they are symbolic, which become 1."""
    return [] if value.shape is None else [dim if isinstance(dim, int) else None for dim in value.shape]


def _stack(model: ir.Model, value: ir.Value) -> Stack | None:
    dims = _dims(value)
    long = [axis for axis, dim in enumerate(dims[:-1]) if dim is not None and dim > 1]
    if value.dtype != ir.DataType.FLOAT or value in model.graph.initializers.values() or len(long) != 1:
        return None
    axis = long[0]
    parts: list[tuple[ir.Value, int]] = []
    for node, index in value.uses():
        found = list(_PARTS[node.op_type](node, axis, dims[axis] or 0)) if node.op_type in _PARTS and not index else []
        if not found:
            return None
        parts += found
    return Stack(value, axis, dims[axis] or 0, parts) if parts else None


def constant_numbers(value: ir.Value | None) -> list[int] | None:
    """The elements of a constant of integers."""
    if value is None:
        return None
    tensor, node = value.const_value, value.producer()
    if tensor is None and node is not None and node.op_type == "Constant":
        if "value" in node.attributes:
            tensor = node.attributes["value"].as_tensor()
        elif "value_int" in node.attributes:
            return [node.attributes["value_int"].as_int()]
        elif "value_ints" in node.attributes:
            return list(node.attributes["value_ints"].as_ints())
    return None if tensor is None else [int(number) for number in np.asarray(tensor.numpy()).reshape(-1)]


def _gathered(node: ir.Node, axis: int, count: int) -> Iterator[tuple[ir.Value, int]]:
    numbers, rank = constant_numbers(input_at(node, 1)), len(_dims_of_input(node))
    if numbers is not None and len(numbers) == 1 and int_attribute(node, "axis", 0) % rank == axis:
        yield node.outputs[0], numbers[0] % count


def _sliced(node: ir.Node, axis: int, count: int) -> Iterator[tuple[ir.Value, int]]:
    starts, ends, axes = (constant_numbers(input_at(node, index)) for index in (1, 2, 3))
    steps, rank = constant_numbers(input_at(node, 4)), len(_dims_of_input(node))
    if starts is None or ends is None or axes is None or not len(starts) == len(ends) == len(axes) == 1:
        return
    low, high, _ = slice(starts[0], ends[0]).indices(count)
    if axes[0] % rank == axis and high - low == 1 and steps in (None, [1]):
        yield node.outputs[0], low


def _split(node: ir.Node, axis: int, count: int) -> Iterator[tuple[ir.Value, int]]:
    rank = len(_dims_of_input(node))
    if int_attribute(node, "axis", 0) % rank == axis and len(node.outputs) == count:
        yield from ((output, index) for index, output in enumerate(node.outputs))


_PARTS: Final[dict[str, Callable[[ir.Node, int, int], Iterator[tuple[ir.Value, int]]]]] = {
    "Gather": _gathered,
    "Slice": _sliced,
    "Split": _split,
}


def _dims_of_input(node: ir.Node) -> list[int | None]:
    return _dims(node.inputs[0]) if node.inputs[0] is not None else []


def _pieces(output: ir.Value, stack: Stack) -> list[ir.Value] | None:
    """The new states that an output puts together."""
    node = output.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Concat" or len(node.inputs) != stack.count:
        return None
    if int_attribute(node, "axis", 0) % len(_dims(stack.value)) != stack.axis:
        return None
    dims = _dims(output)
    if dims and (len(dims) != len(_dims(stack.value)) or dims[-1] not in (None, _dims(stack.value)[-1])):
        return None
    return [value for value in node.inputs if value is not None]


def _split_input(model: ir.Model, stack: Stack) -> None:
    """Inputs of one layer each in the place of the stack."""
    dims = [1 if dim is None or axis == stack.axis else dim for axis, dim in enumerate(_dims(stack.value))]
    states = [
        ir.Value(name=f"{stack.value.name}.{layer}", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(dims))
        for layer in range(stack.count)
    ]
    users = list(dict.fromkeys(node for node, _ in stack.value.uses()))
    for part, layer in stack.parts:
        producer = part.producer()
        gathers_one = producer is not None and producer.op_type == "Gather" and not _keeps_axis(producer)
        shape = [dim for axis, dim in enumerate(dims) if not (gathers_one and axis == stack.axis)]
        sizes = ir.Value(name=f"{part.name}.shape", const_value=ir.tensor(np.asarray(shape, np.int64)))
        sizes.type, sizes.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([len(shape)])
        model.graph.register_initializer(sizes)
        node = ir.node("Reshape", [states[layer], sizes], name=f"{part.name}.part")
        node.outputs[0].name = f"{part.name}.of.{layer}"
        node.outputs[0].shape, node.outputs[0].type = ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        model.graph.insert_before(next(iter(model.graph)), node)
        ir.convenience.replace_all_uses_with(part, node.outputs[0])
    for user in users:
        model.graph.remove(user, safe=True)
    at = model.graph.inputs.index(stack.value)
    model.graph.inputs[at : at + 1] = states


def _keeps_axis(gather: ir.Node) -> bool:
    """Whether the index of a Gather is a vector of one, so that the axis stays."""
    index = gather.inputs[1]
    return index is not None and index.shape is not None and len(index.shape) == 1


def _split_output(model: ir.Model, output: ir.Value, pieces: list[ir.Value], stack: Stack) -> None:
    at, new = model.graph.outputs.index(output), []
    for layer, piece in enumerate(pieces):
        node = ir.node("Identity", [piece], name=f"{output.name}.{layer}")
        value = node.outputs[0]
        value.name, value.type = f"{output.name}.{layer}", ir.TensorType(ir.DataType.FLOAT)
        value.shape = ir.Shape([1] * (len(_dims(stack.value)) - 1) + [_dims(stack.value)[-1]])
        model.graph.append(node)
        new.append(value)
    model.graph.outputs[at : at + 1] = new


def _rename_pairs(model: ir.Model, stack: Stack, output: str) -> None:
    """Say of each layer what the metadata say of the stack."""
    if (text := model.metadata_props.get(STATES_KEY)) is None:
        return
    each = ",".join(f"{stack.value.name}.{layer}={output}.{layer}" for layer in range(stack.count))
    pairs = [each if pair.partition("=")[0] == stack.value.name else pair for pair in text.split(",")]
    model.metadata_props[STATES_KEY] = ",".join(pairs)
