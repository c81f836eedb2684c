"""What a hard-wired layer costs: the adders of its own trits, found once, and only where it may be the cheapest."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from support.nets import NetBuilder, design_of, lower
from tritloom.analysis import dataflow_area, sharing
from tritloom.analysis.adders import AdderGraph, Trits
from tritloom.analysis.folding import Solver
from tritloom.analysis.sharing import share
from tritloom.analysis.stage_cost import cost_of, least_cost_of
from tritloom.analysis.stage_traits import Folding, is_hard_wired
from tritloom.backend.flow_hls import render_flow
from tritloom.backend.hls import HlsTarget
from tritloom.backend.net_bundle import net_estimate
from tritloom.ir import flow, tern
from tritloom.ir.interpreter.net import net_of
from tritloom.ir.mlir import ModuleOp
from tritloom.passes import CompilerContext, net_passes, run_passes
from tritloom.passes.stages import flow_stages
from tritloom.targets import load_target

BOARD = load_target("pynq-z2")
VECTOR_A_CYCLE = Folding(48, 32)


def layer(zeros: float) -> tuple[NetBuilder, ModuleOp, flow.MvauOp]:
    """One unit 32 x 48 of 4-bit codes, mapped to stages, and its net."""
    net = NetBuilder((48,), tern.integer_type(8, signed=False), seed=5)
    codes = net.requantize(net.input, bits=4)
    module = net.finish(net.dense(codes, 32))
    (name,) = (op.sym_name.data for op in module.ops if isinstance(op, tern.WeightOp))
    trits = net.store.trits(name)
    trits[net.random.random(trits.shape) < zeros] = 0
    passes = net_passes()
    before = passes[: [each.name for each in passes].index("fold")]
    run_passes(module, before, CompilerContext(store=net.store, target=BOARD))
    return net, module, next(op for op in module.walk() if isinstance(op, flow.MvauOp))


@pytest.mark.parametrize("zeros", [0.0, 0.7])
def test_it_is_that_of_its_adders(zeros: float) -> None:
    net, module, unit = layer(zeros)
    weights = partial(net.store.matrix, module)
    trits = weights(unit.weight.root_reference.data)
    assert is_hard_wired(unit, VECTOR_A_CYCLE)
    assert cost_of(unit, VECTOR_A_CYCLE, weights) == dataflow_area.hard_wired(share(trits), 0, 15)
    assert least_cost_of(unit, weights).lut <= cost_of(unit, VECTOR_A_CYCLE, weights).lut


def test_without_the_trits_they_are_equally_frequent() -> None:
    net, module, unit = layer(0.7)
    assumed = cost_of(unit, VECTOR_A_CYCLE)
    assert assumed == cost_of(unit, VECTOR_A_CYCLE, lambda _: np.random.default_rng(0).integers(-1, 2, (32, 48)))
    sparse = cost_of(unit, VECTOR_A_CYCLE, partial(net.store.matrix, module))
    assert sparse.lut < 0.5 * assumed.lut


@pytest.mark.parametrize(("zeros", "chosen"), [(0.0, False), (0.95, True)])
def test_few_weights_are_hard_wired_though_the_rate_asks_for_less(zeros: float, chosen: bool) -> None:
    """A frame in sixteen cycles: 96 trits a cycle cost more than a matrix of few weights."""
    net, module, unit = layer(zeros)
    found = net_of(module)
    assert found is not None
    solution = Solver(flow_stages(found), BOARD, partial(net.store.matrix, module)).at(16)
    assert is_hard_wired(unit, solution.foldings[unit]) == chosen


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[Trits]:
    """The matrices whose adders are looked for."""
    calls: list[Trits] = []

    def recorded(trits: Trits) -> AdderGraph:
        calls.append(trits)
        return share(trits)

    sharing._graph_of.cache_clear()
    monkeypatch.setattr(sharing, "share", recorded)
    return calls


def test_the_adders_of_a_layer_are_found_once(shared: list[Trits]) -> None:
    """Folding, estimate and sources have the same graph."""
    net = NetBuilder((16,), tern.integer_type(8, signed=False), seed=2)
    module = net.finish(net.dense(net.requantize(net.dense(net.input, 12), bits=2), 4))
    lower(module, net.store)
    found = net_of(module)
    assert found is not None
    estimate = net_estimate(module, net.store, found, BOARD)
    files = render_flow(design_of(module, net.store), HlsTarget.of(BOARD))
    assert sorted(trits.shape for trits in shared) == [(4, 12), (12, 16)]
    graphs = [share(net.store.matrix(module, name)) for name in net.store.loaders if name.startswith("w")]
    assert files["adders.h"].count("const Int<") == sum(len(graph.adders) for graph in graphs)
    priced = [stage.resources for stage in estimate.stages if stage.kernel == "hard_wired"]
    assert priced == [dataflow_area.hard_wired(graph, 0, top) for graph, top in zip(graphs, (255, 3), strict=True)]


def test_no_adders_are_looked_for_at_a_low_rate(shared: list[Trits]) -> None:
    net = NetBuilder((64,), tern.integer_type(8, signed=False), seed=2)
    module = net.finish(net.dense(net.requantize(net.dense(net.input, 32), bits=2), 10))
    lower(module, net.store, fps=100_000)
    assert shared == []
