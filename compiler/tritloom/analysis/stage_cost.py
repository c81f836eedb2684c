"""Programmable logic and initiations of one stage at a given folding (estimated).

The logic of a hard-wired unit depends on its trits. Who has a weight store hands them in as `Weights`; without them a
unit is priced as a matrix of its shape whose trits are equally frequent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..ir import flow, tern
from ..ir.flow import channels_of, stream_element, stream_of
from ..ir.mlir import Operation
from . import dataflow_area as area
from .adders import Trits, block_diagonal, plain_adders
from .dataflow_area import Resources
from .initiations import Work, initiations
from .sharing import graph_of
from .stage_traits import Folding, folding_of, groups_at_once, is_hard_wired, kernel_of, traits_of, weight_depth

Weights = Callable[[str], Trits]
"""The trits of a weight by its symbol: `WeightStore.matrix` of a module."""

_SHARED_AT_MOST: Final = 0.75
"""Share of the adders that sharing is expected to save at most: of random matrices it saves 50 to 65 %."""


def work_of(stage: flow.Stage, folding: Folding | None = None) -> Work:
    """Initiations of a stage: at II 1 the cycles that it is busy."""
    return initiations(kernel_of(stage, folding), traits_of(stage, folding))


def cost_of(stage: flow.Stage, folding: Folding | None = None, weights: Weights | None = None) -> Resources:
    """Logic of a stage without its streams."""
    chosen = folding or folding_of(stage)
    if is_hard_wired(stage, chosen):
        return area.hard_wired(graph_of(_trits(stage, weights)), *tern.range_of(stream_element(stage.operand)))
    return _COSTS[type(stage)](stage, chosen)


def least_cost_of(stage: flow.MvauOp, weights: Weights | None = None) -> Resources:
    """What a hard-wired unit is expected to take at least, without looking for its adders."""
    adders = (1 - _SHARED_AT_MOST) * plain_adders(_trits(stage, weights))
    return Resources(lut=round(adders * stream_of(stage.operand).bits))


def _trits(stage: flow.MvauOp, weights: Weights | None) -> Trits:
    groups = stage.groups.value.data
    if weights is not None:
        return block_diagonal(weights(stage.weight.root_reference.data), groups)
    assumed = np.random.default_rng(0).integers(-1, 2, (groups * stage.rows, stage.columns))
    return block_diagonal(assumed.astype(np.int8), groups)


def stream_cost(stream: flow.StreamType, lanes: int | None = None) -> Resources:
    """Logic of a FIFO, with its own lanes or with others."""
    return area.fifo(stream.bits * (lanes or stream.lanes.data), stream.depth.data)


def resize_cost(stream: flow.StreamType, lanes_in: int, lanes_out: int) -> Resources:
    """Logic that regroups the words of a stream."""
    return area.width_converter(stream.bits * lanes_in, stream.bits * lanes_out)


def _load(stage: flow.LoadOp, folding: Folding) -> Resources:
    """The port, which the store shares."""
    return area.dma(folding.beat_bits)


def _store(stage: flow.StoreOp, folding: Folding) -> Resources:
    """What writing adds to the port of the load."""
    return area.dma_write(folding.beat_bits)


def _resize(stage: flow.ResizeOp, folding: Folding) -> Resources:
    return resize_cost(stream_of(stage.operand), folding.lanes_in, folding.lanes_out)


def _fork(stage: flow.ForkOp, folding: Folding) -> Resources:
    return Resources(lut=4 * len(stage.copies))


def _window(stage: flow.WindowOp, folding: Folding) -> Resources:
    window, source = stage.window(), stream_of(stage.operand)
    _, width, channels = source.shape
    return area.window(window.extent(0), window.kernel[1], width, channels, folding.lanes_out, source.bits)


def _mvau(stage: flow.MvauOp, folding: Folding) -> Resources:
    source, sums, depth = stream_of(stage.operand), stream_of(stage.result), weight_depth(stage, folding)
    pe, at_once = folding.lanes_out, groups_at_once(stage, folding)
    simd = folding.lanes_in // max(1, at_once)
    unit = area.mvau(pe, simd, source.bits, source.signed, sums.bits, depth)
    replayed = not at_once and stage.rows > pe
    replay = area.replay_buffer(simd * source.bits, stage.columns // simd) if replayed else Resources()
    return unit + replay + area.weight_memory(2 * pe * simd, depth, _ram_style(stage, folding))


def _ram_style(stage: flow.Stage, folding: Folding) -> area.RamStyle:
    return "block" if traits_of(stage, folding)["WEIGHTS_IN_BRAM"] else "distributed"


def _pool(stage: flow.PoolOp | flow.GlobalPoolOp, folding: Folding) -> Resources:
    taps = stage.taps if isinstance(stage, flow.PoolOp) else stage.pixels
    kind: area.PoolKind = "max" if stage.kind.data == tern.Pooling.MAX else "average"
    unit = area.pool(kind, stream_of(stage.operand).bits, folding.lanes_out, taps)
    if isinstance(stage, flow.PoolOp):
        return unit
    result = stream_of(stage.result)
    return unit + area.replay_buffer(folding.lanes_out * result.bits, channels_of(result) // folding.lanes_out)


def _quantize(stage: flow.QuantizeOp, folding: Folding) -> Resources:
    found = tern.steps(stage, stage.function)
    return area.thresholds(32, found.levels.value.data, found.channels.value.data, folding.lanes_out)


def _requantize(stage: flow.RequantizeOp, folding: Folding) -> Resources:
    found, bits = tern.steps(stage, stage.function), stream_of(stage.inputs[0]).bits
    lanes, output_bits = folding.lanes_out, stream_of(stage.result).bits
    if stage.multiplier_bits is None:
        return area.thresholds(bits, found.levels.value.data, found.channels.value.data, lanes)
    multiplier = stage.multiplier_bits.value.data
    if len(stage.inputs) == 2:
        return area.add(
            max(stream_of(value).bits for value in stage.inputs), multiplier, lanes, output_bits=output_bits
        )
    channels = -(-found.channels.value.data // lanes)
    return area.requantize(bits, multiplier, channels, output_bits=output_bits) * lanes


def _sum(stage: flow.AddOp, folding: Folding) -> Resources:
    return Resources(lut=stream_of(stage.result).bits + 1, ff=stream_of(stage.result).bits) * folding.lanes_out


def _concat(stage: flow.ConcatOp, folding: Folding) -> Resources:
    return Resources(lut=stream_of(stage.result).bits * folding.lanes_out + 20, ff=20)


def _top_k(stage: flow.TopKOp, folding: Folding) -> Resources:
    found, lanes = tern.ranking(stage, stage.ranking), folding.lanes_in
    sum_bits, bits = stream_of(stage.operand).bits, found.bits.value.data
    index = (stage.channels - 1).bit_length()
    kept = index + (sum_bits if stage.pairs.value.data else 0)
    total = Resources(index, index) + area.top_k(bits, kept, stage.k.value.data, lanes)
    if found.multipliers.value.data == found.biases.value.data == 1:  # a sum is its own key
        return total
    return total + area.keys(sum_bits, bits, found.multiplier_bits.value.data, stage.channels // lanes) * lanes


_COSTS: Final[dict[type[Operation], Callable[..., Resources]]] = {
    flow.LoadOp: _load,
    flow.StoreOp: _store,
    flow.QuantizeOp: _quantize,
    flow.RequantizeOp: _requantize,
    flow.ResizeOp: _resize,
    flow.ForkOp: _fork,
    flow.WindowOp: _window,
    flow.MvauOp: _mvau,
    flow.PoolOp: _pool,
    flow.GlobalPoolOp: _pool,
    flow.AddOp: _sum,
    flow.ConcatOp: _concat,
    flow.TopKOp: _top_k,
}
