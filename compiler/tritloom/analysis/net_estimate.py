"""Estimate of a dataflow design on a board: cycles a frame, frames a second, resources, memory (docs/estimate.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..ir import flow
from ..ir.flow import stream_of
from ..ir.locations import onnx_names
from ..targets import Target
from .dataflow_area import Resources, control_registers
from .estimate import PAGE, ResourceUse
from .net_fit import NAMES, check_fits
from .stage_cost import Weights, cost_of, stream_cost, work_of
from .stage_traits import folding_of, kernel_of


@dataclass(frozen=True)
class StageCost:
    """One stage: its kernel, lanes in and out (SIMD and PE of a matrix-vector unit), initiations a frame, logic."""

    name: str
    kernel: str
    onnx: str
    lanes_in: int
    lanes_out: int
    cycles: int
    resources: Resources


@dataclass(frozen=True)
class NetEstimate:
    """Everything that is expected of a net on a board. No figure here is a measurement."""

    board: str
    board_title: str
    clock_mhz: float
    stages: tuple[StageCost, ...]
    cycles_per_frame: int
    latency_cycles: int
    """From the first beat of a frame to its last one out, with nothing else in the pipeline."""
    resources: tuple[ResourceUse, ...]
    contiguous_bytes: int
    """Input and output buffers of a start of `frames` frames."""
    frames: int
    label: str = "estimated"

    @property
    def frames_per_second(self) -> float:
        return self.clock_mhz * 1e6 / self.cycles_per_frame

    @property
    def slowest(self) -> StageCost:
        """The stage that sets the rate."""
        return max(self.stages, key=lambda stage: stage.cycles)

    def resource(self, name: str) -> ResourceUse:
        """Use of `lut`, `ff`, `bram36`, `uram` or `dsp`."""
        return next(use for use in self.resources if use.resource == name)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`, report.json and the manifest."""
        return {
            **dataclasses.asdict(self),
            "frames_per_second": self.frames_per_second,
            "slowest": self.slowest.name,
            "resources": [{**dataclasses.asdict(use), "share": use.share} for use in self.resources],
        }


FRAMES_A_START: Final = 256
"""Frames that the runtime sends in one start, at most."""


def estimate_net(
    stages: Sequence[flow.Stage], target: Target, frame_bytes: tuple[int, int], weights: Weights | None = None
) -> NetEstimate:
    """The figures of folded stages whose FIFOs have their depths; `frame_bytes` are those of an input and an output."""
    rows = tuple(_row(stage, weights) for stage in stages)
    total = control_registers()
    for stage, row in zip(stages, rows, strict=True):
        total = total + row.resources
        for result in stage.streams_out():
            total = total + stream_cost(stream_of(result))
    have = target.resources
    uses = tuple(ResourceUse(name, float(getattr(total, name)), float(getattr(have, name))) for name in NAMES)
    contiguous = sum(-(-size * FRAMES_A_START // PAGE) * PAGE for size in frame_bytes)
    return NetEstimate(
        board=target.name,
        board_title=target.title,
        clock_mhz=target.clock_mhz,
        stages=rows,
        cycles_per_frame=max(row.cycles for row in rows),
        latency_cycles=sum(work_of(stage).first for stage in stages) + max(row.cycles for row in rows),
        resources=uses,
        contiguous_bytes=contiguous,
        frames=FRAMES_A_START,
    )


def check_net_fits(found: NetEstimate, target: Target) -> None:
    """Check resources.

    Raises:
        InputError: names the binding resource, by how much it is exceeded, and the stage that takes most of it.
    """
    check_fits(
        {stage.name: stage.resources for stage in found.stages},
        {use.resource: use.used for use in found.resources},
        target,
        found.cycles_per_frame,
        "Ask for fewer frames a second (--target-fps), or for a larger board (`tritloom boards`).",
    )


def _row(stage: flow.Stage, weights: Weights | None) -> StageCost:
    folding = folding_of(stage)
    symbol = f" {stage.symbol}" if stage.symbol is not None else ""
    return StageCost(
        f"{stage.name.removeprefix('flow.')}{symbol}",
        kernel_of(stage),
        ", ".join(onnx_names(stage)),
        folding.lanes_in,
        folding.lanes_out,
        work_of(stage).frame,
        cost_of(stage, folding, weights),
    )
