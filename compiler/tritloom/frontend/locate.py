"""`locate`: the positions of a sequence of fixed length in every value of its graph.

Read forwards. A node either treats every position alike, or takes one position out of all, or works on single
positions, or puts single ones together again; anything else mixes positions and is refused.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from .contrib import lower_contrib
from .folding import evaluate, fold_constants, store_folded, unknown_shapes
from .graph import Graph, int_attribute
from .position_rules import of_sequence
from .positions import BEFORE, Along, At, MixedError, Positions, Written
from .problems import Refusal
from .reader import infer_shapes
from .source import forget_shapes

_PARTS: Final = frozenset({"SequenceAt", "CastLike"})
"""What unoptimised exports leave in front of what is looked for here."""


def folded(model: ir.Model, token: ir.Value) -> Graph:
    """The graph with all shapes and constants known. Symbolic dimensions, in a sequence of fixed length those of
    batches, become 1."""
    for value in model.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([dim if isinstance(dim, int) else 1 for dim in value.shape])
    forget_shapes(model)
    if any(output.shape is None for node in model.graph for output in node.outputs):
        infer_shapes(model)
    lower_contrib(model, _PARTS)
    RemoveUnusedNodesPass()(model)
    unknown = -1
    while True:
        graph = Graph(model, token)
        before, unknown = unknown, unknown_shapes(model)
        if not fold_constants(graph) or unknown in (0, before):
            return graph
        _shape_loops(graph)
        store_folded(graph, integers=True)
        infer_shapes(model)


def _shape_loops(graph: Graph) -> None:
    """Give the results of each Loop their shapes, which onnx does not infer from the number of its iterations."""
    for node in graph.model.graph:
        count = graph.scalar(node.inputs[0]) if node.op_type == "Loop" and not node.domain else None
        if count is None:
            continue
        results = list(node.attributes["body"].as_graph().outputs)[1:]
        states = len(node.inputs) - 2
        for index, (output, result) in enumerate(zip(node.outputs, results, strict=True)):
            if result.shape is not None:
                output.shape = ir.Shape([*([] if index < states else [int(count)]), *result.shape])


def locate(graph: Graph, token: ir.Value, axis: int) -> Positions:
    """Find the positions of every value; `axis` is theirs in the token."""
    found = Positions(graph, graph.shape(token)[axis])  # type: ignore[index]
    found.places[token] = Along(axis)
    initializers = set(graph.model.graph.initializers.values())
    for value in graph.model.graph.inputs:
        if value is not token and value not in initializers:
            found.places[value] = At(BEFORE)
    needed = _needed(graph)
    for node in graph.model.graph:
        if node in needed:
            _locate_results(found, node)
    return found


def _needed(graph: Graph) -> set[ir.Node]:
    """Nodes that the outputs need, constants known."""
    found: set[ir.Node] = set()
    queue = list(graph.model.graph.outputs)
    while queue:
        value = queue.pop()
        node = value.producer()
        if node is None or node in found or value in graph.constants:
            continue
        found.add(node)
        queue += [operand for operand in node.inputs if operand is not None]
        queue += [value for inner in _bodies(node) for value in inner]
    return found


def _bodies(node: ir.Node) -> list[list[ir.Value]]:
    """What the bodies of a node take from the graph around them."""
    bodies = [
        attribute.as_graph() for attribute in node.attributes.values() if attribute.type == ir.AttributeType.GRAPH
    ]
    return [[value for inner in body for value in inner.inputs if value is not None] for body in bodies]


def _locate_results(found: Positions, node: ir.Node) -> None:
    places = [found.places[value] for value in node.inputs if value in found.places and value is not None]
    if not places and node.op_type != "Loop":
        return
    try:
        if node.op_type in ("Scan", "Loop", "GRU"):
            _recurrence(found, node)
        elif not _write(found, node):
            if any(isinstance(place, Written) for place in places):
                raise MixedError("it uses a buffer in which not all positions are written")
            if any(isinstance(place, Along) for place in places):
                of_sequence(found, node)
            else:
                _of_items(found, node)
    except MixedError as error:
        instead = "export one decoding step, with one token and its states as inputs and outputs"
        found.refused.append(Refusal(node, str(error), instead))
        for output in node.outputs:  # so that what follows is not refused, too
            shape = found.graph.shape(output) or ()
            if found.count in shape:
                found.places[output] = Along(shape.index(found.count))


def _of_items(found: Positions, node: ir.Node) -> None:
    """The latest position of a node's operands; all of them, where it puts each once in order."""
    positions = [found.position(value) for value in node.inputs]
    if node.op_type == "Concat" and positions == list(range(found.count)):
        rank = len(found.shape(node.outputs[0]))
        axis = int_attribute(node, "axis", 0) % rank
        values = [value for value in node.inputs if value is not None]
        if all(found.shape(value)[axis] == 1 for value in values):
            found.joined[node.outputs[0]] = values
            found.places[node.outputs[0]] = Along(axis)
            return
    latest = max(position for position in positions if position is not None)
    found.places |= dict.fromkeys(node.outputs, At(latest))


