"""Choose how parallel each stage is, and regroup words where two stages differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ..analysis.folding import Solution, Solver, steps_between
from ..analysis.stage_traits import Folding
from ..errors import InputError
from ..ir import flow
from ..ir.flow import stream_of
from ..ir.mlir import Context, IntegerAttr, ModuleOp, ModulePass, Operation, SSAValue, i64
from .context import compiler_context
from .refold import rebuild, set_lanes, with_results
from .stages import flow_stages, need_stages


def _folded(stage: flow.Stage, operands: list[SSAValue], folding: Folding) -> list[Operation]:
    """A stage at its folding, behind what regroups its operands' words."""
    made: list[Operation] = []
    regrouped: list[SSAValue] = []
    for operand in operands:
        value = operand
        if isinstance(operand.type, flow.StreamType):
            for lanes in steps_between(stream_of(operand).lanes.data, folding.lanes_in):
                resize = flow.ResizeOp(value, lanes)
                resize.location = stage.location
                made.append(resize)
                value = resize.result
        regrouped.append(value)
    types = [
        set_lanes(result, folding.lanes_out) if isinstance(result.type, flow.StreamType) else result.type
        for result in stage.results
    ]
    folded = with_results(stage, regrouped, types)
    if isinstance(folded, flow.LoadOp | flow.StoreOp):
        folded.properties["beat_bits"] = IntegerAttr(folding.beat_bits, i64)
    return [*made, folded]


@dataclass(frozen=True)
class Fold(ModulePass):
    """Choose PE, SIMD and lanes of every stage for a frame rate, or as fast as fits the board.

    Before:
        %s = flow.mvau %x @fc : !flow.stream<tensor<784xui8>, lanes = 1, ...> -> ...
    After:
        %w = flow.resize %x : ... -> !flow.stream<tensor<784xui8>, lanes = 112, ...>
        %s = flow.mvau %w @fc : ... -> !flow.stream<tensor<256xsi18>, lanes = 2, ...>
    """

    fps: int | None = None
    """Frames a second; without it the design is as fast as fits."""

    name: ClassVar[str] = "fold"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = compiler_context(ctx)
        target = context.need_target(self.name)
        net = need_stages(op, self.name)
        if any(isinstance(stage, flow.ResizeOp) for stage in flow_stages(net)):
            raise InputError("the stages are folded already", "Run 'fold' on the result of 'to-dataflow'.")
        foldings = self._solution(Solver(flow_stages(net), target, context.weights(op))).foldings

        def make(old: Operation, operands: list[SSAValue]) -> list[Operation]:
            if isinstance(old, flow.Stage):
                return _folded(old, operands, foldings[old])
            return [with_results(old, operands, [result.type for result in old.results])]

        rebuild(net, make)

    def _solution(self, solver: Solver) -> Solution:
        if self.fps is None:
            return solver.fastest()
        if self.fps < 1:
            raise InputError(f"{self.fps} frames/s", "Give a positive number of frames a second.")
        solution = solver.at(max(1, math.floor(solver.target.clock_hz / self.fps)))
        solver.check(solution)
        return solution
