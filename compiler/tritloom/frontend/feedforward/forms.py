"""Run-time float values as exact affine forms over integer tensors.

`value[c] = pool(stages(sum_i scale_i[c] * a_i + offset[c]))`: rescales, biases and batch norms go into scales and
offset, clamps and other rising functions into stages, a maximum over windows waits behind them. A quantiser ends a
form; a layer takes one that is nothing but a scale times codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ...ir.steps import Boundary, StepFunction
from ...ir.tern import Window
from .monotone import Clamp, Passed, Rescale, Rising
from .rows import ZERO, Row, at, plus, times
from .tensors import Staircase, Tensor

Index = NDArray[np.int64]


class Term(NamedTuple):
    """`scale[c] * tensor`."""

    tensor: Tensor
    scale: Row


class NotRising(ValueError):
    """A negative factor behind a maximum or a rising function."""


@dataclass(frozen=True, eq=False)
class Form:
    """One run-time value of the graph, without its batch axis.

    `index` has the shape that the value has in ONNX, and holds each element's place in the tensors, channels last.
    """

    terms: tuple[Term, ...]
    index: Index
    offset: Row = ZERO
    stages: tuple[Rising, ...] = ()
    pool: Window | None = None
    nodes: tuple[ir.Node, ...] = ()
    """What has gone into the form since its tensors were made."""
    pooled: tuple[ir.Node, ...] = ()
    """Where the maximum comes from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensors: in front of the pool."""
        return self.terms[0].tensor.shape

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def tensors(self) -> list[Tensor]:
        return [term.tensor for term in self.terms]

    @property
    def label(self) -> str:
        return self.terms[0].tensor.label

    @property
    def affine(self) -> bool:
        """Whether nothing but scales and offset is applied."""
        return not self.stages and self.pool is None

    def by(self, *nodes: ir.Node) -> Form:
        """The same, the nodes having gone into it."""
        return replace(self, nodes=(*self.nodes, *nodes))

    def moved(self, index: Index) -> Form:
        """The same elements in another ONNX shape."""
        return replace(self, index=index)

    def rescaled(self, scale: Row, offset: Row = ZERO) -> Form:
        """`scale * value + offset`.

        Raises:
            NotRising: a scale is not above 0, behind a maximum or another function than a clamp.
        """
        rising = all(factor > 0 for factor in scale)
        if self.pool is not None and not rising:
            raise NotRising
        clamps = [stage for stage in self.stages if isinstance(stage, Clamp)]
        if len(clamps) < len(self.stages):
            if not rising:
                raise NotRising
            return replace(self, stages=(*self.stages, Rescale(scale, offset)))
        moved = [clamp.rescaled(scale, offset) for clamp in clamps]
        if any(clamp is None for clamp in moved):
            raise NotRising
        stages = tuple(clamp for clamp in moved if clamp is not None)
        terms = tuple(Term(term.tensor, times(term.scale, scale)) for term in self.terms)
        return replace(self, terms=terms, offset=plus(times(self.offset, scale), offset), stages=stages)

    def through(self, stage: Rising) -> Form:
        """The value behind a rising function."""
        return replace(self, stages=(*self.stages, stage))

    def bounds(self, channel: int) -> tuple[Fraction, Fraction]:
        """Smallest and largest value of the affine sum in a channel."""
        low = high = at(self.offset, channel)
        for tensor, scale in self.terms:
            ends = sorted(at(scale, channel) * end for end in (tensor.low, tensor.high))
            low, high = low + ends[0], high + ends[1]
        return low, high

    def reach(self, staircase: Staircase, low: int, high: int) -> tuple[int, int]:
        """The codes between low and high that the smallest and the largest values in front of the pool have."""
        ends = [self.bounds(channel) for channel in range(self.channels)]
        smallest = min(self._code(staircase, low, high, c, ends[c][0]) for c in range(self.channels))
        largest = max(self._code(staircase, low, high, c, ends[c][1]) for c in range(self.channels))
        return smallest, max(largest, smallest + staircase.step)

    def _code(self, staircase: Staircase, low: int, high: int, channel: int, value: Fraction) -> int:
        """The code of a value of the affine sum, by bisection."""
        step = staircase.step
        below, above = 0, (high - low) // step + 1
        while above - below > 1:
            middle = (below + above) // 2
            rows = staircase.rows(low + (middle - 1) * step, low + middle * step)
            (passed,) = self._settled(rows[channel if len(rows) > 1 else 0], channel)
            holds = (
                passed if isinstance(passed, bool) else value >= passed.at if passed.inclusive else value > passed.at
            )
            below, above = (middle, above) if holds else (below, middle)
        return low + below * step

    def steps(self, rows: Sequence[Sequence[Boundary]], low: int, step: int) -> StepFunction:
        """The staircase whose steps lie at `rows` on the value in front of the pool, as one over the tensors."""
        parameters = [len(parameter) for stage in self.stages for parameter in stage.rows]
        count = max([len(rows), *parameters])
        passed = [self._settled(rows[channel if len(rows) > 1 else 0], channel) for channel in range(count)]
        first = min(min(_leading(steps) for steps in passed), len(passed[0]) - 1)
        last = max(max(_open(steps) for steps in passed), first + 1)
        return self._function([steps[first:last] for steps in passed], low + step * first, step)

    def _settled(self, steps: Sequence[Boundary], channel: int) -> list[Passed]:
        found: list[Passed] = list(steps)
        for stage in reversed(self.stages):
            found = [stage.behind(boundary, channel) for boundary in found]
        return found

    def _function(self, passed: Sequence[Sequence[Passed]], low: int, step: int) -> StepFunction:
        settled = any(isinstance(boundary, bool) for steps in passed for boundary in steps)
        count = self.channels if settled and not self._alike else len(passed)
        boundaries = []
        for channel in range(count):
            steps = passed[channel if len(passed) > 1 else 0]
            boundaries.append(_reachable(steps, *self.bounds(channel)) if settled else tuple(_real(steps)))
        return StepFunction(tuple(term.scale for term in self.terms), self.offset, tuple(boundaries), low, step)

    @property
    def _alike(self) -> bool:
        return len(self.offset) == 1 and all(len(term.scale) == 1 for term in self.terms)


def _leading(steps: Sequence[Passed]) -> int:
    """How many boundaries at the front every operand passes."""
    return next((i for i, boundary in enumerate(steps) if boundary is not True), len(steps))


def _open(steps: Sequence[Passed]) -> int:
    """How many boundaries there are in front of those at the end that no operand passes."""
    return next((i for i in range(len(steps), 0, -1) if steps[i - 1] is not False), 0)


def _real(steps: Sequence[Passed]) -> list[Boundary]:
    return [boundary for boundary in steps if not isinstance(boundary, bool)]


def _reachable(steps: Sequence[Passed], smallest: Fraction, largest: Fraction) -> tuple[Boundary, ...]:
    """Boundaries that ascend: what always holds at the smallest value, what never holds behind the largest."""
    places = [boundary.at for boundary in _real(steps)]
    always, never = Boundary(min([smallest, *places]), True), Boundary(max([largest, *places]), False)
    return tuple((always if b else never) if isinstance(b, bool) else b for b in steps)


def merged(forms: Sequence[Form]) -> tuple[tuple[Term, ...], Row]:
    """Terms and offset of a sum of affine forms; a tensor occurs once."""
    scales: dict[Tensor, Row] = {}
    offset = ZERO
    for form in forms:
        offset = plus(offset, form.offset)
        for tensor, scale in form.terms:
            scales[tensor] = plus(scales[tensor], scale) if tensor in scales else scale
    return tuple(Term(tensor, scale) for tensor, scale in scales.items()), offset


def axes_in_order(index: Index) -> list[int] | None:
    """The axes of an ONNX shape in the order in which they lie in the tensor; None where they do not."""
    for order in permutations(range(index.ndim)):
        if np.array_equal(index.transpose(order).reshape(-1), np.arange(index.size)):
            return list(order)
    return None


def canonical(shape: tuple[int, ...]) -> Index:
    """The index of a tensor [H, W, C] as ONNX's [C, H, W]; of [K] as [K]."""
    places = np.arange(np.prod(shape, dtype=np.int64))
    return places if len(shape) == 1 else places.reshape(shape).transpose(2, 0, 1)