def _write(found: Positions, node: ir.Node) -> bool:
    """Whether a node writes one position into a buffer (torch: `o[:, t] = h`)."""
    if node.op_type not in ("ScatterND", "ScatterElements") or node.domain:
        return False
    buffer, indices, updates = node.inputs[:3]
    place = found.places.get(buffer) if buffer is not None else None
    position, constant = found.position(updates), found.graph.constants.get(indices) if indices is not None else None
    if updates is None or buffer is None or position is None or constant is None or isinstance(place, (Along, At)):
        raise MixedError("it writes into a value")
    shape = found.shape(buffer)
    order = np.arange(math.prod(found.shape(updates))).reshape(found.shape(updates))
    try:
        opset = found.graph.model.opset_imports.get("", 20)
        target = np.asarray(evaluate(node, [np.full(shape, -1), constant.load(), order], opset)[0], np.int64)
    except ValueError as error:
        raise MixedError("it writes into a value") from error
    for axis, size in enumerate(shape):
        rows = np.moveaxis(target, axis, 0).reshape(size, -1)
        whole = [row for row in range(size) if np.array_equal(rows[row], np.arange(rows.shape[1]))]
        written = np.count_nonzero(target >= 0)
        if size == found.count and len(whole) == 1 and written == rows.shape[1]:
            break
    else:
        raise MixedError("it writes something else than one position")
    if whole != [position] or (isinstance(place, Written) and place.axis != axis):
        raise MixedError("it writes one position in the place of another")
    parts = {**(place.rows if isinstance(place, Written) else {}), position: updates}
    result = node.outputs[0]
    if len(parts) < found.count:
        found.places[result] = Written(axis, parts)
    else:
        found.joined[result] = [parts[index] for index in range(found.count)]
        found.places[result] = Along(axis)
    return True


def _recurrence(found: Positions, node: ir.Node) -> None:
    """Scan, Loop, GRU: states at the last position, and results of all. With one position they are taken apart
    later (`loops.py`, `gru.py`)."""
    if node.op_type == "Scan":
        states = len(node.inputs) - int_attribute(node, "num_scan_inputs", 1)
        given = node.attributes.get("scan_output_axes")
        axes = list(given.as_ints()) if given is not None else [0] * (len(node.outputs) - states)
        last, every = node.outputs[:states], node.outputs[states:]
    elif node.op_type == "Loop":
        states = len(node.inputs) - 2
        last, every = node.outputs[:states], node.outputs[states:]
        axes = [0] * len(every)
        if found.numbers(node.inputs[0]) != [found.count]:
            raise MixedError(f"it does not go over the {found.count} positions of the sequence")
        found.edits.append((node, 0, np.asarray(1, np.int64)))
    else:
        last, every, axes = node.outputs[1:], node.outputs[:1], [0]
        if found.along(node.inputs[0]) != 0:
            raise MixedError("the positions of the sequence are in another axis")
    found.places |= dict.fromkeys(last, At(found.count - 1))
    found.places |= {output: Along(axis) for output, axis in zip(every, axes, strict=True)}
