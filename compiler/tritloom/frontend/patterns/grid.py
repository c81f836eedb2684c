"""Values on a grid that stay floats: quantised and dequantised again where no ternary product takes the codes.

QDQ tools do so around every operator (QuantizeLinear, DequantizeLinear), QONNX with Quant, and fake quantisation with
Round between bounds. The arithmetic is that of onnx, rounding included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import AddOp, DivOp, MaxOp, MinOp, MulOp, SubOp
from ..emitter import Emitter
from ..graph import Graph, input_at
from ..problems import Refusal
from ..scalars import bounded
from . import static_quantizer
from .base import Match
from .static_quantizer import Codes, StaticMatch

_SPACED_BY_ONE: Final = 1.5 * 2**23
"""Between 2^23 and 2^24 float32 numbers are the integers: what is added to this is rounded to one, half to even."""
_LARGEST: Final = 2.0**22
_CLAMPS: Final = frozenset({"Clip", "Max", "Min"})


def _rounded(e: Emitter, x: SSAValue, n: int) -> SSAValue:
    """x, at most 2^22, to integers."""
    magic = e.fill(_SPACED_BY_ONE, n)
    return e.value(SubOp(e.value(AddOp(x, magic)), magic))


def _clamped(e: Emitter, x: SSAValue, n: int, low: float, high: float) -> SSAValue:
    return e.value(MinOp(e.value(MaxOp(x, e.fill(low, n))), e.fill(high, n)))


@dataclass(frozen=True, eq=False)
class GridMatch(Match):
    """`(clamp(round(x / step) + zero, low, high) - other zero) * other step`."""

    codes: Codes
    step: float
    zero: int

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        codes, n = self.codes, emitter.graph.width(self.value) or 0
        x = emitter.value(DivOp(operands[0], emitter.fill(codes.step, n)))
        x = _rounded(emitter, _clamped(emitter, x, n, codes.low - codes.zero, codes.high - codes.zero), n)
        if codes.zero != self.zero:
            x = emitter.value(AddOp(x, emitter.fill(float(codes.zero - self.zero), n)))
        return emitter.value(MulOp(x, emitter.fill(self.step, n)), self.value)


@dataclass(frozen=True, eq=False)
class RoundMatch(Match):
    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        n = emitter.graph.width(self.value) or 0
        result = _rounded(emitter, _clamped(emitter, operands[0], n, -_LARGEST, _LARGEST), n)
        emitter.name(result, self.value)
        return result


def match(graph: Graph, value: ir.Value) -> Match | Refusal | None:
    """A dequantised value, or one rounded between bounds."""
    if graph.width(value) is None:
        return None
    if (node := graph.producer(value, "DequantizeLinear")) is not None:
        return _dequantised(graph, value, node)
    if (node := graph.producer(value, "Round")) is not None:
        return _round(graph, value, node)
    found = static_quantizer.match(graph, value)
    if isinstance(found, StaticMatch):
        return _of(found, value, found.codes.step, found.codes.zero) if found.scaled else None
    return found


def _of(found: StaticMatch, value: ir.Value, step: float, zero: int) -> GridMatch:
    return GridMatch(value, found.inputs, found.nodes, found.codes, step, zero)


def _dequantised(graph: Graph, value: ir.Value, node: ir.Node) -> GridMatch | Refusal | None:
    found = static_quantizer.match(graph, graph.operands(node)[0])
    step, given = graph.scalar(input_at(node, 1)), input_at(node, 2)
    zero = 0.0 if given is None else graph.scalar(given)
    if not isinstance(found, StaticMatch) or found.tensor is None or step is None or zero is None:
        return found if isinstance(found, Refusal) else None
    return _of(found, value, step, int(zero))


def _round(graph: Graph, value: ir.Value, node: ir.Node) -> RoundMatch | Refusal:
    """Round of what is clamped before or behind: codes that are known to be far below 2^22."""
    bounds = bounded(graph, graph.operands(node)[0])
    if (bounds.low is None or bounds.high is None) and not _is_clamped(value):
        return Refusal(node, "nothing bounds its codes", "clamp them to 8 bits, or use the absmax quantiser")
    return RoundMatch(value, (graph.operands(node)[0],), (node,))


def _is_clamped(value: ir.Value, through: int = 2) -> bool:
    """Whether all that uses a value clamps it, perhaps behind the addition of a zero point."""
    users = [node for node, _ in value.uses()]
    return bool(users) and all(
        node.op_type in _CLAMPS
        or (through > 0 and node.op_type in ("Add", "Cast") and _is_clamped(node.outputs[0], through - 1))
        for node in users
    )
