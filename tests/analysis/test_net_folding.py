"""The solver that folds a net's stages: what it promises of any design it returns, and what it says when it cannot."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache, partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nets import NetBuilder, lower, residual_net, square
from tritloom.analysis.dataflow_area import Resources, control_registers
from tritloom.analysis.folding import FILL, Solution, Solver, divisors, steps_between
from tritloom.analysis.net_estimate import check_net_fits, estimate_net
from tritloom.analysis.net_fit import BRAM36_BITS, boards_that_hold, fits
from tritloom.analysis.stage_cost import Weights, cost_of, resize_cost, stream_cost, work_of
from tritloom.errors import InputError
from tritloom.ir import flow, tern
from tritloom.ir.flow import channels_of, stream_of
from tritloom.ir.interpreter.net import net_of
from tritloom.ir.mlir import ModuleOp
from tritloom.ir.store import WeightStore
from tritloom.passes import CompilerContext, net_passes, run_passes
from tritloom.passes.stages import flow_stages
from tritloom.targets import load_target


def perceptron(*sizes: int) -> tuple[NetBuilder, ModuleOp]:
    net = NetBuilder((sizes[0],), tern.integer_type(8, signed=False))
    value = net.input
    for size in sizes[1:-1]:
        value = net.requantize(net.dense(value, size), bits=2)
    return net, net.finish(net.dense(value, sizes[-1]))


def depthwise() -> tuple[NetBuilder, ModuleOp]:
    net = NetBuilder((12, 12, 6), tern.integer_type(8, signed=False))
    codes = net.requantize(net.conv(net.input, 6, square(3, pad=1), groups=6), bits=4)
    codes = net.pool(net.requantize(net.conv(codes, 20, square(1)), bits=2), tern.Pooling.MAX, square(2, stride=2))
    return net, net.finish(net.dense(net.requantize(net.conv(codes, 9, square(6)), bits=4), 5))


def grouped() -> tuple[NetBuilder, ModuleOp]:
    net = NetBuilder((9, 9, 12), tern.integer_type(8, signed=False))
    codes = net.requantize(net.conv(net.input, 24, square(3, pad=1), groups=3), bits=4)
    codes = net.requantize(net.conv(codes, 16, square(1), groups=4), bits=4)
    return net, net.finish(net.dense(net.requantize(net.conv(codes, 32, square(3, stride=2), groups=16), bits=2), 5))


NETS = {
    "grouped": grouped,
    "perceptron": lambda: perceptron(784, 96, 60, 10),
    "residual": residual_net,
    "depthwise": depthwise,
}


@cache
def built(name: str) -> tuple[WeightStore, ModuleOp]:
    """A net as stages of one lane."""
    net, module = NETS[name]()
    return net.store, to_stages(net, module)


def to_stages(net: NetBuilder, module: ModuleOp) -> ModuleOp:
    passes = net_passes()
    before = passes[: [each.name for each in passes].index("fold")]
    run_passes(module, before, CompilerContext(store=net.store, target=load_target("pynq-z2")))
    return module


def solver(name: str, board: str = "pynq-z2") -> Solver:
    """With the trits of the net."""
    store, module = built(name)
    return solver_of(module, board, partial(store.matrix, module))


def solver_of(module: ModuleOp, board: str = "pynq-z2", weights: Weights | None = None) -> Solver:
    net = net_of(module)
    assert net is not None
    return Solver(flow_stages(net), load_target(board), weights)


def minimum(found: Solver) -> int:
    """The fewest cycles that any folding takes, by bisection: `at` refuses anything less."""
    low, high = 1, found.fastest().cycles
    while low < high:
        middle = (low + high) // 2
        try:
            found.at(middle)
            high = middle
        except InputError:
            low = middle + 1
    return low


def total(found: Solver, solution: Solution) -> Resources:
    """All the logic, summed once more from the foldings alone."""
    used = control_registers()
    lanes = {r: f.lanes_out for stage, f in solution.foldings.items() for r in stage.streams_out()}
    for stage, folding in solution.foldings.items():
        used = used + cost_of(stage, folding, found.weights)
        for value in stage.streams_in():
            at = lanes[value]
            for step in steps_between(at, folding.lanes_in):
                used = used + resize_cost(stream_of(value), at, step) + stream_cost(stream_of(value), step)
                at = step
        for value in stage.streams_out():
            used = used + stream_cost(stream_of(value), folding.lanes_out)
    return used


@given(st.integers(1, 5000))
def test_divisors_are_all_of_them(number: int) -> None:
    assert divisors(number) == [d for d in range(1, number + 1) if number % d == 0]


@given(st.integers(1, 512), st.integers(1, 512))
def test_words_are_regrouped_between_multiples_only(lanes_in: int, lanes_out: int) -> None:
    at = lanes_in
    for step in steps_between(lanes_in, lanes_out):
        assert step != at
        assert max(at, step) % min(at, step) == 0
        at = step
    assert at == lanes_out


@pytest.mark.parametrize("name", NETS)
@settings(deadline=None, max_examples=25)
@given(factor=st.floats(1, 4000))
def test_a_solution_keeps_its_promises(name: str, factor: float) -> None:
    found = solver(name)
    cycles = int(fewest(name) * factor)
    solution = found.at(cycles)
    assert list(solution.foldings) == list(found.stages)
    assert solution.cycles == max(work_of(stage, folding).frame for stage, folding in solution.foldings.items())
    assert solution.cycles <= cycles
    assert work_of(solution.slowest(), solution.foldings[solution.slowest()]).frame == solution.cycles
    assert solution.resources == total(found, solution)
    for stage, folding in solution.foldings.items():
        if isinstance(stage, flow.MvauOp):
            parts = stage.columns % folding.lanes_in == 0 and stage.rows % folding.lanes_out == 0
            at_once = stage.groups_at_once(folding.lanes_in, folding.lanes_out)
            assert parts or at_once or stage.takes_pixels(folding.lanes_in, folding.lanes_out)
            if isinstance(windows := stage.operand.owner, flow.WindowOp):
                lanes = solution.foldings[windows].lanes_out
                assert max(1, at_once) == max(1, lanes // windows.group_channels), "words in another order"
        elif not isinstance(stage, flow.LoadOp | flow.StoreOp):
            for value in (*stage.streams_in(), *stage.streams_out()):
                assert channels_of(stream_of(value)) % folding.lanes_out == 0


@cache
def fewest(name: str) -> int:
    return minimum(solver(name))


@pytest.mark.parametrize("name", NETS)
@settings(deadline=None, max_examples=25)
@given(factors=st.tuples(st.floats(1, 2000), st.floats(1, 2000)))
def test_fewer_cycles_never_cost_less(name: str, factors: tuple[float, float]) -> None:
    found = solver(name)
    fast, slow = (found.at(int(fewest(name) * factor)) for factor in sorted(factors))
    assert found._price(fast.resources) >= found._price(slow.resources)


@pytest.mark.parametrize("name", NETS)
def test_a_rate_that_asks_for_parallel_stages_gets_them(name: str) -> None:
    """A stage of one lane is never left where the cycles ask for more."""
    found = solver(name)
    serial = {s: max(c.cycles for c in found._choices(s)) for s in found.stages}
    cycles = max(fewest(name), max(serial.values()) // 16)
    solution = found.at(cycles)
    must = [stage for stage, slowest in serial.items() if slowest > cycles]
    assert must
    for stage in must:
        folding = solution.foldings[stage]
        assert folding.lanes_in * folding.lanes_out > 1, stage.name


@pytest.mark.parametrize("name", NETS)
def test_as_fast_as_fits_fills_the_board_or_reaches_the_limit(name: str) -> None:
    found = solver(name)
    best = found.fastest()
    assert fits(best.resources, found.target, FILL)
    if best.cycles > fewest(name):
        assert not fits(found.at(best.cycles - 1).resources, found.target, FILL)


def test_windows_are_no_wider_than_their_unit_should_be() -> None:
    """Windows of more groups are cheaper by themselves, but the unit behind them has as many side by side."""
    net = NetBuilder((16, 16, 64), tern.integer_type(8, signed=False))
    sums = net.conv(net.requantize(net.input, bits=4), 64, square(3, pad=1), groups=4)
    found = solver_of(to_stages(net, net.finish(net.dense(net.requantize(sums, bits=2), 3))), "kv260")
    unit = next(stage for stage in found.stages if isinstance(stage, flow.MvauOp))
    for at_once in (1, 2, 4):
        folding = found.at(16 * 16 * 9 * 4 // at_once).foldings[unit]
        assert unit.groups_at_once(folding.lanes_in, folding.lanes_out) == at_once


def test_the_pass_takes_the_solution() -> None:
    """What the IR says after `fold` is what the solver returned."""
    net, module = perceptron(784, 96, 60, 10)
    wanted = solver("perceptron").at(1000)
    lower(module, net.store, fps=100_000)
    after = net_of(module)
    assert after is not None
    units = [stage for stage in flow_stages(after) if isinstance(stage, flow.MvauOp)]
    chosen = [folding for stage, folding in wanted.foldings.items() if isinstance(stage, flow.MvauOp)]
    assert [(stream_of(u.operand).lanes.data, stream_of(u.result).lanes.data) for u in units] == [
        (folding.lanes_in, folding.lanes_out) for folding in chosen
    ]


def test_too_high_a_rate_names_the_binding_stage_and_the_rate_that_fits() -> None:
    found = solver("residual")
    least, best = fewest("residual"), found.fastest()
    with pytest.raises(InputError) as caught:
        found.at(7)
    stages = {int(n.replace(",", "")) for n in re.findall(r"at least ([\d,]+) cycles", caught.value.message)}
    assert stages == {least}, "the slowest stage, not the first that cannot keep up"
    assert "7 are wanted" in caught.value.message
    assert f"{found.target.clock_hz / least:,.0f} frames/s at 100 MHz" in caught.value.message
    rate = int(found.target.clock_hz / best.cycles)
    assert f"--target-fps {rate}," in caught.value.hint
    assert found.at(math.floor(found.target.clock_hz / rate)).cycles <= best.cycles


def test_a_rate_that_does_not_fit_names_resource_stage_and_rate() -> None:
    found = solver_of(to_stages(*perceptron(784, 1024, 1024, 10)))
    fast = found.at(minimum_of_stages(found))
    with pytest.raises(InputError) as caught:
        found.check(fast)
    rate = int(found.target.clock_hz / found.fastest().cycles)
    assert re.match(r"does not fit pynq-z2: \w+ [\d,]+ of [\d,]+.*; flow\.mvau takes [\d,]+$", caught.value.message)
    assert f"--target-fps {rate}," in caught.value.hint
    found.check(found.at(math.floor(found.target.clock_hz / rate)))


def minimum_of_stages(found: Solver) -> int:
    return max(min(c.cycles for c in found._choices(stage)) for stage in found.stages)


def test_too_large_a_net_says_how_many_bits_and_which_boards_hold_it() -> None:
    module = to_stages(*perceptron(1024, 2048, 2048, 10))
    found = solver_of(module)
    with pytest.raises(InputError) as caught:
        found.fastest()
    need, given_, bits = (
        int(number.replace(",", ""))
        for number in re.findall(r"BRAM36 ([\d,]+) of ([\d,]+), ([\d,]+) bits too many", caught.value.message)[0]
    )
    assert given_ == 140
    assert abs(bits - (need - given_) * BRAM36_BITS) <= BRAM36_BITS // 2
    board = re.search(r"a board that holds it: ([\w-]+)", caught.value.hint)
    assert board is not None
    assert "Weights in DDR, the engine mapping" in caught.value.hint
    larger = solver_of(module, board.group(1))
    assert fits(larger.fastest().resources, larger.target)
    smaller = [
        b for b in ("pynq-z2", "ultra96-v2", "kd240") if load_target(b).resources.lut < larger.target.resources.lut
    ]
    for name in smaller:
        with pytest.raises(InputError):
            solver_of(module, name).fastest()


def test_a_net_for_no_board_is_told_so() -> None:
    assert boards_that_hold(Resources(bram36=1e6)).startswith("No board that tritloom knows")
    assert "pynq-z1" in boards_that_hold(Resources(lut=10))


def test_the_estimate_refuses_with_the_same_words() -> None:
    net, module = perceptron(64, 32, 10)
    lower(module, net.store)
    after = net_of(module)
    assert after is not None
    target = load_target("pynq-z2")
    estimate = estimate_net(flow_stages(after), target, (64, 40))
    check_net_fits(estimate, target)
    tiny = target.model_copy(update={"resources": target.resources.model_copy(update={"lut": 100})})
    with pytest.raises(
        InputError, match=r"does not fit pynq-z2: LUT [\d,]+ of 100 \(estimated, [\d,]+ cycles a frame\)"
    ):
        check_net_fits(replace(estimate), tiny)
