"""A constant vector, for instance the lower bounds of the forget gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ..constants import Constant
from ..emitter import Emitter
from ..graph import Graph
from .base import Match


@dataclass(frozen=True, eq=False)
class ConstantMatch(Match):
    constant: Constant

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        return emitter.load(self.constant)


def match(graph: Graph, value: ir.Value) -> ConstantMatch | None:
    """Any constant of vector shape."""
    constant = graph.constant(value)
    if constant is None or graph.width(value) is None:
        return None
    return ConstantMatch(value, (), (), constant)
