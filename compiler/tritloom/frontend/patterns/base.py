"""What a pattern is: a value's computation, recognised by structure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ..graph import Graph
from ..problems import Refusal

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, eq=False)
class Match(ABC):
    """What computes `value`: from `inputs`, by the operations that `emit` appends."""

    value: ir.Value
    inputs: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    """The main ONNX nodes, for the location."""

    @abstractmethod
    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        """Append the operations; `operands` are the values of `inputs`."""


@dataclass(frozen=True)
class Pattern:
    """A row of the table: `match` gives a match, a reason why a lookalike is none, or nothing."""

    name: str
    match: Callable[[Graph, ir.Value], Match | Refusal | None]
