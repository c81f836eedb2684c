"""The absmax quantiser: `q = clamp(round(x * s), -128, 127)`, `s = 127 / max(max|x|, 1e-5)`.

torch.onnx.export (dynamo) writes Abs, ReduceMax, Clip, Reciprocal, Mul, then Mul, Round, Clip; the legacy exporter
writes Div for Reciprocal and Mul. The step may divide (`x / (A/127)`) or multiply, with or without the clamp and the
floor, the clamp before or behind the rounding. QDQ tools write QuantizeLinear to int8 on the step A/127.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import QuantizeAbsmaxOp
from ..emitter import Emitter
from ..graph import Graph, input_at, reduces_last_axis
from ..problems import Refusal
from ..scalars import ONE, Bounded, Factor, bounded, factors_in_front, scalar_factor, scaled_by
from .codes import CodesMatch, without_casts

LEVELS = 127.0
"""Codes of the largest magnitude."""
_RELATIVE = 1e-6
_LARGEST_FLOOR = 1e-4
_ROUNDINGS = frozenset({"Round", "Floor", "Ceil", "Trunc"})
_INSTEAD = "quantise to int8 per token: s = 127/max(max|x|, 1e-5), q = clamp(round(x*s), -128, 127)"


@dataclass(frozen=True, eq=False)
class QuantizerMatch(CodesMatch):
    absmax: ir.Value
    """The tensor of A = max|x|, with its floor."""
    step: ir.Value | None
    """The tensor of s = 127/A, where there is one."""

    @property
    def dynamic(self) -> bool:
        return True

    @property
    def span(self) -> int:
        return int(LEVELS)

    def is_scale(self, graph: Graph, base: ir.Value) -> bool:
        return base is self.absmax or absmax_of(graph, base) == absmax_of(graph, self.absmax)

    def weight_scale(self, coefficient: float) -> float:
        return coefficient * LEVELS

    def is_zero(self, graph: Graph, zero: ir.Value | None) -> bool:
        constant = graph.constant(zero)
        return zero is None or (constant is not None and not constant.load().any())

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        (x,) = operands
        return emitter.value(QuantizeAbsmaxOp(x), self.value, self.step)


def absmax_of(graph: Graph, value: ir.Value) -> tuple[ir.Value, float] | None:
    """(x, floor) where a value is max(max|x|, floor)."""
    floor = bounded(graph, value)
    if floor.high is not None:
        return None
    if (x := _largest(graph, floor.value)) is None:
        return None
    return x, floor.low or 0.0


def _reduced(graph: Graph, value: ir.Value, op: str) -> ir.Value | None:
    """x where a value is ReduceMax or ReduceMin of x."""
    reduce = graph.producer(value, op)
    return graph.operands(reduce)[0] if reduce is not None and reduces_last_axis(graph, reduce) else None


def _largest(graph: Graph, value: ir.Value) -> ir.Value | None:
    """x where a value is max|x|: ReduceMax(Abs(x)), or Max of the largest and of minus the smallest."""
    if (inner := _reduced(graph, value, "ReduceMax")) is not None:
        magnitude = graph.producer(inner, "Abs")
        return graph.operands(magnitude)[0] if magnitude is not None else None
    if (either := graph.producer(value, "Max")) is None:
        return None
    for high, low in graph.either_way(either):
        negated, largest = graph.producer(low, "Neg"), _reduced(graph, high, "ReduceMax")
        if negated is not None and largest is not None:
            smallest = _reduced(graph, graph.operands(negated)[0], "ReduceMin")
            if smallest is largest:
                return largest
    return None


def unrounded_by(graph: Graph, value: ir.Value) -> ir.Node | None:
    """The node that was to round a value, behind its clamps, casts and factors: any rounding or quantiser."""
    inner = graph.resolve(value)
    while True:
        *_, (scaled, _) = factors_in_front(graph, bounded(graph, without_casts(graph, inner)).value)
        if scaled is inner:
            break
        inner = scaled
    node = inner.producer()
    rounds = node is not None and (node.op_type in _ROUNDINGS or "quant" in node.op_type.lower())
    return node if rounds else None


def match(graph: Graph, value: ir.Value) -> QuantizerMatch | Refusal | None:
    """A rounded, and perhaps clamped, product of x and 127/max|x|; or a QuantizeLinear on the step max|x|/127."""
    if (integer := graph.producer(without_casts(graph, value), "QuantizeLinear")) is not None:
        return _integer_codes(graph, value, integer)
    codes = bounded(graph, without_casts(graph, value))
    if (rounding := graph.producer(without_casts(graph, codes.value), "Round")) is None:
        return None
    before = bounded(graph, graph.operands(rounding)[0])
    scaled = before.value
    for inner, factor in factors_in_front(graph, scaled):
        if len(factor.powers) != 1:
            continue
        ((absmax, power),) = factor.powers.items()
        found = absmax_of(graph, absmax)
        if found is None or found[0] is not inner or power != -1:
            continue
        for clamp in (codes, before):
            if not _keeps_all(clamp):
                return Refusal(rounding, f"it clamps codes to {_range(clamp)}, inside of -127..127", _INSTEAD)
        return _checked(graph, value, rounding, inner, factor, _step_tensor(graph, scaled, absmax))
    return None


def _integer_codes(graph: Graph, value: ir.Value, node: ir.Node) -> QuantizerMatch | Refusal | None:
    """`clamp(round(x / step))` as one node."""
    x, step = graph.operands(node)[:2]
    if graph.constant(step) is not None:
        return None
    zero = graph.constant(input_at(node, 2))
    if node.outputs[0].dtype != ir.DataType.INT8 or (
        input_at(node, 2) is not None and (zero is None or zero.load().any())
    ):
        return Refusal(node, "its codes are not int8 with zero point 0", _INSTEAD)
    factor = ONE.times(scalar_factor(graph, step), -1)
    absmax = next(iter(factor.powers), None)
    found = absmax_of(graph, absmax) if absmax is not None else None
    if found is None or found[0] is not x or list(factor.powers.values()) != [-1]:
        return Refusal(node, "its step is not max|x|/127 of this very vector", _INSTEAD)
    return _checked(graph, value, node, x, factor, None)


def _checked(
    graph: Graph, value: ir.Value, rounding: ir.Node, x: ir.Value, factor: Factor, step: ir.Value | None
) -> QuantizerMatch | Refusal:
    """The quantiser round(x * factor), if its levels and its floor are ours."""
    absmax = next(iter(factor.powers))
    floor = (absmax_of(graph, absmax) or (x, 0.0))[1]
    if abs(factor.coefficient / LEVELS - 1.0) > _RELATIVE:
        return Refusal(rounding, f"its codes reach {factor.coefficient:g}, not 127", _INSTEAD)
    if floor > _LARGEST_FLOOR:
        return Refusal(rounding, f"its floor {floor:g} of max|x| is too large to be dropped", _INSTEAD)
    return QuantizerMatch(value, (x,), (rounding,), absmax, step)


def _range(clamp: Bounded) -> str:
    return "..".join("" if bound is None else f"{bound:g}" for bound in (clamp.low, clamp.high))


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
