"""Grouped convolutions: every form of the unit gives the interpreter's numbers, in the initiations that it should."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.nets import Emulated, NetBuilder, design_of, lower
from tritloom.analysis.stage_cost import work_of
from tritloom.backend.flow_design import FlowDesign, Stage
from tritloom.ir import tern
from tritloom.ir.interpreter.net import NetInterpreter, net_of
from tritloom.ir.tern import Window
from tritloom.passes.stages import flow_stages

FRAMES = 3
# A library takes seconds to compile, and there is nothing to shrink.
FEW = settings(max_examples=4, deadline=None, phases=[Phase.generate], print_blob=True)


@dataclass(frozen=True)
class Shape:
    """A convolution of `groups` groups of `channels` channels and `filters` filters each, at a frame rate."""

    groups: int
    channels: int
    filters: int
    window: Window
    size: tuple[int, int]
    fps: int | None


def checked(shape: Shape, folder: Path, flavours: tuple[str, ...] = ("fast", "bounded")) -> FlowDesign:
    """The design of a net with that convolution, which was run."""
    net = NetBuilder((*shape.size, shape.groups * shape.channels), tern.integer_type(8, signed=False), seed=1)
    codes = net.requantize(net.input, bits=3, signed=True)
    filters = shape.groups * shape.filters
    sums = net.conv(codes, filters, shape.window, groups=shape.groups)
    module = net.finish(net.dense(net.requantize(sums, bits=2), 3))
    frames = net.frames(FRAMES)
    wanted = NetInterpreter(module, net.store).run({"x": frames})["y"]
    lower(module, net.store, board="zcu104", fps=shape.fps)
    assert np.array_equal(NetInterpreter(module, net.store).run({"x": frames})["y"], wanted)
    lowered, design = net_of(module), design_of(module, net.store)
    assert lowered is not None
    for flavour in flavours:
        sums_found, counts = Emulated.build(folder / flavour, design, flavour).run(frames)
        assert np.array_equal(sums_found[:, :3], wanted), (shape, flavour)
        if flavour == "fast":
            assert list(counts.values()) == [work_of(stage).of(FRAMES) for stage in flow_stages(lowered)]
    return design


def unit_of(design: FlowDesign) -> Stage:
    """The convolution: the first unit of the design."""
    return next(stage for stage in design.stages if stage.kernel in ("mvau", "vvau", "hard_wired"))


THREE = Window([3, 3], [1, 1], [1, 1, 1, 1], [1, 1])
ONE = Window([1, 1], [1, 1], [0] * 4, [1, 1])


@pytest.mark.parametrize(
    ("shape", "kernel", "traits"),
    [
        (Shape(2, 4, 6, THREE, (6, 5), 2_000), "mvau", {"GROUPS": 2, "INPUTS": 36, "OUTPUTS": 6}),
        (Shape(4, 2, 3, THREE, (6, 5), None), "vvau", {"GROUPS": 4, "PE": 4, "INPUTS": 2, "OUTPUTS": 3}),
        (Shape(4, 2, 3, ONE, (6, 5), 10_000), "mvau", {"GROUPS": 4, "INPUTS": 2, "OUTPUTS": 3}),
        (Shape(4, 2, 3, ONE, (6, 5), None), "hard_wired", {"INPUTS": 8, "OUTPUTS": 12}),
        # Depthwise with two filters a channel, in turn and side by side.
        (Shape(5, 1, 2, THREE, (6, 5), 2_000), "mvau", {"GROUPS": 5, "INPUTS": 9, "OUTPUTS": 2}),
        (Shape(5, 1, 2, THREE, (6, 5), None), "vvau", {"GROUPS": 5, "PE": 5, "INPUTS": 1, "OUTPUTS": 2}),
    ],
)
def test_each_form_of_the_unit(shape: Shape, kernel: str, traits: dict[str, int], tmp_path: Path) -> None:
    unit = unit_of(checked(shape, tmp_path))
    assert unit.kernel == kernel
    assert {name: unit.traits[name] for name in traits} == traits


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    groups, channels, filters = (draw(st.integers(low, 4)) for low in (2, 1, 1))
    axes, sizes = [], []
    for _ in range(2):
        kernel, stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        pads = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        span = (kernel - 1) * dilation + 1
        sizes.append(draw(st.integers(max(1, span - sum(pads)), 6)))
        axes.append((kernel, stride, pads, dilation))
    (ky, sy, (top, bottom), dy), (kx, sx, (left, right), dx) = axes
    window = Window([ky, kx], [sy, sx], [top, left, bottom, right], [dy, dx])
    fps = draw(st.sampled_from([1_000, 100_000, 400_000, None]))
    return Shape(groups, channels, filters, window, (sizes[0], sizes[1]), fps)


@FEW
@given(shape=shapes())
def test_shapes(shape: Shape) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checked(shape, Path(folder))


@pytest.mark.long
@settings(FEW, max_examples=40)
@given(shape=shapes())
def test_more_shapes(shape: Shape) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checked(shape, Path(folder), ("fast", "bounded"))
