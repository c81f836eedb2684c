"""FIFO depths: at the least depths a design runs, and one of them a word shorter it deadlocks and the stream is named.

In the bounded simulation, where a window reads as late as the hardware may.
"""

from __future__ import annotations

import ctypes
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.nets import Emulated, NetBuilder, design_of, lower, residual_net, square
from support.skips import SkipNet, skip_nets
from tritloom.analysis.stream_depths import SLACK, Depth, depths
from tritloom.analysis.stream_reads import words_read
from tritloom.analysis.stream_ways import Way
from tritloom.backend.flow_design import FlowDesign
from tritloom.ir import flow, tern
from tritloom.ir.interpreter.net import NetInterpreter, net_of
from tritloom.ir.mlir import ModuleOp
from tritloom.ir.tern import Window
from tritloom.passes.stages import flow_stages

FRAMES = 3
# A library takes seconds to compile, and there is nothing to shrink.
FEW = settings(max_examples=6, deadline=None, phases=[Phase.generate], print_blob=True)
RATES = st.sampled_from([1_000, 20_000, 60_000])
_EXPORTED = '__attribute__((visibility("default")))'


@dataclass
class Adjustable:
    """A design whose FIFO depths are set at run time."""

    names: list[str]
    kernel: Emulated
    depths: ctypes.Array[ctypes.c_uint]

    @staticmethod
    def build(design: FlowDesign, folder: Path) -> Adjustable:
        names = [stream.name for stream in design.streams]

        def adjustable(top: str) -> str:
            for number, name in enumerate(names):
                top, count = re.subn(rf"(TRITLOOM_STREAM\(\w+, {name}), \d+\)", rf"\1, test_depths[{number}])", top)
                assert count == 1
            array = f'extern "C" {{ {_EXPORTED} unsigned test_depths[{len(names)}]; }}'
            return top.replace('#include "top.h"', f'#include "top.h"\n{array}')

        kernel = Emulated.build(folder, design, "bounded", adjustable)
        return Adjustable(names, kernel, (ctypes.c_uint * len(names)).in_dll(kernel.library, "test_depths"))

    def run(self, depths: dict[str, int], frames: np.ndarray) -> np.ndarray:
        """The sums; RuntimeError if it deadlocks."""
        for number, name in enumerate(self.names):
            self.depths[number] = depths[name]
        return self.kernel.run(frames)[0]


def depths_of(module: ModuleOp, design: FlowDesign) -> dict[str, Depth]:
    """By the names of the streams."""
    net = net_of(module)
    assert net is not None
    stages = flow_stages(net)
    found = depths(stages)
    values = [value for stage in stages for value in stage.streams_out()]
    return {stream.name: found[value] for stream, value in zip(design.streams, values, strict=True)}


def check(net: NetBuilder, module: ModuleOp, fps: int, folder: Path) -> dict[str, Depth]:
    """Runs a net at its least depths, and with each of them a word shorter."""
    frames = net.frames(FRAMES)
    wanted = NetInterpreter(module, net.store).run({"x": frames})["y"]
    lower(module, net.store, board="zcu104", fps=fps)
    design = design_of(module, net.store)
    found = depths_of(module, design)
    least = {name: depth.least for name, depth in found.items()}
    kernel = Adjustable.build(design, folder)
    assert np.array_equal(kernel.run(least, frames)[:, : wanted.shape[1]], wanted)
    for name, depth in found.items():
        assert depth.words >= depth.least + SLACK or depth.least == 1
        if depth.least > 1:
            with pytest.raises(RuntimeError, match=f"stream {name} is full"):
                kernel.run(least | {name: depth.least - 1}, frames)
    return found


def two_skips() -> tuple[NetBuilder, ModuleOp]:
    """A skip around a strided pair of convolutions whose own branch regroups words."""
    net = NetBuilder((6, 6, 4), tern.integer_type(8, signed=False), seed=2)
    codes = net.requantize(net.input, bits=2)
    branch = net.requantize(net.conv(codes, 4, square(3, pad=1)), bits=2)
    branch = net.conv(branch, 4, square(3, pad=1))
    return net, net.finish(net.dense(net.requantize(branch, codes, bits=2), 3))


def two_blocks() -> tuple[NetBuilder, ModuleOp]:
    """A fork whose both branches lead to a second fork, with strides in between."""
    net = NetBuilder((8, 8, 4), tern.integer_type(8, signed=False), seed=3)
    codes = net.requantize(net.input, bits=2)
    for stride in (2, 1):
        branch = net.requantize(net.conv(codes, 4, square(3, stride=stride, pad=1)), bits=2)
        skip = net.requantize(net.conv(codes, 4, square(1, stride=stride)), bits=2) if stride > 1 else codes
        codes = net.requantize(branch, skip, bits=2)
    return net, net.finish(net.dense(codes, 3))


