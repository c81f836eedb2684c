"""The vector of floats that feeds a step, where one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ..emitter import Emitter
from ..graph import Graph
from .base import Match


@dataclass(frozen=True, eq=False)
class VectorMatch(Match):
    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        return emitter.source


def match(graph: Graph, value: ir.Value) -> VectorMatch | None:
    """The input that is no state."""
    fed = value is graph.source and value.dtype == ir.DataType.FLOAT
    return VectorMatch(value, (), ()) if fed else None
