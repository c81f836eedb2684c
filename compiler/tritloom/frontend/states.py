"""The states of a decoding step: which output is which state's new value, and which input is no state but the vector
that the step is fed with."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import onnx_ir as ir

from ..errors import InputError
from .graph import Graph, State
from .problems import shape_text
from .reach import distances
from .source import VECTOR_ACCEPTED, describe, inputs_of
from .stacked import STATES_KEY

_OWN_OUTPUT = (
    "every state needs an output of its own, which holds its new value; name them in the metadata"
    f" '{STATES_KEY}' = \"state.0=state.0.out,state.1=state.1.out,...\" (input=output)"
)
_AFFIXES = re.compile(r"[._/]?(?:inputs?|outputs?|in|out|present|past|prev|previous|new|next|old)(?=[._/]|$)")


Pairs = list[tuple[ir.Value, ir.Value]]


def pair_states(graph: Graph, metadata: Mapping[str, str]) -> None:
    """Find the states in the order of the inputs, each with the output that holds its new value; and where no token
    feeds the step, the vector that does.

    Raises:
        InputError: an input has no output, or several that nothing tells apart; or none or several are no states.
    """
    inputs = [value for value in inputs_of(graph.model) if value is not graph.source]
    stated = metadata.get(STATES_KEY)
    if graph.source is not None:
        pairs = _structural_pairs(graph, inputs) if stated is None else _stated_pairs(graph, inputs, stated)
    else:
        graph.source = _structural_vector(graph, inputs) if stated is None else _stated_vector(inputs, stated)
        states = [value for value in inputs if value is not graph.source]
        pairs = _structural_pairs(graph, states) if stated is None else _stated_pairs(graph, states, stated)
    graph.states = tuple(State(source, output, graph.resolve(output)) for source, output in pairs)


def _the_vector(found: list[ir.Value], inputs: list[ir.Value]) -> ir.Value:
    """The one input that is no state.

    Raises:
        InputError: there is none, or there are several.
    """
    if len(found) == 1:
        return found[0]
    told = (
        f"the model takes more than one vector: {describe(found)} are no states"
        if found
        else f"the model takes no vector and no token: all its inputs are states: {describe(inputs)}"
    )
    raise InputError(told, f"{VECTOR_ACCEPTED}; {_OWN_OUTPUT}")


def _stated_vector(inputs: list[ir.Value], text: str) -> ir.Value:
    """The input that the metadata does not name."""
    stated = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    return _the_vector([value for value in inputs if value.name not in stated], inputs)


def _structural_vector(graph: Graph, inputs: list[ir.Value]) -> ir.Value:
    """The input without which the others are states; of several, that which leaves the states the best outputs."""
    if len(inputs) == 1:
        return inputs[0]
    reach = {output: distances(output, graph.resolve) for output in graph.model.graph.outputs}
    never = [value for value in inputs if not _candidates(graph, value, reach, ())]
    if len(never) > 1:
        return _the_vector(never, inputs)
    found: dict[ir.Value, tuple[bool, int, int]] = {}
    for vector in never or inputs:
        try:
            pairs = _structural_pairs(graph, [value for value in inputs if value is not vector])
        except InputError:
            if never:
                raise
            continue
        recurrent = sum(is_recurrence(graph, output, value) for value, output in pairs)
        alike = sum(_base_name(output) == _base_name(value) for value, output in pairs)
        found[vector] = len(pairs) < len(reach), recurrent, alike
    best = [vector for vector, score in found.items() if score == max(found.values())]
    if len(best) != 1:
        raise InputError(
            f"nothing tells which input is the vector and which are states: {describe(best or inputs)}", _OWN_OUTPUT
        )
    return best[0]


def _stated_pairs(graph: Graph, inputs: list[ir.Value], text: str) -> Pairs:
    stated = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    outputs = {output.name: output for output in graph.model.graph.outputs}
    pairs: Pairs = []
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


def _fed(graph: Graph) -> str:
    return "the vector" if graph.source is None or graph.source.dtype == ir.DataType.FLOAT else "the token"


def _base_name(value: ir.Value) -> str:
    return _AFFIXES.sub("", (value.name or "").lower())


def is_recurrence(graph: Graph, value: ir.Value, state: ir.Value) -> bool:
    """Whether a value is `f*h + c` with h the state."""
    if (add := graph.producer(value, "Add")) is None:
        return False
    products = (graph.producer(operand, "Mul") for operand in graph.operands(add))
    return any(state in graph.operands(mul) for mul in products if mul is not None)


def _candidates(
    graph: Graph, value: ir.Value, reach: Mapping[ir.Value, Mapping[ir.Value, int]], taken: Collection[ir.Value]
) -> list[ir.Value]:
    """Outputs of the shape of a state that depend on it element by element and are not taken yet."""
    return [
        output
        for output in graph.model.graph.outputs
        if value in reach[output] and output not in taken and graph.shape(output) == graph.shape(value)
    ]


def _structural_pairs(graph: Graph, inputs: list[ir.Value]) -> Pairs:
    """Pair a state with an output of its shape that depends on it element by element.

    Of several: a linear recurrence of the state before others, then the nearest, then the one of the same base name.
    """
    reach = {output: distances(output, graph.resolve) for output in graph.model.graph.outputs}
    pairs: Pairs = []
    for value in inputs:
        candidates = _candidates(graph, value, reach, {output for _, output in pairs})
        recurrent = [output for output in candidates if is_recurrence(graph, output, value)]
        candidates = recurrent or candidates
        nearest = min((reach[output][value] for output in candidates), default=0)
        candidates = [output for output in candidates if reach[output][value] == nearest]
        if len(candidates) > 1:
            candidates = [output for output in candidates if _base_name(output) == _base_name(value)]
        if len(candidates) != 1:
            raise InputError(
                f"input '{value.name}' {shape_text(value)} is neither {_fed(graph)} nor a state:"
                " no single output holds its new value",
                f"{_OWN_OUTPUT}; or remove the input",
            )
        pairs.append((value, candidates[0]))
    return pairs
