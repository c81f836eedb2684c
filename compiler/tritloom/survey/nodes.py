"""What each node of an ONNX graph became: an operation, part of one, a constant, or nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..frontend.problems import node_label, operator
from ..ir.locations import onnx_names
from ..ir.mlir import Operation

FOLDED, PASSED, UNUSED = "a constant", "nothing: it passes a value on", "nothing: no output needs it"
KEEPS_ORDER = "nothing: it keeps the order of what is ranked"
REFUSED, IN_FRONT = "not supported", "not told: behind it stands a node that is not supported"


@dataclass(frozen=True)
class Node:
    """A node: its name, its operator with the domain, and what it became."""

    name: str
    operator: str
    became: str


def made_of(operations: Sequence[Operation]) -> dict[str, str]:
    """The operations that each node's name stands at."""
    made: dict[str, list[str]] = {}
    for op in operations:
        for name in onnx_names(op):
            made.setdefault(name, []).append(op.name)
    return {node: ", ".join(dict.fromkeys(names)) for node, names in made.items()}


def fates(
    graph: ir.Graph, made: Mapping[str, str], refused: Collection[str] = (), passed: Collection[str] = ()
) -> list[Node]:
    """What every node became, or is part of. `made` says it of the main nodes, `refused` are not supported, `passed`
    only keep the order of what ArgMax or TopK ranks."""
    constant = _constant_nodes(graph)

    def fate(node: ir.Node) -> str:
        label = node_label(node)
        if label in refused:
            return REFUSED
        if label in made:
            return made[label]
        if label in passed:
            return KEEPS_ORDER
        if node in constant:
            return FOLDED
        for user in _users(node):
            if (name := node_label(user)) in refused:
                return IN_FRONT
            if name in made:
                return f"part of {made[name]}"
        return PASSED if any(output.is_graph_output() for output in node.outputs) else UNUSED

    return [Node(node_label(node), operator(node), fate(node)) for node in graph]


def _constant_nodes(graph: ir.Graph) -> set[ir.Node]:
    """Nodes that depend on no input of the graph."""
    known = set(graph.initializers.values()) - set(graph.inputs)
    found: set[ir.Node] = set()
    for node in graph:
        if all(value is None or value in known for value in node.inputs):
            found.add(node)
            known.update(node.outputs)
    return found


def _users(node: ir.Node) -> Iterator[ir.Node]:
    """The nodes behind a node, the nearest first."""
    queue, seen = deque([node]), {node}
    while queue:
        current = queue.popleft()
        for output in current.outputs:
            for user, _ in output.uses():
                if user not in seen:
                    seen.add(user)
                    yield user
                    queue.append(user)


def by_operator(nodes: Sequence[Node]) -> list[tuple[str, str, int]]:
    """(operator, what it became, how many), operators in alphabetical order, the most frequent fate first."""
    counts = Counter((node.operator, node.became) for node in nodes)
    rows = [(kind, became, count) for (kind, became), count in counts.items()]
    return sorted(rows, key=lambda row: (row[0], -row[2], row[1]))
