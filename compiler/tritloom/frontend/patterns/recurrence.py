"""`h' = f*h + c`: Mul and Add whose result is the new value of the state h.

Written by torch.onnx.export (dynamo and legacy) for one decoding step of HGRN, MLGRU and other linear recurrences.
Every other update of a state is elementwise arithmetic between a read and a write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import RecurrenceOp
from ..emitter import Emitter
from ..graph import Graph, State
from .base import Match


@dataclass(frozen=True, eq=False)
class RecurrenceMatch(Match):
    state: State

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        forget, increment = operands
        op = RecurrenceOp(forget, increment, emitter.state(self.state))
        emitter.add(op, None, self.value)
        emitter.set_state(self.state, op.next_state)
        return op.result


def match(graph: Graph, value: ir.Value) -> RecurrenceMatch | None:
    """An Add, bound to a state's output, of a vector and of that state times a vector."""
    state = next((state for state in graph.states if state.source is value), None)
    add = graph.producer(value, "Add")
    if state is None or add is None:
        return None
    width = graph.width(state.input)
    for product, increment in graph.either_way(add):
        if (mul := graph.producer(product, "Mul")) is None:
            continue
        for forget, old in graph.either_way(mul):
            if old is state.input and graph.width(forget) == width == graph.width(increment):
                return RecurrenceMatch(value, (forget, increment), (mul, add), state)
    return None
