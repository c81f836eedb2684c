"""FIFO depths: at the least depth a design runs, one word shorter it deadlocks, and the streams are named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.nets import Emulated, NetBuilder, design_of, lower, residual_net, square
from tritloom.analysis.stream_depths import depths
from tritloom.backend.flow_design import FlowDesign
from tritloom.ir import tern
from tritloom.ir.interpreter.net import NetInterpreter, net_of
from tritloom.ir.mlir import ModuleOp
from tritloom.passes.stages import flow_stages


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


def at_least_depth(module: ModuleOp, design: FlowDesign, shorter: int) -> tuple[FlowDesign, str]:
    """The design with every FIFO at its least depth, the deepest one `shorter` words below it, and that one's name."""
    net = net_of(module)
    assert net is not None
    stages = flow_stages(net)
    found = depths(stages)
    values = [value for stage in stages for value in stage.streams_out()]
    least = {stream.name: found[value].least for stream, value in zip(design.streams, values, strict=True)}
    deepest = max(least, key=lambda name: least[name])
    least[deepest] -= shorter
    streams = tuple(dataclasses.replace(stream, depth=least[stream.name]) for stream in design.streams)
    return dataclasses.replace(design, streams=streams), deepest


@pytest.mark.parametrize("make", [residual_net, two_skips, two_blocks])
@pytest.mark.parametrize("fps", [1_000, 40_000])
def test_the_least_depth_is_the_least(make, fps: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, module = make()
    frames = net.frames(3)
    wanted = NetInterpreter(module, net.store).run({"x": frames})["y"]
    lower(module, net.store, fps=fps)
    design = design_of(module, net.store)

    enough, skip = at_least_depth(module, design, shorter=0)
    sums, _ = Emulated.build(tmp_path / "enough", enough, "bounded").run(frames)
    assert np.array_equal(sums[:, : wanted.shape[1]], wanted)

    short, _ = at_least_depth(module, design, shorter=1)
    with pytest.raises(RuntimeError, match=f"stream {skip} is full"):
        Emulated.build(tmp_path / "short", short, "bounded").run(frames)
