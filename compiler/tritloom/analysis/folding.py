"""Choose the folding of every stage: as little logic as a number of cycles a frame allows, or as fast as fits.

A stage's cycles are its initiations (II 1). Given the cycles, each stage takes the cheapest folding that keeps them, in
the order of the stream, so that what regroups the words between two stages counts too. What a frame may cost is then a
search over one number, since fewer cycles never cost less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ..errors import InputError
from ..ir import flow
from ..ir.flow import channels_of, stream_of
from ..ir.locations import onnx_names
from ..ir.mlir import SSAValue, f32
from ..targets import Target
from .dataflow_area import Resources, control_registers
from .net_fit import boards_that_hold, check_fits, fits
from .stage_cost import Weights, cost_of, least_cost_of, resize_cost, stream_cost, work_of
from .stage_traits import Folding, can_be_hard_wired, groups_at_once, is_hard_wired

FILL: Final = {"lut": 0.8, "ff": 0.8, "dsp": 0.9, "bram36": 0.9, "uram": 1.0}
"""Share of each resource that a design as fast as fits takes."""


@dataclass(frozen=True)
class Solution:
    """A folding for every stage."""

    foldings: dict[flow.Stage, Folding]
    cycles: int
    """Cycles a frame, of the slowest stage."""
    resources: Resources

    def slowest(self) -> flow.Stage:
        """The stage that sets the rate."""
        return max(self.foldings, key=lambda stage: work_of(stage, self.foldings[stage]).frame)


class _Infeasible(Exception):
    """A stage that cannot keep the cycles."""

    def __init__(self, stage: flow.Stage, cycles: int) -> None:
        super().__init__(stage.name)
        self.stage, self.cycles = stage, cycles


def divisors(number: int) -> list[int]:
    """Divisors, ascending."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def steps_between(lanes_in: int, lanes_out: int) -> list[int]:
    """Lanes to regroup words to, one after the other: through a common multiple where neither divides the other."""
    if lanes_in == lanes_out:
        return []
    if max(lanes_in, lanes_out) % min(lanes_in, lanes_out) == 0:
        return [lanes_out]
    return [math.lcm(lanes_in, lanes_out), lanes_out]


@dataclass(frozen=True)
class _Choice:
    """A folding that a stage can have, with what does not depend on the stages before it."""

    of: flow.Stage
    folding: Folding
    weights: Weights | None

    @cached_property
    def cycles(self) -> int:
        """A frame."""
        return work_of(self.of, self.folding).frame

    @cached_property
    def stage(self) -> Resources:
        return cost_of(self.of, self.folding, self.weights)

    @cached_property
    def behind(self) -> Resources:
        """The FIFOs behind the stage."""
        return _fifos(self.of, self.folding)

    @cached_property
    def least(self) -> Resources:
        """What the stage takes at least, found at once."""
        return least_cost_of(self.of, self.weights) if is_hard_wired(self.of, self.folding) else self.stage