def crossing() -> tuple[NetBuilder, ModuleOp]:
    """Two joins, each of which waits for a fork that the other's full FIFO stops."""
    net = NetBuilder((5, 4, 2), tern.integer_type(8, signed=False), seed=4)
    codes = net.requantize(net.input, bits=2)
    slow = net.requantize(net.conv(codes, 2, square(3, pad=1)), bits=2)
    quick = net.requantize(net.conv(codes, 2, square(1)), bits=2)
    first = net.requantize(quick, codes, bits=2)
    second = net.requantize(net.add(tern.SumOp(net.requantize(slow, codes, bits=2), quick)), bits=2)
    return net, net.finish(net.dense(net.requantize(first, second, bits=2), 3))


def pools() -> tuple[NetBuilder, ModuleOp]:
    """Pools of a whole image beside each other, one behind a convolution: they write while the last pixel comes in."""
    net = NetBuilder((4, 4, 4), tern.integer_type(8, signed=False), seed=5)
    codes = net.requantize(net.input, bits=2)
    whole = Window([4, 4], [1, 1], [0] * 4, [1, 1])
    largest = net.pool(codes, tern.Pooling.MAX, whole)
    sums = net.pool(net.requantize(net.conv(codes, 4, square(3, pad=1)), bits=2), tern.Pooling.SUM, whole)
    return net, net.finish(net.dense(net.requantize(net.requantize(sums, bits=2), largest, bits=2), 3))


def windows_beside_windows() -> tuple[NetBuilder, ModuleOp]:
    """A convolution beside two: its windows wait with their rows, and have read no more."""
    net = NetBuilder((5, 5, 4), tern.integer_type(8, signed=False), seed=6)
    codes = net.requantize(net.input, bits=2)
    slow = net.requantize(net.conv(codes, 4, square(3, pad=1)), bits=2)
    slow = net.requantize(net.conv(slow, 4, square(3, pad=1), groups=2), bits=2)
    return net, net.finish(net.dense(net.requantize(slow, net.conv(codes, 4, square(3, pad=1), groups=4), bits=2), 3))


def shared_skip() -> tuple[NetBuilder, ModuleOp]:
    """A sum that two later joins take: the one that is stopped stops the fork of the sum, and so the other."""
    net = NetBuilder((5, 4, 2), tern.integer_type(8, signed=False), seed=7)
    codes = net.requantize(net.input, bits=2)
    one = net.requantize(net.conv(codes, 2, square(3, pad=1)), bits=2)
    summed = net.requantize(codes, one, bits=2)
    two, three = (net.requantize(net.conv(one, 2, square(3, pad=1)), bits=2) for _ in range(2))
    four = net.requantize(net.conv(one, 2, square(3, pad=2, dilation=2)), bits=2)
    left = net.requantize(three, net.requantize(two, summed, bits=2), bits=2)
    return net, net.finish(net.dense(net.requantize(left, net.requantize(four, summed, bits=2), bits=2), 3))


NETS = [residual_net, two_skips, two_blocks, crossing, shared_skip, pools, windows_beside_windows]


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("fps", [1_000, 40_000])
def test_the_least_depth_is_the_least(make, fps: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert any(depth.least > 1 for depth in check(*make(), fps, tmp_path).values())


def holding_nothing(way: Way, written: np.ndarray) -> np.ndarray:
    """As `Way.room`, of pipelines of a single clock: a stage that cannot write a word has not read for it either. Only
    a window has, since its rows come in before."""
    for stage in way.between:
        written = words_read(stage, 0, written) + isinstance(stage, flow.WindowOp)
    return written


@settings(FEW, max_examples=25)
@given(drawn=skip_nets(), fps=RATES)
def test_what_is_built_is_enough_for_stages_that_hold_nothing(drawn: SkipNet, fps: int) -> None:
    lower(drawn.module, drawn.net.store, board="zcu104", fps=fps)
    net = net_of(drawn.module)
    assert net is not None
    built = depths(flow_stages(net))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Way, "room", holding_nothing)
        least = depths(flow_stages(net))
    assert all(built[value].words >= least[value].least for value in built)


@FEW
@given(drawn=skip_nets(), fps=RATES)
def test_nets_with_skips(drawn: SkipNet, fps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(drawn.net, drawn.module, fps, Path(folder))


@pytest.mark.long
@settings(FEW, max_examples=80)
@given(drawn=skip_nets(), fps=RATES)
def test_more_nets_with_skips(drawn: SkipNet, fps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(drawn.net, drawn.module, fps, Path(folder))
