"""Straight-through residues: `w + (q - w)`, which training writes for q.

Both torch exporters keep it where the model has `w + (quantise(w) - w).detach()`, on weights and on activations.
Computed in float32 it is q with up to eight neighbours, so it is taken off before anything is folded.
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from .graph import Graph

_ROUNDS: Final = frozenset({"Round", "QuantizeLinear", "DequantizeLinear", "Sign", "Quant", "IntQuant", "BipolarQuant"})
_BETWEEN: Final = frozenset({"Mul", "Div", "Clip", "Cast", "Max", "Min", "Transpose", "Identity", "Reshape"})
_FARTHEST: Final = 40


def find_residues(graph: Graph) -> dict[ir.Value, ir.Value]:
    """For each sum `w + (q - w)`, q a quantised value: q. The graph's nodes are in topological order."""
    for node in graph.model.graph:
        if node.domain or node.op_type != "Add":
            continue
        for w, difference in graph.either_way(node):
            sub = graph.producer(difference, "Sub")
            if sub is None or len(operands := graph.operands(sub)) != 2:
                continue
            q, subtracted = operands
            if subtracted is w and graph.shape(q) == graph.shape(node.outputs[0]) and _is_quantised(q):
                graph.residues[node.outputs[0]] = q
                break
    return graph.residues


def _is_quantised(value: ir.Value) -> bool:
    """Whether a value is rounded, up to scales and clamps behind it."""
    queue, seen = [value], {value}
    while queue and len(seen) < _FARTHEST:
        node = queue.pop().producer()
        if node is None:
            continue
        if node.op_type in _ROUNDS:
            return True
        if node.op_type in _BETWEEN:
            new = [operand for operand in node.inputs if operand is not None and operand not in seen]
            seen.update(new)
            queue.extend(new)
    return False