@dataclass
class Solver:
    """The foldings of a design's stages, for one board."""

    stages: Sequence[flow.Stage]
    target: Target
    weights: Weights | None = None
    """The trits, where they are at hand."""
    _tables: dict[tuple[flow.Stage, int], list[_Choice]] = field(default_factory=dict)
    """The choices of a stage, by the width of the memory port where it has one: a search asks for them many times."""

    def at(self, cycles: int) -> Solution:
        """The cheapest folding that takes at most so many cycles a frame.

        Raises:
            InputError: a stage cannot; the slowest such is named, with the fewest cycles that it takes.
        """
        try:
            return self._narrowest(cycles)
        except _Infeasible as error:
            stage, least = max(((s, self._fewest(s)) for s in self.stages), key=lambda pair: pair[1])
            if least <= cycles:
                stage, least = error.stage, error.cycles
            rate = self.target.clock_hz / least
            raise InputError(
                f"{describe(stage)} takes at least {least:,} cycles a frame, {cycles:,} are wanted:"
                f" no folding makes more than {rate:,.0f} frames/s at {self.target.clock_mhz:g} MHz",
                self._advice(),
            ) from error

    def fastest(self) -> Solution:
        """The fewest cycles a frame whose logic fits the shares `FILL` of the board.

        Raises:
            InputError: not even the smallest folding fits the board; the binding resource and stage are named.
        """
        slow = self._slow()
        if not fits(slow.resources, self.target, FILL):
            self._check(slow, lambda: boards_that_hold(slow.resources))
            return slow
        low = max(self._fewest(stage) for stage in self.stages)
        high, best = slow.cycles, slow
        while low < high:
            middle = (low + high) // 2
            try:
                found = self._narrowest(middle)
            except _Infeasible:
                low = middle + 1
                continue
            if fits(found.resources, self.target, FILL):
                best, high = found, min(middle, found.cycles)
            else:
                low = middle + 1
        return best

    def check(self, solution: Solution) -> None:
        """Refuse a design that is larger than the board.

        Raises:
            InputError: with the binding resource, by how much it is exceeded, the stage that takes most of it, and
                the rate that fits.
        """
        self._check(solution, self._advice)

    def _check(self, solution: Solution, hint: Callable[[], str]) -> None:
        if not fits(solution.resources, self.target):
            parts = {
                describe(stage): cost_of(stage, folding, self.weights) for stage, folding in solution.foldings.items()
            }
            check_fits(parts, vars(solution.resources), self.target, solution.cycles, hint())

    def _advice(self) -> str:
        """What to ask for instead of a frame rate that cannot be had."""
        slow = self._slow()
        if not fits(slow.resources, self.target):
            return boards_that_hold(slow.resources)
        best = self.fastest()
        rate, slowest = int(self.target.clock_hz / best.cycles), describe(best.slowest())
        return (
            f"As fast as fits {self.target.name} is {rate:,} frames/s, bound by {slowest}: --target-fps {rate}, or"
            " leave the option out. A larger board may do more (`tritloom boards`)."
        )

    def _slow(self) -> Solution:
        """Every folding allowed: the least logic."""
        return self._narrowest(max(max(choice.cycles for choice in self._choices(stage)) for stage in self.stages))

    def _fewest(self, stage: flow.Stage) -> int:
        return min(choice.cycles for choice in self._choices(stage))

    def _narrowest(self, cycles: int) -> Solution:
        """At the narrowest memory port that keeps the cycles."""
        for beat_bits in flow.BEATS[:-1]:
            try:
                return self._solve(cycles, beat_bits)
            except _Infeasible:
                continue
        return self._solve(cycles, flow.BEATS[-1])

    def _solve(self, cycles: int, beat_bits: int) -> Solution:
        foldings: dict[flow.Stage, Folding] = {}
        lanes: dict[SSAValue, int] = {}
        total, slowest = control_registers(), 0
        for stage in self.stages:
            possible = _kept(stage, self._choices(stage, beat_bits), lanes)
            choices = [choice for choice in possible if choice.cycles <= cycles]
            if not choices:
                raise _Infeasible(stage, min(choice.cycles for choice in possible))
            best, regrouping = self._cheapest(choices, lanes, cycles)
            folding = best.folding
            foldings[stage] = folding
            slowest = max(slowest, best.cycles)
            total = total + best.stage + regrouping
            for result in stage.streams_out():
                total = total + stream_cost(stream_of(result), folding.lanes_out)
                lanes[result] = folding.lanes_out
        return Solution(foldings, slowest, total)

    def _cheapest(
        self, choices: Sequence[_Choice], lanes: dict[SSAValue, int], cycles: int
    ) -> tuple[_Choice, Resources]:
        """The first of the cheapest choices, with what regroups its operands' words.

        What cannot be the cheapest is not priced: adders are shared only where a hard-wired unit is in the running.
        """
        best, least, regroups = choices[0], math.inf, Resources()
        for choice in choices:
            regrouping = self._regrouping(choice.of, choice.folding, lanes)
            around = regrouping + choice.behind + self._bound(choice, cycles)
            if self._price(choice.least + around) < least and (price := self._price(choice.stage + around)) < least:
                best, least, regroups = choice, price, regrouping
        return best, regroups

    def _bound(self, choice: _Choice, cycles: int) -> Resources:
        """What a choice binds the next stage to: the lanes of windows of several groups are those of their unit."""
        windows = choice.of
        if not isinstance(windows, flow.WindowOp) or windows.groups.value.data == 1:
            return Resources()
        (unit,) = (use.operation for use in windows.result.uses if isinstance(use.operation, flow.Stage))
        lanes: dict[SSAValue, int] = {windows.result: choice.folding.lanes_out}
        possible = [each for each in _kept(unit, self._choices(unit), lanes) if each.cycles <= cycles]
        best, regrouping = self._cheapest(possible, lanes, cycles)
        return best.stage + best.behind + regrouping

    def _price(self, used: Resources) -> float:
        """Logic as a number of LUTs, each other resource at the board's ratio."""
        have = self.target.resources
        return (
            used.lut
            + used.ff * 0.1
            + used.dsp * have.lut / max(have.dsp, 1)
            + used.bram36 * have.lut / have.bram36
            + used.uram * have.lut / max(have.uram, 1)
        )

    def _regrouping(self, stage: flow.Stage, fold: Folding, lanes: dict[SSAValue, int]) -> Resources:
        total = Resources()
        for value in stage.streams_in():
            at = lanes[value]
            for step in steps_between(at, fold.lanes_in):
                total = total + resize_cost(stream_of(value), at, step)
                total = total + stream_cost(stream_of(value), step)
                at = step
        return total

    def _choices(self, stage: flow.Stage, beat_bits: int = flow.BEATS[-1]) -> list[_Choice]:
        key = (stage, beat_bits if isinstance(stage, flow.LoadOp | flow.StoreOp) else 0)
        if key not in self._tables:
            self._tables[key] = [_Choice(stage, folding, self.weights) for folding in _foldings(stage, beat_bits)]
        return self._tables[key]


