"""What a ternary product takes: the codes of an activation, and what its scale is counted as (scalars.py)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from ..graph import Graph
from ..problems import Refusal
from .base import Match

_EXACT: Final = 2**24 - 1
"""Integers up to this are exact in float32."""


@dataclass(frozen=True, eq=False)
class CodesMatch(Match):
    """Codes of an activation."""

    @property
    @abstractmethod
    def dynamic(self) -> bool:
        """Whether a product carries the scale, a scalar that the graph computes, as a factor."""

    @abstractmethod
    def is_scale(self, graph: Graph, base: ir.Value) -> bool:
        """Whether a scalar is that scale."""

    @abstractmethod
    def weight_scale(self, coefficient: float) -> float:
        """What a trit is worth where sums of codes are multiplied by a coefficient (and by the scale, if dynamic)."""

    @abstractmethod
    def is_zero(self, graph: Graph, zero: ir.Value | None) -> bool:
        """Whether a value, or none, is the code of 0."""

    @property
    def span(self) -> int:
        """Distance of a code from that of 0, at most."""
        return 255

    @property
    def longest(self) -> int:
        """Codes of a sum that stays exact."""
        return _EXACT // self.span


Find = Callable[[Graph, ir.Value], CodesMatch | Refusal | None]


def without_casts(graph: Graph, value: ir.Value) -> ir.Value:
    """`value` with integer round trips taken off."""
    while (cast := graph.producer(value, "Cast")) is not None:
        value = graph.operands(cast)[0]
    return graph.resolve(value)


def first_of(finders: tuple[Find, ...]) -> Find:
    """The first match, else the first refusal."""

    def find(graph: Graph, value: ir.Value) -> CodesMatch | Refusal | None:
        refusal: Refusal | None = None
        for finder in finders:
            found = finder(graph, value)
            if isinstance(found, CodesMatch):
                return found
            refusal = refusal or found
        return refusal

    return find
