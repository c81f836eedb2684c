"""Every code of an imported net against onnxruntime: each layer is fed onnxruntime's own codes.

So an error shows in the layer that makes it. A code may differ where the exact value of its element lies at a tie.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..frontend import Imported
from ..ir.bindings import bound_tensor
from ..ir.interpreter.net import NetInterpreter
from ..ir.locations import onnx_names
from ..ir.mlir import Operation, SSAValue
from ..ir.steps import StepFunction
from ..ir.tern import QuantizeOp, RequantizeOp, element_of, range_of

Array = NDArray[Any]
Quantiser = QuantizeOp | RequantizeOp

TIE: Final = Fraction(1, 100_000)
"""Codes may differ where the exact value lies this near to a step, in steps."""
_LISTED: Final = 3
"""Differing codes of a layer that are listed."""
_FLOAT_BITS: Final = 24


@dataclass
class LayerCodes:
    """The codes of one quantiser, compared."""

    op: Quantiser
    tensor: str
    exact: bool
    """Whether float32 evaluates this layer exactly, so that no code may differ."""
    compared: int = 0
    ties: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    tie_count: int = 0
    fault_count: int = 0

    @property
    def label(self) -> str:
        """Its tensor, step function and ONNX nodes."""
        nodes = ", ".join(onnx_names(self.op)) or "none"
        return f"'{self.tensor}' ({self.op.name} {self.op.function}, ONNX {nodes})"


class CodeCheck:
    """Compares frames, chunk by chunk; the findings are in `layers`."""

    def __init__(self, imported: Imported, integer: bool) -> None:
        """`integer`: the graph computes in integers itself, so that no code behind its float input may differ."""
        self._imported = imported
        self._interpreter = NetInterpreter(imported.module, imported.store)
        quantisers = [op for op in self._interpreter.net.walk() if isinstance(op, Quantiser)]
        self.layers: dict[Operation, LayerCodes] = {}
        self.unbound: list[str] = []
        """Quantisers whose codes no tensor of the graph holds."""
        for op in quantisers:
            tensor = bound_tensor(op.result)
            function = self._function(op)
            if tensor:
                whole = integer and isinstance(op, RequantizeOp)
                self.layers[op] = LayerCodes(op, tensor, whole or evaluated_exactly(op, function))
            else:
                self.unbound.append(f"{op.name} {op.function} ({', '.join(onnx_names(op))})")

    @property
    def tensors(self) -> list[str]:
        """Tensors of the graph that are compared."""
        return [layer.tensor for layer in self.layers.values()]

    def _function(self, op: Quantiser) -> StepFunction:
        return self._imported.store.steps(self._imported.module, op.function.root_reference.data)

    def run(self, values: Array, truth: Mapping[str, Array], first: int) -> tuple[dict[str, Array], NDArray[np.bool_]]:
        """Compare frames, the first of which is number `first`.

        Returns our scores from onnxruntime's codes, and which frames hold a code that differs.
        """
        net = self._interpreter.net
        port = net.input_ports[0]
        seen: dict[SSAValue, Array] = {}
        differing = np.zeros(len(values), bool)
        frames = values.reshape(len(values), *port.dimensions).transpose(0, *(axis + 1 for axis in port.order))
        seen[net.body.block.args[0]] = frames

        def observe(op: Operation, results: list[Array]) -> None:
            seen[op.results[0]] = ours = results[0]
            layer = self.layers.get(op)
            if layer is None:
                return
            theirs = as_codes(truth[layer.tensor], ours)
            layer.compared += ours.size
            if theirs is None:
                layer.fault_count += 1
                layer.faults = layer.faults or [f"'{layer.tensor}' holds no integers of this shape"]
                return
            places = np.argwhere(ours != theirs)
            for place in places:
                self._judge(layer, tuple(int(i) for i in place), ours, theirs, seen, first)
            differing[places[:, 0]] = True
            ours[...] = theirs

        return dict(self._interpreter.run({port.tensor.data: values}, observe)), differing

    def _judge(
        self,
        layer: LayerCodes,
        place: tuple[int, ...],
        ours: Array,
        theirs: Array,
        seen: Mapping[SSAValue, Array],
        first: int,
    ) -> None:
        """Whether one code that differs is a tie."""
        if layer.fault_count > _LISTED:  # the layer has failed: there is no more to find out
            layer.fault_count += 1
            return
        a, b = int(ours[place]), int(theirs[place])
        text = f"frame {first + place[0]}, element {list(place[1:])}: ours {a}, reference {b}"
        function = self._function(layer.op).at_channel(place[-1])
        operands = [_element(seen[value], place, ours.shape) for value in layer.op.operands]
        value = function.offset[0] + sum(
            (scale * operand for (scale,), operand in zip(function.scales, operands, strict=True)), Fraction(0)
        )
        reach = TIE * _step(function)
        tie = code_at(function, value - reach) <= b <= code_at(function, value + reach)
        if tie and not layer.exact and a == code_at(function, value):
            layer.tie_count += 1
            if len(layer.ties) < _LISTED:
                layer.ties.append(f"{text}, at a tie")
            return
        layer.fault_count += 1
        if len(layer.faults) < _LISTED:
            why = "which float32 computes exactly here" if layer.exact and tie else f"the value is {float(value):.6g}"
            layer.faults.append(f"{text}; {why}")


def _element(values: Array, place: tuple[int, ...], shape: tuple[int, ...]) -> Fraction:
    number = values.reshape(shape)[place].item()
    return Fraction(0) if number != number else Fraction(number)  # NaN counts as 0


def code_at(function: StepFunction, value: Fraction) -> int:
    """The code of a value of the affine sum, of a function of one channel."""
    steps = function.boundaries[0]
    return function.low + function.step * sum(value >= at if inclusive else value > at for at, inclusive in steps)


def _step(function: StepFunction) -> Fraction:
    """The least distance of two boundaries; of a single one its size, or that of what it is compared with."""
    places = [boundary.at for boundary in function.boundaries[0]]
    apart = [b - a for a, b in itertools.pairwise(places) if b > a]
    if apart:
        return min(apart)
    sizes = [abs(places[0]), abs(function.offset[0]), *(abs(row[0]) for row in function.scales)]
    return max(sizes)


def evaluated_exactly(op: Quantiser, function: StepFunction) -> bool:
    """Whether float32 arithmetic makes no rounding in a layer: its scales are powers of two, or as good as."""
    if isinstance(op, QuantizeOp):
        pitches = _pitches(function)
        return all(_is_power_of_two(scale / pitch) for row in function.scales for scale in row for pitch in pitches)
    most = Fraction(0)
    units = 1
    for row, operand in zip(function.scales, op.inputs, strict=True):
        low, high = range_of(element_of(operand))
        most += max(map(abs, row)) * max(abs(low), high)
        units = max(units, *(scale.denominator for scale in row))
    most += max(map(abs, function.offset))
    units = max(units, *(offset.denominator for offset in function.offset))
    if any(_odd(scale.denominator) > 1 for row in (*function.scales, function.offset) for scale in row):
        return False
    return most * units < 1 << _FLOAT_BITS and all(_is_power_of_two(pitch) for pitch in _pitches(function))


def _pitches(function: StepFunction) -> set[Fraction]:
    """Distances of boundaries; 1 where there is one boundary."""
    found = {b.at - a.at for steps in function.boundaries for a, b in itertools.pairwise(steps)} - {Fraction(0)}
    return found or {Fraction(1)}


def _odd(number: int) -> int:
    while number and number % 2 == 0:
        number //= 2
    return number


def _is_power_of_two(number: Fraction) -> bool:
    return number != 0 and _odd(abs(number.numerator)) == 1 and _odd(number.denominator) == 1


def as_codes(values: Array, ours: Array) -> Array | None:
    """A tensor of the graph [frames, ...] in the order of ours [frames, H, W, C] or [frames, K]; None if it has none.

    Which axes are rows, columns and channels follows from the shape. Where that leaves a choice, it is the one with
    the fewest differences: a wrong order shows in the next layer and in the scores.
    """
    if values.size != ours.size or not np.array_equal(values, np.rint(values)):
        return None
    codes = values.astype(np.int64)
    candidates = [found for found in _orders(codes, ours.shape) if found.shape == ours.shape]
    return min(candidates, key=lambda found: int(np.count_nonzero(found != ours)), default=None)


def _orders(codes: Array, shape: tuple[int, ...]) -> list[Array]:
    """Channels first, which is ONNX's convention, before the others."""
    if len(shape) == 2:
        return [codes.reshape(shape)]
    frames, height, width, channels = shape
    found = [codes.reshape(frames, channels, height, width).transpose(0, 2, 3, 1)]
    sizes = [size for size in codes.shape[1:] if size > 1]
    if len(sizes) > 1 or codes.ndim == 2:
        found.append(codes.reshape(shape))
        spread = codes.reshape(frames, *sizes, *[1] * (3 - len(sizes))) if len(sizes) <= 3 else None
        if spread is not None:
            found += [spread.transpose(0, *order) for order in itertools.permutations((1, 2, 3))]
    return found
