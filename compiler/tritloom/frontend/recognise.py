"""`recognise-ternary`: cover the graph with patterns, from the outputs towards the token or vector.

A pattern says what computes a value and from which other values; only those are looked at next. What lies inside a
pattern is never visited, so nodes that several patterns share (one norm under three gains) need no special care,
and dead nodes do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from ..errors import InputError
from .facts import Facts
from .graph import Graph
from .patterns import PATTERNS, Match, as_codes, scale_of_a_pattern, unrounded_by
from .problems import NotImported, Refusal, node_label, shape_text, unsupported


@dataclass
class Cover:
    """For every value that is needed, the match that computes it."""

    matches: dict[ir.Value, Match] = field(default_factory=dict)
    patterns: dict[ir.Value, str] = field(default_factory=dict)
    """Names of the patterns that matched."""
    refusals: list[Refusal] = field(default_factory=list)
    """Nodes that no pattern takes."""
    errors: list[InputError] = field(default_factory=list)
    """What is wrong with constants and inputs."""


def recognise(graph: Graph, facts: Facts) -> Cover:
    """Cover everything that the outputs and states need; what is covered begins to be read. What cannot be covered
    is collected."""
    cover = Cover()
    run_time = _computed_at_run_time(graph)
    seen: set[ir.Value] = set()
    refused: set[ir.Node] = set()
    queue = roots(graph)[::-1]
    while queue:
        value = queue.pop()
        if value in seen:
            continue
        seen.add(value)
        try:
            found, pattern = _match(graph, value)
        except InputError as error:
            cover.errors.append(error)
            continue
        if isinstance(found, Match):
            cover.matches[value], cover.patterns[value] = found, pattern
            found.large(facts)
            queue.extend(reversed(found.inputs))
        elif found.node not in refused:
            refused.add(found.node)
            cover.refusals.append(found)
            operands = (graph.resolve(operand) for operand in reversed(found.node.inputs) if operand is not None)
            queue.extend(
                as_codes(graph, found.node, operand)
                for operand in operands
                if operand in run_time and not scale_of_a_pattern(graph, operand)
            )
    cover.refusals = _causes(graph, cover.refusals)
    return cover


def check(graph: Graph, cover: Cover, facts: Facts) -> None:
    """Wait for the constants of what is covered.

    Raises:
        NotImported: with all nodes that no pattern takes, and all constants that are not what they should be.
    """
    errors = {error.message: error for error in cover.errors}
    for match in cover.matches.values():
        try:
            match.check(graph, facts)
        except InputError as error:
            errors.setdefault(error.message, error)
    if cover.refusals or errors:
        found = {
            node_label(node): cover.patterns[value] for value, match in cover.matches.items() for node in match.nodes
        }
        raise NotImported(cover.refusals, list(errors.values()), found)


def _causes(graph: Graph, refusals: list[Refusal]) -> list[Refusal]:
    """Refusals without those that only follow from another: the product behind a refused rounding, which therefore
    is no quantiser, and the mean of a refused power, which therefore is no norm."""
    refused = {refusal.node for refusal in refusals}

    def follows(refusal: Refusal) -> bool:
        if refusal.blames is not None:
            return unrounded_by(graph, refusal.blames) in refused
        return refusal.node.op_type == "ReduceMean" and any(
            graph.producer(operand, "Pow") in refused for operand in graph.operands(refusal.node)[:1]
        )

    return [refusal for refusal in refusals if not follows(refusal)]


def roots(graph: Graph) -> list[ir.Value]:
    """Values that the step returns: outputs, then new states."""
    states = {state.output for state in graph.states}
    outputs = [graph.resolve(output) for output in graph.model.graph.outputs if output not in states]
    return outputs + [state.source for state in graph.states]


def _computed_at_run_time(graph: Graph) -> set[ir.Value]:
    """Results of nodes that depend on what the step is fed with, or on a state."""
    inputs = {graph.source, *(state.input for state in graph.states)}
    found: set[ir.Value] = set()
    for node in graph.model.graph:
        if any(operand in found or operand in inputs for operand in node.inputs):
            found.update(node.outputs)
    return found - graph.constants.keys()


def _match(graph: Graph, value: ir.Value) -> tuple[Match | Refusal, str]:
    """What computes a value, and the name of the pattern; or why nothing does."""
    first: Refusal | None = None
    for pattern in PATTERNS:
        found = pattern.match(graph, value)
        if isinstance(found, Match):
            return found, pattern.name
        first = first or found
    return (_unmatched(graph, value) if first is None else first), ""


def _unmatched(graph: Graph, value: ir.Value) -> Refusal:
    """Why nothing computes a value."""
    node = value.producer()
    if node is None and value in graph.constants:
        raise InputError(
            f"constant '{value.name}' {shape_text(value)} is used as a vector",
            "constants combine with activations as scalars and vectors; matrices belong into products",
        )
    if node is None:
        raise InputError(
            f"input '{value.name}' is used as an activation, but it is neither a state nor float32",
            "only the rows of an embedding table may depend on the token",
        )
    if graph.width(value) is None and not node.domain:
        return Refusal(
            node,
            f"its result {shape_text(value)} is not one vector",
            "export one decoding step, with one token and static shapes",
            secondary=graph.shape(value) is not None,
        )
    return unsupported(node)


def in_order(cover: Cover, wanted: Iterable[ir.Value]) -> list[ir.Value]:
    """What is needed, operands before users. Of a match's operands the one with the longest chain behind it comes
    first, so that a chain is finished before the next is begun, whatever order the file has its nodes in."""
    depth = _depths(cover, wanted)
    order: list[ir.Value] = []
    placed: set[ir.Value] = set()
    stack = [(value, False) for value in reversed(list(wanted))]
    while stack:
        value, ready = stack.pop()
        if value in placed:
            continue
        match = cover.matches[value]
        if ready:
            placed.add(value)
            order.append(value)
            continue
        stack.append((value, True))
        deepest_first = sorted(match.inputs, key=lambda operand: depth[operand], reverse=True)
        stack.extend((operand, False) for operand in reversed(deepest_first) if operand not in placed)
    return order


def _depths(cover: Cover, wanted: Iterable[ir.Value]) -> dict[ir.Value, int]:
    """Length of the longest chain behind each value."""
    depth: dict[ir.Value, int] = {}
    stack = list(wanted)
    while stack:
        value = stack[-1]
        inputs = cover.matches[value].inputs
        missing = [operand for operand in inputs if operand not in depth]
        if missing:
            stack.extend(missing)
        else:
            stack.pop()
            depth[value] = 1 + max((depth[operand] for operand in inputs), default=0)
    return depth
