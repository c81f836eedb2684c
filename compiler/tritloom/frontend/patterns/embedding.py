"""`table[token]`: Gather of rows of a constant table, in float32, or in a half format with a Cast behind it.

Written by torch.onnx.export (dynamo and legacy) for nn.Embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import EmbeddingOp
from ..constants import Constant
from ..emitter import Emitter
from ..facts import Facts
from ..graph import Graph, int_attribute
from ..problems import Refusal
from .base import Match

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


@dataclass(frozen=True, eq=False)
class EmbeddingMatch(Match):
    table: Constant

    def large(self, facts: Facts) -> Sequence[Future[Any]]:
        return (facts.ask_table(self.table),)

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        op = EmbeddingOp(emitter.source, emitter.table(self.table), self.table.shape[1])
        return emitter.value(op, self.value)


def _through_casts(graph: Graph, value: ir.Value) -> ir.Value:
    while (cast := graph.producer(value, "Cast")) is not None:
        value = graph.operands(cast)[0]
    return graph.resolve(value)


def _table(graph: Graph, value: ir.Value) -> Constant | None:
    """A float table; a Cast in front of the Gather is taken off (also a folded one), so that the stored type stays."""
    if (constant := graph.constant(_through_casts(graph, value))) is None or constant.dtype not in _FLOATS:
        constant = graph.constant(value)
    if constant is None or len(constant.shape) != 2 or constant.dtype not in _FLOATS:
        return None
    return constant


def match(graph: Graph, value: ir.Value) -> EmbeddingMatch | Refusal | None:
    """A Gather on axis 0 of a float table by the token."""
    gather = graph.producer(_through_casts(graph, value), "Gather")
    if gather is None:
        return None
    table, index = graph.operands(gather)
    constant = _table(graph, table)
    if constant is None or int_attribute(gather, "axis", 0) != 0:
        return None
    if _through_casts(graph, index) is not graph.source:
        return Refusal(
            gather, "its index is computed, not the token", "look up the token itself: rows of a constant float table"
        )
    if value.dtype != ir.DataType.FLOAT:
        return Refusal(gather, "its result is not float32", "cast the embedding to float32 before using it")
    nodes = (gather,) if (outer := value.producer()) is None or outer is gather else (gather, outer)
    return EmbeddingMatch(value, (), nodes, constant)
