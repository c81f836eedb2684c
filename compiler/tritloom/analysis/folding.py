"""Choose the folding of every stage: as little logic as a number of cycles a frame allows, or as fast as fits.

A stage's cycles are its initiations (II 1). Given the cycles, each stage takes the cheapest folding that keeps them, in
the order of the stream, so that what regroups the words between two stages counts too. What a frame may cost is then a
search over one number, since fewer cycles never cost less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import InputError
from ..ir import flow
from ..ir.flow import channels_of, stream_of
from ..ir.locations import onnx_names
from ..ir.mlir import SSAValue, f32
from ..targets import Target
from .dataflow_area import Resources, control_registers
from .stage_cost import cost_of, resize_cost, stream_cost, work_of
from .stage_traits import Folding, can_be_hard_wired

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


@dataclass
class Solver:
    """The foldings of a design's stages, for one board."""

    stages: Sequence[flow.Stage]
    target: Target

    def at(self, cycles: int) -> Solution:
        """The cheapest folding that takes at most so many cycles a frame.

        Raises:
            InputError: a stage cannot; it is named, with the fewest cycles that it takes.
        """
        try:
            return self._narrowest(cycles)
        except _Infeasible as error:
            rate = self.target.clock_hz / error.cycles
            raise InputError(
                f"{describe(error.stage)} takes at least {error.cycles:,} cycles a frame, {cycles:,} are wanted",
                f"At {self.target.clock_mhz:g} MHz that is {rate:,.0f} frames/s: ask for at most that, or for a smaller"
                " image or stride in the model.",
            ) from error

    def fastest(self) -> Solution:
        """The fewest cycles a frame whose logic fits the shares `FILL` of the board.

        Raises:
            InputError: not even the smallest folding fits the board; the binding resource and stage are named.
        """
        slow = self.at(max(max(work_of(stage, fold).frame for fold in self._choices(stage)) for stage in self.stages))
        if not self.fits(slow.resources, FILL):
            self.check(slow)
            return slow
        low = max(min(work_of(stage, fold).frame for fold in self._choices(stage)) for stage in self.stages)
        high, best = slow.cycles, slow
        while low < high:
            middle = (low + high) // 2
            try:
                found = self._narrowest(middle)
            except _Infeasible:
                low = middle + 1
                continue
            if self.fits(found.resources, FILL):
                best, high = found, min(middle, found.cycles)
            else:
                low = middle + 1
        return best

    def fits(self, used: Resources, shares: dict[str, float] | None = None) -> bool:
        """Whether logic stays within (a share of) the board's."""
        have = self.target.resources
        return all(
            getattr(used, name) <= getattr(have, name) * (shares[name] if shares else 1.0)
            for name in ("lut", "ff", "dsp", "bram36", "uram")
        )

    def check(self, solution: Solution) -> None:
        """Refuse a design that is larger than the board.

        Raises:
            InputError: with the binding resource, by how much it is exceeded, and the stage that takes most of it.
        """
        have, used = self.target.resources, solution.resources
        names = ("lut", "ff", "dsp", "bram36", "uram")
        worst = max(names, key=lambda name: getattr(used, name) / max(getattr(have, name), 0.5))
        need, given = getattr(used, worst), getattr(have, worst)
        if need <= given:
            return
        largest = max(self.stages, key=lambda stage: float(getattr(cost_of(stage, solution.foldings[stage]), worst)))
        share = getattr(cost_of(largest, solution.foldings[largest]), worst)
        over = f" ({(need - given) * 36 * 1024:,.0f} bits too many)" if worst == "bram36" else ""
        raise InputError(
            f"does not fit {self.target.name}: {worst} {need:,.0f} of {given:,}{over} at {solution.cycles:,} cycles"
            f" a frame (estimated); {describe(largest)} takes {share:,.0f}",
            "Ask for fewer frames a second, for a larger board (`tritloom boards`), or compile without --target-fps.",
        )

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
        total = control_registers()
        for stage in self.stages:
            possible = _kept(stage, self._choices(stage, beat_bits), lanes)
            choices = [fold for fold in possible if work_of(stage, fold).frame <= cycles]
            if not choices:
                raise _Infeasible(stage, min(work_of(stage, fold).frame for fold in possible))
            costs = [
                cost_of(stage, fold) + _fifos(stage, fold) + self._regrouping(stage, fold, lanes) for fold in choices
            ]
            best = min(range(len(choices)), key=lambda i: self._price(costs[i]))
            foldings[stage] = choices[best]
            total = total + cost_of(stage, choices[best]) + self._regrouping(stage, choices[best], lanes)
            for result in stage.streams_out():
                total = total + stream_cost(stream_of(result), choices[best].lanes_out)
            for result in stage.streams_out():
                lanes[result] = choices[best].lanes_out
        slowest = max(work_of(stage, fold).frame for stage, fold in foldings.items())
        return Solution(foldings, slowest, total)

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

    def _choices(self, stage: flow.Stage, beat_bits: int = flow.BEATS[-1]) -> list[Folding]:
        return list(_choices(stage, beat_bits))


