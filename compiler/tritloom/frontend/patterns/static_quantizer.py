"""Quantisers of a fixed step: `clamp(round(x / step) + zero, low, high)`, at most 8 bits.

QuantizeLinear with a constant step (QDQ tools, static quantisation), perhaps with a Clip behind it (QCDQ); Round of a
product with a constant, clamped, with the zero point added and taken off again (torch, learned steps); QONNX's Quant
and IntQuant of an activation, whose result is codes times step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import QuantizeStaticOp
from ..contrib import QONNX
from ..emitter import Emitter
from ..graph import Graph, input_at, int_attribute
from ..problems import Refusal
from ..scalars import bounded, factors_in_front
from .codes import CodesMatch, without_casts

_INSTEAD: Final = "use at most 8 bits, one positive step for the tensor, and rounding half to even"
_UNSIGNED: Final = 128
_INTEGERS: Final = {ir.DataType.INT8: (-128, 127), ir.DataType.UINT8: (0, 255)}


@dataclass(frozen=True)
class Codes:
    """`clamp(round(x / step) + zero, low, high)`, as the graph has it."""

    step: float
    zero: int
    low: int
    high: int

    @property
    def offset(self) -> int:
        """What is taken off them for int8."""
        return _UNSIGNED if self.high > 127 else 0

    @property
    def fit(self) -> bool:
        """Whether they are 8 bits, the code of 0 among what 8 bits hold."""
        ends = (self.low - self.offset, self.high - self.offset, self.zero - self.offset)
        return self.low <= self.high and all(-128 <= code <= 127 for code in ends)


@dataclass(frozen=True, eq=False)
class StaticMatch(CodesMatch):
    codes: Codes
    tensor: ir.Value | None
    """Holds the codes, where the graph has such a tensor."""
    scaled: bool = False
    """The value is codes, less their zero, times step."""
    centred: bool = False
    """The value is codes less their zero."""

    @property
    def dynamic(self) -> bool:
        return False

    def is_scale(self, graph: Graph, base: ir.Value) -> bool:
        return False

    def weight_scale(self, coefficient: float) -> float:
        return coefficient if self.scaled else coefficient / self.codes.step

    def is_zero(self, graph: Graph, zero: ir.Value | None) -> bool:
        wanted = 0 if self.scaled or self.centred else self.codes.zero
        constant = graph.constant(zero)
        if constant is None:
            return zero is None and wanted == 0
        return bool((constant.load().astype(np.int64) == wanted).all())

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        codes, offset = self.codes, self.codes.offset
        op = QuantizeStaticOp(
            operands[0], codes.step, codes.zero - offset, codes.low - offset, codes.high - offset, offset
        )
        return emitter.value(op, self.tensor)


def match(graph: Graph, value: ir.Value) -> StaticMatch | Refusal | None:
    """Codes on a constant step, or these less their zero, or times their step."""
    inner = without_casts(graph, value)
    for form in (_quantize_linear, _rounded, _quant):
        if (found := form(graph, value, inner)) is not None:
            return found
    return None


def _checked(node: ir.Node, found: StaticMatch) -> StaticMatch | Refusal:
    codes = found.codes
    if not 0.0 < codes.step < math.inf:
        return Refusal(node, f"its step is {codes.step:g}", _INSTEAD)
    if not codes.fit:
        return Refusal(node, f"its codes are {codes.low}..{codes.high} with {codes.zero} for 0", _INSTEAD)
    return found


def _integer(number: float | None) -> int | None:
    return int(number) if number is not None and float(number).is_integer() else None


def _quantize_linear(graph: Graph, value: ir.Value, inner: ir.Value) -> StaticMatch | Refusal | None:
    """QuantizeLinear, and a Clip of its codes."""
    clamp = bounded(graph, inner)
    node = graph.producer(without_casts(graph, clamp.value), "QuantizeLinear")
    step = graph.scalar(input_at(node, 1)) if node is not None else None
    if node is None or step is None or graph.width(node.outputs[0]) is None:
        return None
    limits = _INTEGERS.get(node.outputs[0].dtype or ir.DataType.UNDEFINED)
    zero = _integer(graph.scalar(input_at(node, 2))) if input_at(node, 2) is not None else 0
    if limits is None or zero is None:
        return Refusal(node, "its codes are neither int8 nor uint8 with one zero point", _INSTEAD)
    low = limits[0] if clamp.low is None else max(limits[0], math.ceil(clamp.low))
    high = limits[1] if clamp.high is None else min(limits[1], math.floor(clamp.high))
    found = StaticMatch(value, (graph.operands(node)[0],), (node,), Codes(step, zero, low, high), inner)
    return _checked(node, found)


def _shifted(graph: Graph, value: ir.Value, op: str) -> tuple[ir.Value, int]:
    """(x, z) where a value is x + z or x - z, z a constant integer; else (value, 0)."""
    if (node := graph.producer(value, op)) is not None:
        pairs = graph.either_way(node) if op == "Add" else [tuple(graph.operands(node)[:2])]
        for x, constant in pairs:
            if (number := _integer(graph.scalar(constant))) is not None and graph.constant(x) is None:
                return x, number
    return graph.resolve(value), 0


def _rounded(graph: Graph, value: ir.Value, inner: ir.Value) -> StaticMatch | Refusal | None:
    """`clamp(round(x * c) + zero) - zero`."""
    codes, taken = _shifted(graph, inner, "Sub")
    outer = bounded(graph, without_casts(graph, codes))
    before_shift, zero = _shifted(graph, outer.value, "Add")
    rounding = graph.producer(without_casts(graph, before_shift), "Round")
    if rounding is None or graph.width(value) is None:
        return None
    clamp = bounded(graph, graph.operands(rounding)[0])
    levels = list(factors_in_front(graph, clamp.value))
    x, factor = levels[1] if len(levels) > 1 and not levels[1][1].powers else levels[0]
    if factor.powers or factor.coefficient <= 0.0 or graph.constant(x) is not None:
        return None
    lows = [outer.low, None if clamp.low is None else math.ceil(clamp.low) + zero]
    highs = [outer.high, None if clamp.high is None else math.floor(clamp.high) + zero]
    low = max((math.ceil(bound) for bound in lows if bound is not None), default=None)
    high = min((math.floor(bound) for bound in highs if bound is not None), default=None)
    if low is None or high is None:
        return Refusal(rounding, "nothing bounds its codes", "clamp them to 8 bits, or use the absmax quantiser")
    if taken not in (0, zero):
        return Refusal(rounding, f"{taken} is taken off its codes, whose zero is {zero}", _INSTEAD)
    found = StaticMatch(
        value, (x,), (rounding,), Codes(1.0 / factor.coefficient, zero, low, high), codes, centred=taken == zero != 0
    )
    return _checked(rounding, found)


def _quant(graph: Graph, value: ir.Value, inner: ir.Value) -> StaticMatch | Refusal | None:
    """QONNX: Quant and IntQuant."""
    node = graph.foreign(inner, QONNX, "Quant", "IntQuant")
    if node is None or graph.width(inner) is None or graph.constant(graph.operands(node)[0]) is not None:
        return None
    step, zero, bits = (graph.scalar(input_at(node, index)) for index in (1, 2, 3))
    mode = node.attributes.get("rounding_mode")
    rounding = mode.as_string().upper() if mode is not None else "ROUND"
    width, whole = _integer(bits), _integer(zero)
    if step is None or whole is None or width is None or not 1 <= width <= 8 or rounding not in ("ROUND", "HALF_EVEN"):
        return Refusal(node, "it is no quantiser of 1 to 8 bits on one constant step", _INSTEAD)
    signed, narrow = int_attribute(node, "signed", 1), int_attribute(node, "narrow", 0)
    low = -(2 ** (width - 1)) + narrow if signed else 0
    high = 2 ** (width - 1) - 1 if signed else 2**width - 1 - narrow
    found = StaticMatch(value, (graph.operands(node)[0],), (node,), Codes(step, whole, low, high), None, scaled=True)
    return _checked(node, found)
