"""Interpreter = C simulation, bit for bit; the passes change no number; initiations are those that were estimated."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.nets import Emulated, NetBuilder, design_of, lower, residual_net, square
from tritloom.analysis.stage_cost import work_of
from tritloom.ir import flow, tern
from tritloom.ir.interpreter.net import NetInterpreter, net_of
from tritloom.ir.mlir import ModuleOp, VerifyException
from tritloom.ir.steps import StepFunction, uniform
from tritloom.ir.tern import Window
from tritloom.passes.refold import set_lanes, with_results
from tritloom.passes.stages import flow_stages

FRAMES = 6


def mlp() -> tuple[NetBuilder, ModuleOp]:
    net = NetBuilder((49,), tern.integer_type(8, signed=False))
    hidden = net.requantize(net.dense(net.input, 24), bits=4)
    hidden = net.requantize(net.dense(hidden, 16), bits=1)
    return net, net.finish(net.dense(hidden, 10))


def sequence() -> tuple[NetBuilder, ModuleOp]:
    net = NetBuilder((1, 23, 4), tern.integer_type(8, signed=True))
    window = Window([1, 5], [1, 2], [0, 3, 0, 1], [1, 1])
    codes = net.requantize(net.conv(net.input, 6, window), bits=3, signed=True)
    codes = net.requantize(net.conv(codes, 6, Window([1, 3], [1, 1], [0, 2, 0, 2], [1, 2])), bits=2)
    return net, net.finish(net.dense(net.pool(codes, tern.Pooling.SUM, Window([1, 12], [1, 1], [0] * 4, [1, 1])), 3))


def branches() -> tuple[NetBuilder, ModuleOp]:
    """Odd sizes, strides, dilation, groups, a concatenation, a sum, a skip around two convolutions."""
    net = NetBuilder((9, 7, 2), seed=4)
    codes = net.quantize(net.input, bits=4)
    wide = net.requantize(net.conv(codes, 6, Window([3, 2], [2, 1], [1, 1, 0, 0], [1, 2])), bits=2)
    left = net.requantize(net.conv(wide, 6, square(3, pad=1), groups=2), bits=2)
    right = net.requantize(net.conv(wide, 6, square(1)), bits=2)
    summed = net.add(tern.SumOp(left, right))
    joined = net.add(tern.ConcatOp([net.requantize(summed, bits=2), wide]))
    skip = net.conv(net.requantize(net.conv(joined, 12, square(3, pad=1)), bits=2), 12, square(3, pad=1), groups=12)
    out = net.requantize(skip, joined, bits=3, channelwise=False)
    pooled = net.pool(out, tern.Pooling.MAX, square(3, stride=2, pad=1))
    return net, net.finish(net.requantize(net.conv(pooled, 4, square(2)), bits=5, signed=True))


def power_of_two_residual() -> tuple[NetBuilder, ModuleOp]:
    """A residual sum on scales of powers of two: every other sum is a tie, which half to even does not round evenly."""
    net = NetBuilder((5, 5, 4), tern.integer_type(8, signed=False), seed=9)
    codes = net.requantize(net.input, bits=4)
    branch = net.requantize(net.conv(codes, 4, square(3, pad=1)), bits=4)
    steps = StepFunction(((Fraction(1, 4),), (Fraction(1, 2),)), (Fraction(0),), (uniform(0, 7),), 0)
    joined = net.add(tern.RequantizeOp([branch, codes], net.steps(steps), tern.integer_type(3, signed=False)))
    return net, net.finish(net.dense(joined, 5))


NETS = {"ties": power_of_two_residual, "mlp": mlp, "sequence": sequence, "residual": residual_net, "branches": branches}


@pytest.mark.parametrize("name", NETS)
def test_the_emulated_kernel_equals_the_interpreter(name: str, tmp_path: Path) -> None:
    net, module = NETS[name]()
    frames = net.frames(FRAMES)
    wanted = NetInterpreter(module, net.store).run({"x": frames})["y"]
    assert len(np.unique(wanted)) > 2
    lower(module, net.store)
    assert np.array_equal(NetInterpreter(module, net.store).run({"x": frames})["y"], wanted)

    design = design_of(module, net.store)
    lowered = net_of(module)
    assert lowered is not None
    for flavour in ("fast", "bounded"):
        sums, counts = Emulated.build(tmp_path / flavour, design, flavour).run(frames)
        assert np.array_equal(sums[:, : wanted[0].size].reshape(wanted.shape), wanted), flavour
        if flavour == "fast":
            expected = [work_of(stage).of(FRAMES) for stage in flow_stages(lowered)]
            assert list(counts.values()) == expected


def test_every_folding_gives_the_same_numbers(tmp_path: Path) -> None:
    net, module = residual_net()
    frames = net.frames(3)
    wanted = NetInterpreter(module, net.store).run({"x": frames})["y"]
    seen = set()
    for index, fps in enumerate((1_000, 20_000, 60_000)):
        folded = module.clone()
        lower(folded, net.store, fps=fps)
        design = design_of(folded, net.store)
        seen.add(tuple(stream.lanes for stream in design.streams))
        sums, _ = Emulated.build(tmp_path / str(index), design, "fast").run(frames)
        assert np.array_equal(sums[:, :10], wanted)
    assert len(seen) == 3


def test_the_words_of_windows_of_several_groups_are_not_regrouped() -> None:
    """A depthwise product takes its windows channels by channels: with other lanes they would come in another order."""
    net = NetBuilder((8, 8, 32), tern.integer_type(8, signed=False))
    module = net.finish(net.requantize(net.conv(net.input, 32, square(3, pad=1), groups=32), bits=4))
    lower(module, net.store, board="zcu104")
    window = next(op for op in module.walk() if isinstance(op, flow.WindowOp))
    lanes = flow.stream_of(window.result).lanes.data
    assert lanes > 1
    resize = flow.ResizeOp(window.result, lanes // 2)
    unit = next(op for op in module.walk() if isinstance(op, flow.MvauOp))
    wrong = with_results(unit, [resize.result], [set_lanes(unit.result, lanes // 2)])
    block = unit.parent_block()
    assert block is not None
    block.insert_ops_before([resize, wrong], unit)
    with pytest.raises(VerifyException, match="the words of windows of several groups cannot be regrouped"):
        module.verify()


def test_a_net_as_fast_as_fits_is_hard_wired(tmp_path: Path) -> None:
    """Its layers are adders, and give the numbers and the initiations of the interpreter and the estimate."""
    net = NetBuilder((16,), tern.integer_type(8, signed=False), seed=2)
    module = net.finish(net.dense(net.requantize(net.dense(net.input, 12), bits=2), 4))
    frames = net.frames(FRAMES)
    wanted = NetInterpreter(module, net.store).run({"x": frames})["y"]
    lower(module, net.store)
    lowered = net_of(module)
    assert lowered is not None
    design = design_of(module, net.store)
    assert [stage.kernel for stage in design.stages].count("hard_wired") == 2
    for flavour in ("fast", "bounded"):
        sums, counts = Emulated.build(tmp_path / flavour, design, flavour).run(frames)
        assert np.array_equal(sums[:, : wanted[0].size].reshape(wanted.shape), wanted), flavour
        assert list(counts.values()) == [work_of(stage).of(FRAMES) for stage in flow_stages(lowered)]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("fps", [None, 20_000])
def test_the_best_channels_of_every_pixel(fps: int | None, last: bool, tmp_path: Path) -> None:
    """Few values, so that many keys are equal; a channel a cycle, or several."""
    net = NetBuilder((4, 4, 2), tern.integer_type(8, signed=False), seed=6)
    best = net.top_k(net.requantize(net.conv(net.input, 12, square(3, pad=1)), bits=4), 3, last=last, biased=not last)
    module = net.returning(indices=best.indices, sums=net.scores(best.sums))
    frames = net.frames(FRAMES)
    wanted = NetInterpreter(module, net.store).run({"x": frames})
    assert len(np.unique(wanted["indices"])) > 6
    lower(module, net.store, fps=fps)
    compiled = NetInterpreter(module, net.store).run({"x": frames})
    assert all(np.array_equal(compiled[name], wanted[name]) for name in wanted)

    lowered = net_of(module)
    assert lowered is not None
    (stage,) = (stage for stage in flow_stages(lowered) if isinstance(stage, flow.TopKOp))
    assert (flow.stream_of(stage.operand).lanes.data > 1) == (fps is None)
    for flavour in ("fast", "bounded"):
        words, counts = Emulated.build(tmp_path / flavour, design_of(module, net.store), flavour).run(frames)
        pairs = words[:, : 16 * 6].reshape(FRAMES, 4, 4, 3, 2)
        assert np.array_equal(pairs[..., 0], wanted["indices"]), flavour
        assert np.array_equal(pairs[..., 1], wanted["sums"]), flavour
        if flavour == "fast":
            assert list(counts.values()) == [work_of(stage).of(FRAMES) for stage in flow_stages(lowered)]


def test_a_ranking_costs_the_rate_nothing() -> None:
    """As fast as fits: what leaves the chip is less, so the whole is no slower than with all scores."""
    cycles = []
    for ranked in (False, True):
        net = NetBuilder((16,), tern.integer_type(8, signed=False), seed=2)
        sums = net.dense(net.requantize(net.dense(net.input, 12), bits=2), 10)
        module = net.returning(label=net.top_k(sums, 1).indices) if ranked else net.finish(sums)
        lower(module, net.store)
        lowered = net_of(module)
        assert lowered is not None
        cycles.append(max(work_of(stage).frame for stage in flow_stages(lowered)))
    assert cycles[1] <= cycles[0]
