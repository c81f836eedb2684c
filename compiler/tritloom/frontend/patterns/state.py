"""The value of a state, where it is used outside the recurrence that renews it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ..emitter import Emitter
from ..graph import Graph, State
from .base import Match


@dataclass(frozen=True, eq=False)
class StateMatch(Match):
    state: State

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        return emitter.read_state(self.state)


def match(graph: Graph, value: ir.Value) -> StateMatch | None:
    """A graph input that is a state."""
    for state in graph.states:
        if state.input is value:
            return StateMatch(value, (), (), state)
    return None
