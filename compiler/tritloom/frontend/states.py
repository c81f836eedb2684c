"""The inputs and outputs of a decoding step: the token, and which output is which state's new value."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from .graph import Graph, State
from .problems import shape_text

STATES_KEY = "tritloom.states"
_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.INT16, ir.DataType.UINT8)
_ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Max", "Min", "Clip", "Sigmoid", "Tanh", "Relu", "Neg", "Where", "Identity", "Cast"}
    | {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand"}
    | {"GRU", "LSTM", "RNN", "Scan", "Loop"}  # if these are left, it is they that are refused, not the pairing
)
_GATHERS = frozenset({"Gather", "GatherElements", "GatherND", "GatherBlockQuantized"})
_ACCEPTED = "a step takes one integer token ([1] or [1, 1]) and float32 states ([d], [1, d] or [1, 1, d])"
_OWN_OUTPUT = (
    "every state needs an output of its own, which holds its new value; name them in the metadata"
    f" '{STATES_KEY}' = \"state.0=state.0.out,state.1=state.1.out,...\" (input=output)"
)
_AFFIXES = re.compile(r"[._/]?(?:inputs?|outputs?|in|out|present|past|prev|previous|new|next|old)(?=[._/]|$)")


def _is_state(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT


def _describe(values: Sequence[ir.Value]) -> str:
    return ", ".join(
        f"'{value.name}' {value.dtype.name if value.dtype is not None else '?'} {shape_text(value)}" for value in values
    )


def find_token(model: ir.Model) -> ir.Value:
    """The integer input.

    Raises:
        InputError: there is none, or there are several, or inputs of other types.
    """
    initializers = set(model.graph.initializers.values())
    inputs = [value for value in model.graph.inputs if value not in initializers]
    tokens = [value for value in inputs if value.dtype in _INTEGERS]
    others = [value for value in inputs if value not in tokens and not _is_state(value)]
    if others or len(tokens) > 1:
        raise InputError(
            f"the model takes more than a token and states: {_describe(others or tokens)}",
            f"{_ACCEPTED}; fold positions, masks and half-precision states away when exporting",
        )
    if not tokens:
        raise InputError(
            f"the model has no integer token input (its inputs: {_describe(inputs) or 'none'})",
            f"{_ACCEPTED}; export input_ids, not embeddings",
        )
    return tokens[0]


def is_step(model: ir.Model) -> bool:
    """Whether a model is a decoding step of a language model: its metadata names states, or it takes a token.

    A model of float32, uint8 or int8 inputs is a feed-forward net; a uint8 input that picks rows of a table is a token.
    """
    if STATES_KEY in model.metadata_props:
        return True
    initializers = set(model.graph.initializers.values())
    inputs = [value for value in model.graph.inputs if value not in initializers]
    wide = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.INT16)
    return any(value.dtype in wide or _picks_rows(value) for value in inputs)


def _picks_rows(value: ir.Value) -> bool:
    """Whether a value goes, cast or reshaped, into the indices of a Gather."""
    queue, seen = [value], {value}
    while queue:
        for node, index in queue.pop().uses():
            if node.op_type in _GATHERS and index == 1:
                return True
            if node.op_type in ("Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Clip"):
                queue += [output for output in node.outputs if output not in seen]  # an invalid graph may be a cycle
                seen.update(node.outputs)
    return False


def _positions(value: ir.Value) -> InputError:
    empty = value.shape is not None and 0 in value.shape
    return InputError(
        f"input '{value.name}' has shape {shape_text(value)}:"
        f" {'it is empty' if empty else 'several positions at once are not accepted'}",
        f"export one decoding step, which the host runs once a token: {_ACCEPTED}",
    )


def check_positions(model: ir.Model) -> None:
    """Tell a model of several positions, before onnx says in which node their number does not fit.

    Raises:
        InputError: an integer input has several elements.
    """
    if not is_step(model):
        return
    initializers = set(model.graph.initializers.values())
    for value in model.graph.inputs:
        dims = list(value.shape) if value.shape is not None else []
        if value.dtype in _INTEGERS and value not in initializers and any(isinstance(d, int) and d != 1 for d in dims):
            raise _positions(value)


def pin_dimensions(model: ir.Model, token: ir.Value) -> bool:
    """Give every input one position: symbolic dimensions in front of the last (all of the token's) become 1.

    Returns whether there were any, so that shapes must be inferred again.

    Raises:
        InputError: a length stays unknown, or the step takes several tokens.
    """
    changed = False
    unresolved: list[str] = []
    for value in model.graph.inputs:
        shape = list(value.shape) if value.shape is not None else []
        free = len(shape) if value is token else len(shape) - 1
        if value.shape is None or any(not isinstance(dim, int) for dim in shape[free:]):
            unresolved.append(f"{shape_text(value)} of input '{value.name}'")
            continue
        pinned = [1 if not isinstance(dim, int) else dim for dim in shape]
        if value is not token and 0 not in pinned and sum(dim != 1 for dim in pinned) > 1:
            raise InputError(
                f"input '{value.name}' {shape_text(value)} stacks {int(np.prod(pinned[:-1])):,} states in one tensor",
                f"give each layer a state of its own, an input and an output [1, {pinned[-1]}] (in PyTorch: pass"
                " state.unbind(0), return a list instead of torch.stack), and export again",
            )
        if any(dim != 1 for dim in pinned[:free]) or 0 in pinned:
            raise _positions(value)
        if pinned != shape:
            value.shape, changed = ir.Shape(pinned), True
    if unresolved:
        raise InputError(
            f"dynamic dimensions that cannot be resolved: {'; '.join(unresolved)}",
            "only the batch and position dimensions may be symbolic (they become 1); give states a fixed length",
        )
    return changed


def forget_shapes(model: ir.Model) -> None:
    """Drop shapes that the exporter computed for other dimensions, so that they are inferred again."""
    for node in model.graph:
        for output in node.outputs:
            if output.shape is not None and any(not isinstance(dim, int) for dim in output.shape):
                output.shape = None


def pair_states(graph: Graph, metadata: Mapping[str, str]) -> tuple[State, ...]:
    """States in the order of the inputs, each with the output that holds its new value.

    Raises:
        InputError: an input has no output, or several that nothing tells apart.
    """
    initializers = set(graph.model.graph.initializers.values())
    inputs = [value for value in graph.model.graph.inputs if value is not graph.token and value not in initializers]
    if STATES_KEY in metadata:
        pairs = _stated_pairs(graph, inputs, metadata[STATES_KEY])
    else:
        pairs = _structural_pairs(graph, inputs)
    return tuple(State(source, output, graph.resolve(output)) for source, output in pairs)


def _stated_pairs(graph: Graph, inputs: list[ir.Value], text: str) -> list[tuple[ir.Value, ir.Value]]:
    stated = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    outputs = {output.name: output for output in graph.model.graph.outputs}
    pairs: list[tuple[ir.Value, ir.Value]] = []
    for value in inputs:
        output = outputs.get(stated.get(value.name or "", ""))
        if output is None or graph.width(output) != graph.width(value) or output in (taken for _, taken in pairs):
            raise InputError(
                f"metadata '{STATES_KEY}' binds state '{value.name}' to no output of its shape and of its own:"
                f" {text!r}",
                f"{_OWN_OUTPUT}; or remove the entry, and the states are paired by structure",
            )
        pairs.append((value, output))
    return pairs


def _distances(graph: Graph, output: ir.Value) -> dict[ir.Value, int]:
    """Graph inputs that an output depends on element by element, and through how many nodes."""
    found: dict[ir.Value, int] = {}
    seen = {graph.resolve(output)}
    queue = deque([(graph.resolve(output), 0)])
    while queue:
        value, distance = queue.popleft()
        node = value.producer()
        if node is None:
            found[value] = distance
        elif not node.domain and node.op_type in _ELEMENTWISE:
            new = [operand for operand in graph.operands(node) if operand not in seen]
            seen.update(new)
            queue.extend((operand, distance + 1) for operand in new)
    return found


def _base_name(value: ir.Value) -> str:
    return _AFFIXES.sub("", (value.name or "").lower())


def is_recurrence(graph: Graph, value: ir.Value, state: ir.Value) -> bool:
    """Whether a value is `f*h + c` with h the state."""
    if (add := graph.producer(value, "Add")) is None:
        return False
    products = (graph.producer(operand, "Mul") for operand in graph.operands(add))
    return any(state in graph.operands(mul) for mul in products if mul is not None)


def _structural_pairs(graph: Graph, inputs: list[ir.Value]) -> list[tuple[ir.Value, ir.Value]]:
    """Pair a state with an output of its shape that depends on it element by element.

    Of several: a linear recurrence of the state before others, then the nearest, then the one of the same base name.
    """
    outputs = list(graph.model.graph.outputs)
    reach = {output: _distances(graph, output) for output in outputs}
    pairs: list[tuple[ir.Value, ir.Value]] = []
    for value in inputs:
        taken = {output for _, output in pairs}
        candidates = [
            output
            for output in outputs
            if value in reach[output] and output not in taken and graph.shape(output) == graph.shape(value)
        ]
        recurrent = [output for output in candidates if is_recurrence(graph, output, value)]
        candidates = recurrent or candidates
        nearest = min((reach[output][value] for output in candidates), default=0)
        candidates = [output for output in candidates if reach[output][value] == nearest]
        if len(candidates) > 1:
            candidates = [output for output in candidates if _base_name(output) == _base_name(value)]
        if len(candidates) != 1:
            raise InputError(
                f"input '{value.name}' {shape_text(value)} is neither the token nor a state:"
                " no single output holds its new value",
                f"{_OWN_OUTPUT}; or remove the input",
            )
        pairs.append((value, candidates[0]))
    return pairs