def _kept(stage: flow.Stage, choices: list[_Choice], lanes: dict[SSAValue, int]) -> list[_Choice]:
    """The choices that leave the order of words alone: those of windows of several groups cannot be regrouped."""
    windows = stage.operands[0].owner
    if not isinstance(windows, flow.WindowOp):
        return choices
    at = lanes[windows.result]
    if isinstance(stage, flow.PoolOp):
        return [choice for choice in choices if choice.folding.lanes_in == at]
    if isinstance(stage, flow.MvauOp):
        groups = max(1, at // windows.group_channels)
        return [choice for choice in choices if max(1, groups_at_once(stage, choice.folding)) == groups]
    return choices


def _fifos(stage: flow.Stage, fold: Folding) -> Resources:
    """FIFOs behind a stage; behind a matrix-vector unit also what takes its sums one after the other."""
    total = Resources()
    if isinstance(stage, flow.MvauOp) and fold.lanes_out > 1 and not groups_at_once(stage, fold):
        total = resize_cost(stream_of(stage.result), fold.lanes_out, 1)
    for result in stage.streams_out():
        total = total + stream_cost(stream_of(result), fold.lanes_out)
    return total


def describe(stage: flow.Stage) -> str:
    """A stage for people: its name and its ONNX nodes."""
    nodes = ", ".join(onnx_names(stage))
    return f"{stage.name} ({nodes})" if nodes else stage.name


def _foldings(stage: flow.Stage, beat_bits: int) -> Iterator[Folding]:
    """Every folding that a stage can have."""
    if isinstance(stage, flow.LoadOp):
        stream = stream_of(stage.result)
        per_beat = beat_bits // (32 if stream.tensor.element_type == f32 else 8)
        yield from (Folding(lanes, lanes, beat_bits) for lanes in divisors(math.gcd(stream.elements, per_beat)))
    elif isinstance(stage, flow.StoreOp):
        elements = stream_of(stage.operand).elements
        yield from (Folding(lanes, lanes, beat_bits) for lanes in divisors(math.gcd(elements, beat_bits // 32)))
    elif isinstance(stage, flow.MvauOp):
        yield from _unit_foldings(stage)
    elif isinstance(stage, flow.TopKOp):
        yield from (Folding(lanes, stage.kept) for lanes in divisors(stage.channels))
    elif isinstance(stage, flow.WindowOp):
        channels = channels_of(stream_of(stage.operand))
        yield from (Folding(lanes, lanes) for lanes in divisors(channels) if _is_whole(lanes, stage.group_channels))
    elif isinstance(stage, flow.ConcatOp):
        common = math.gcd(channels_of(stream_of(stage.lhs)), channels_of(stream_of(stage.rhs)))
        yield from (Folding(lanes, lanes) for lanes in divisors(common))
    else:
        channels = channels_of(stream_of(stage.streams_out()[0]))
        yield from (Folding(lanes, lanes) for lanes in divisors(channels))


def _is_whole(lanes: int, group: int) -> bool:
    """Whether lanes are a part of a group, or whole groups."""
    return max(lanes, group) % min(lanes, group) == 0


def _unit_foldings(stage: flow.MvauOp) -> Iterator[Folding]:
    """Parts of the vectors of a group; whole groups side by side; all of a pixel, if that can be hard-wired."""
    groups, rows, columns = stage.groups.value.data, stage.rows, stage.columns
    for simd in divisors(columns):
        yield from (Folding(simd, pe) for pe in divisors(rows) if groups > 1 or simd * pe < columns * rows)
    if groups > 1:
        channels = columns // stage.taps
        yield from (Folding(count * channels, count * rows) for count in divisors(groups))
    if can_be_hard_wired(stage):
        yield Folding(groups * columns, groups * rows)
