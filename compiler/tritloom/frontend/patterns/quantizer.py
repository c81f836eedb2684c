"""The absmax quantiser: `q = clamp(round(x * s), -128, 127)`, `s = 127 / max(max|x|, 1e-5)`.

torch.onnx.export (dynamo) writes Abs, ReduceMax, Clip, Reciprocal, Mul, then Mul, Round, Clip; the legacy exporter
writes Div for Reciprocal and Mul. The step may divide (`x / (A/127)`) or multiply, with or without the clamp and the
floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import QuantizeAbsmaxOp
from ..emitter import Emitter
from ..graph import Graph, reduces_last_axis
from ..problems import Refusal
from ..scalars import Bounded, bounded, factors_in_front, scalar_factor, scaled_by
from .base import Match

LEVELS = 127.0
"""Codes of the largest magnitude."""
_RELATIVE = 1e-6
_LARGEST_FLOOR = 1e-4
_INSTEAD = "quantise to int8 per token: s = 127/max(max|x|, 1e-5), q = clamp(round(x*s), -128, 127)"


@dataclass(frozen=True, eq=False)
class QuantizerMatch(Match):
    absmax: ir.Value
    """The tensor of A = max|x|, with its floor."""
    step: ir.Value | None
    """The tensor of s = 127/A, where there is one."""

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        (x,) = operands
        return emitter.value(QuantizeAbsmaxOp(x), self.value, self.step)


def absmax_of(graph: Graph, value: ir.Value) -> tuple[ir.Value, float] | None:
    """(x, floor) where a value is max(max|x|, floor)."""
    floor = bounded(graph, value)
    reduce = graph.producer(floor.value, "ReduceMax")
    if reduce is None or floor.high is not None or not reduces_last_axis(graph, reduce):
        return None
    magnitude = graph.producer(graph.operands(reduce)[0], "Abs")
    return (graph.operands(magnitude)[0], floor.low or 0.0) if magnitude is not None else None


def _codes_behind(graph: Graph, value: ir.Value) -> ir.Value:
    """`value` with integer round trips taken off."""
    while (cast := graph.producer(value, "Cast")) is not None:
        value = graph.operands(cast)[0]
    return graph.resolve(value)


def match(graph: Graph, value: ir.Value) -> QuantizerMatch | Refusal | None:
    """A rounded, and perhaps clamped, product of x and 127/max|x|."""
    codes = bounded(graph, _codes_behind(graph, value))
    if (rounding := graph.producer(codes.value, "Round")) is None:
        return None
    scaled = graph.operands(rounding)[0]
    for inner, factor in factors_in_front(graph, scaled):
        if len(factor.powers) != 1:
            continue
        ((absmax, power),) = factor.powers.items()
        found = absmax_of(graph, absmax)
        if found is None or found[0] is not inner or power != -1:
            continue
        if abs(factor.coefficient / LEVELS - 1.0) > _RELATIVE:
            return Refusal(rounding, f"its codes reach {factor.coefficient:g}, not 127", _INSTEAD)
        if not _keeps_all(codes):
            return Refusal(rounding, f"it clamps codes to {codes.low}..{codes.high}, inside of -127..127", _INSTEAD)
        if found[1] > _LARGEST_FLOOR:
            return Refusal(rounding, f"its floor {found[1]:g} of max|x| is too large to be dropped", _INSTEAD)
        return QuantizerMatch(value, (inner,), (rounding,), absmax, _step_tensor(graph, scaled, absmax))
    return None


def _keeps_all(codes: Bounded) -> bool:
    """Whether a clamp leaves all of -127..127 as it is."""
    return (codes.low is None or codes.low <= -LEVELS) and (codes.high is None or codes.high >= LEVELS)


def _step_tensor(graph: Graph, scaled: ir.Value, absmax: ir.Value) -> ir.Value | None:
    """The tensor that holds 127/A, where the graph has one."""
    if (step := scaled_by(graph, scaled)) is None:
        return None
    _, scalar, sign = step
    factor = scalar_factor(graph, scalar)
    whole = sign == 1 and factor.powers == {absmax: -1} and abs(factor.coefficient / LEVELS - 1.0) <= _RELATIVE
    return scalar if whole else None