def _kept(stage: flow.Stage, choices: list[Folding], lanes: dict[SSAValue, int]) -> list[Folding]:
    """The choices that leave the order of words alone: windows with channels first cannot be regrouped."""
    if isinstance(stage, flow.VvauOp | flow.PoolOp) and isinstance(stage.operand.owner, flow.WindowOp):
        return [fold for fold in choices if fold.lanes_in == lanes[stage.operand]]
    return choices


def _fifos(stage: flow.Stage, fold: Folding) -> Resources:
    """FIFOs behind a stage; behind a matrix-vector unit also what takes its sums one after the other."""
    total = Resources()
    if isinstance(stage, flow.MvauOp) and fold.lanes_out > 1:
        total = resize_cost(stream_of(stage.result), fold.lanes_out, 1)
    for result in stage.streams_out():
        total = total + stream_cost(stream_of(result), fold.lanes_out)
    return total


def describe(stage: flow.Stage) -> str:
    """A stage for people: its name and its ONNX nodes."""
    nodes = ", ".join(onnx_names(stage))
    return f"{stage.name} ({nodes})" if nodes else stage.name


def _choices(stage: flow.Stage, beat_bits: int) -> Iterator[Folding]:
    """Every folding that a stage can have."""
    if isinstance(stage, flow.LoadOp):
        stream = stream_of(stage.result)
        per_beat = beat_bits // (32 if stream.tensor.element_type == f32 else 8)
        yield from (Folding(lanes, lanes, beat_bits) for lanes in divisors(math.gcd(stream.elements, per_beat)))
    elif isinstance(stage, flow.StoreOp):
        elements = stream_of(stage.operand).elements
        yield from (Folding(lanes, lanes, beat_bits) for lanes in divisors(math.gcd(elements, beat_bits // 32)))
    elif isinstance(stage, flow.MvauOp):
        for simd in divisors(stage.columns):
            yield from (Folding(simd, pe) for pe in divisors(stage.rows) if _is_offered(stage, simd, pe))
    elif isinstance(stage, flow.ConcatOp):
        common = math.gcd(channels_of(stream_of(stage.lhs)), channels_of(stream_of(stage.rhs)))
        yield from (Folding(lanes, lanes) for lanes in divisors(common))
    else:
        stream = stream_of(stage.streams_in()[0] if isinstance(stage, flow.WindowOp) else stage.streams_out()[0])
        yield from (Folding(lanes, lanes) for lanes in divisors(channels_of(stream)))


def _is_offered(stage: flow.MvauOp, simd: int, pe: int) -> bool:
    """A vector a cycle is for matrices that can be hard-wired."""
    return can_be_hard_wired(stage) or simd * pe < stage.columns * stage.rows
