"""Integer tensors of the net to be. One that nothing uses, or that a clamp narrows further, is never emitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Protocol

import numpy as np
import onnx_ir as ir

from ...ir.mlir import IntegerType, SSAValue
from ...ir.steps import Boundary, StepFunction, uniform
from ...ir.tern import ConcatOp, Pooling, PoolOp, Window, integer_for
from .builder import NetBuilder
from .rows import Row, at

_FLOAT_RANGE = 1 << 129
MOST_LEVELS = 255
"""Codes have at most 8 bits."""


class TooManyLevels(ValueError):
    """A quantiser of more than 256 codes, made by `node`."""

    def __init__(self, node: ir.Node, low: int, high: int) -> None:
        super().__init__(f"its codes, {low} to {high}, have more than 8 bits")
        self.node = node


class Tensor(ABC):
    """A tensor [H, W, C] or [K] whose elements lie in low .. high."""

    shape: tuple[int, ...]
    label: str
    """What its step functions are named after."""

    @property
    @abstractmethod
    def low(self) -> int: ...

    @property
    @abstractmethod
    def high(self) -> int: ...

    @property
    def whole(self) -> bool:
        """Whether its elements are integers."""
        return True

    @abstractmethod
    def value(self) -> SSAValue:
        """Its value; emitted on the first call."""

    @cached_property
    def element(self) -> IntegerType:
        """Its type: it holds 0 too, the usual padding."""
        return integer_for(min(self.low, 0), max(self.high, 0))


@dataclass(eq=False)
class Emitted(Tensor):
    """A tensor that is there already: the input, or the sums of a layer."""

    shape: tuple[int, ...]
    label: str
    ssa: SSAValue
    range: tuple[int, int]

    @property
    def low(self) -> int:
        return self.range[0]

    @property
    def high(self) -> int:
        return self.range[1]

    def value(self) -> SSAValue:
        return self.ssa


@dataclass(eq=False)
class FloatInput(Emitted):
    """The float32 input: only a quantiser takes it."""

    @property
    def whole(self) -> bool:
        return False


@dataclass(frozen=True)
class Uniform:
    """Codes `clamp(round(v / scale + zero) + shift, low, high)`, the rounding one of `ir.steps.uniform`."""

    scale: Row
    zero: Row
    rounding: str = "half_even"
    shift: int = 0
    step: int = 1

    def rows(self, low: int, high: int) -> tuple[tuple[Boundary, ...], ...]:
        """Boundaries between low .. high, of every channel or of all."""
        count = max(len(self.scale), len(self.zero))
        return tuple(
            uniform(low - self.shift, high - self.shift, at(self.scale, c), at(self.zero, c), self.rounding)
            for c in range(count)
        )


@dataclass(frozen=True)
class Listed:
    """Codes `first + step * #{boundaries passed}`."""

    boundaries: tuple[tuple[Boundary, ...], ...]
    first: int
    step: int = 1

    def rows(self, low: int, high: int) -> tuple[tuple[Boundary, ...], ...]:
        begin, end = (low - self.first) // self.step, (high - self.first) // self.step
        return tuple(steps[begin:end] for steps in self.boundaries)


Staircase = Uniform | Listed


class Source(Protocol):
    """What is quantised: see `forms.Form`."""

    @property
    def nodes(self) -> tuple[ir.Node, ...]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def label(self) -> str: ...

    @property
    def tensors(self) -> Sequence[Tensor]: ...

    def steps(self, rows: Sequence[Sequence[Boundary]], low: int, step: int) -> StepFunction: ...


@dataclass(eq=False)
class Quantised(Tensor):
    """Codes lowest .. highest of a staircase over an affine sum."""

    builder: NetBuilder
    source: Source
    staircase: Staircase
    lowest: int
    highest: int
    tensor: str
    """ONNX tensor of the codes."""
    nodes: tuple[ir.Node, ...]
    _ssa: SSAValue | None = field(default=None, init=False)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    @property
    def label(self) -> str:  # type: ignore[override]
        return self.source.label

    @property
    def low(self) -> int:
        return self.function.low

    @property
    def high(self) -> int:
        return self.function.high

    def clamped(self, low: int, high: int, node: ir.Node, name: str) -> Quantised | None:
        """The same codes, clamped further; None where the bounds are no codes, or leave only one."""
        step = self.staircase.step
        low, high = max(low, self.lowest), min(high, self.highest)
        low, high = min(low, self.highest), max(high, self.lowest)
        if (low - self.lowest) % step or (high - self.lowest) % step or high <= low:
            return None
        return replace(self, lowest=low, highest=high, tensor=name, nodes=(*self.nodes, node))

    @cached_property
    def function(self) -> StepFunction:
        """The step function over the tensors of the source; codes that no operand reaches are left out."""
        step = self.staircase.step
        if (self.highest - self.lowest) // step > MOST_LEVELS:
            raise TooManyLevels(self.nodes[0], self.lowest, self.highest)
        return self.source.steps(self.staircase.rows(self.lowest, self.highest), self.lowest, step)

    def value(self) -> SSAValue:
        if self._ssa is None:
            self._ssa = self._same_codes() or self.builder.requantize(
                [tensor.value() for tensor in self.source.tensors],
                self.function,
                f"{self.label}.steps",
                (*self.source.nodes, *self.nodes),
                self.tensor,
            )
        return self._ssa

    def _same_codes(self) -> SSAValue | None:
        """The source's own codes, where the staircase is theirs."""
        if len(self.source.tensors) != 1 or not (only := self.source.tensors[0]).whole:
            return None
        function = self.function
        if (function.low, function.high, function.step) != (only.low, only.high, 1):
            return None
        thresholds = function.thresholds
        same = thresholds.table == np.arange(only.low + 1, only.high + 1)
        return only.value() if same.all() and not thresholds.negative.any() else None


