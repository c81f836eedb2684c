"""What a pattern is: a value's computation, recognised by structure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ..graph import Graph
from ..problems import Refusal

if TYPE_CHECKING:
    from ..emitter import Emitter
    from ..facts import Facts


@dataclass(frozen=True, eq=False)
class Match(ABC):
    """What computes `value`: from `inputs`, by the operations that `emit` appends."""

    value: ir.Value
    inputs: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    """The main ONNX nodes, for the location."""

    def large(self, facts: Facts) -> Sequence[Future[Any]]:
        """Its large constants, being read."""
        return ()

    def check(self, graph: Graph, facts: Facts) -> None:
        """Wait for its large constants.

        Raises:
            InputError: what is wrong with them.
        """
        for reading in self.large(facts):
            reading.result()

    @abstractmethod
    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        """Append the operations; `operands` are the values of `inputs`."""


@dataclass(frozen=True)
class Pattern:
    """A row of the table: `match` gives a match, a reason why a lookalike is none, or nothing."""

    name: str
    match: Callable[[Graph, ir.Value], Match | Refusal | None]