@dataclass(eq=False)
class Largest(Tensor):
    """The largest code of each window."""

    builder: NetBuilder
    operand: Tensor
    window: Window
    tensor: str
    nodes: tuple[ir.Node, ...]
    _ssa: SSAValue | None = field(default=None, init=False)

    @cached_property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        height, width, channels = self.operand.shape
        return (*self.window.output_size(height, width), channels)

    @property
    def label(self) -> str:  # type: ignore[override]
        return self.operand.label

    @property
    def low(self) -> int:
        return self.operand.low

    @property
    def high(self) -> int:
        return self.operand.high

    def value(self) -> SSAValue:
        if self._ssa is None:
            op = PoolOp(self.operand.value(), Pooling.MAX, self.window)
            self._ssa = self.builder.add(op, self.nodes, self.tensor)
        return self._ssa


@dataclass(eq=False)
class Joined(Tensor):
    """Channels of several tensors, one behind the other; all get the type that holds every one."""

    builder: NetBuilder
    parts: Sequence[Tensor]
    tensor: str
    nodes: tuple[ir.Node, ...]
    _ssa: SSAValue | None = field(default=None, init=False)

    @cached_property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (*self.parts[0].shape[:-1], sum(part.shape[-1] for part in self.parts))

    @property
    def label(self) -> str:  # type: ignore[override]
        return self.parts[0].label

    @property
    def low(self) -> int:
        return min(part.low for part in self.parts)

    @property
    def high(self) -> int:
        return max(part.high for part in self.parts)

    def value(self) -> SSAValue:
        if self._ssa is None:
            op = ConcatOp([self._widened(part) for part in self.parts])
            self._ssa = self.builder.add(op, self.nodes, self.tensor)
        return self._ssa

    def _widened(self, part: Tensor) -> SSAValue:
        value = part.value()
        if part.element == self.element:
            return value
        one = Fraction(1)
        same = StepFunction(((one,),), (Fraction(0),), (uniform(part.low, part.high),), part.low)
        return self.builder.requantize([value], same, f"{part.label}.wider", self.nodes, "", self.element)
