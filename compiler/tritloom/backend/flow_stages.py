"""Folded stages -> the design that the templates render: names, parameters, tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..analysis.adders import block_diagonal
from ..analysis.stage_traits import is_hard_wired, kernel_of, traits_of
from ..errors import TritloomError
from ..ir import flow, tern
from ..ir.flow import stream_element, stream_of
from ..ir.locations import onnx_names
from ..ir.mlir import ModuleOp, Operation, SSAValue, f32
from ..ir.requantize import multiply_shift
from ..ir.steps import StepFunction
from ..ir.store import WeightStore
from ..ir.text import op_text
from .flow_design import Element, FlowDesign, Rom, Stage, Stream, float_keys

_SUMS_BYTES: Final = 4


def flow_design(module: ModuleOp, store: WeightStore, net: tern.NetOp) -> FlowDesign:
    """The design of a net whose stages are folded and whose FIFOs have their depths."""
    stages = [op for op in net.body.block.ops if isinstance(op, flow.Stage)]
    names = _stage_names(stages)
    streams: dict[SSAValue, Stream] = {}
    for stage in stages:
        for index, value in enumerate(stage.streams_out()):
            suffix = f"_{index}" if len(stage.streams_out()) > 1 else ""
            stream = stream_of(value)
            lanes, depth = stream.lanes.data, stream.depth.data
            streams[value] = Stream(f"from_{names[stage]}{suffix}", _element(stage, stream), lanes, depth)
    made = tuple(
        Stage(
            names[stage],
            kernel_of(stage),
            traits_of(stage),
            tuple(streams[value].name for value in stage.streams_in()),
            tuple(streams[value].name for value in stage.streams_out()),
            _TABLES.get(type(stage), _no_tables)(stage, module, store),
            op_text(stage),
            tuple(onnx_names(stage)),
        )
        for stage in stages
    )
    return FlowDesign(
        _identifier(net.sym_name.data) or "net",
        tuple(streams.values()),
        made,
        input_bytes(net),
        output_bytes(net),
        _load(net).beat_bits.value.data,
    )


def input_bytes(net: tern.NetOp) -> int:
    """Bytes of a frame in the input buffer, in whole beats: float32, or a byte a code."""
    load = _load(net)
    stream = stream_of(load.result)
    return _whole_beats(stream.elements * (4 if stream.tensor.element_type == f32 else 1), load)


def output_bytes(net: tern.NetOp) -> int:
    """Bytes of a frame in the output buffer, in whole beats: int32 sums, or what a ranking keeps of them."""
    (store,) = (op for op in net.body.block.ops if isinstance(op, flow.StoreOp))
    return _whole_beats(stream_of(store.operand).elements * _SUMS_BYTES, store)


def _load(net: tern.NetOp) -> flow.LoadOp:
    (load,) = (op for op in net.body.block.ops if isinstance(op, flow.LoadOp))
    return load


def _whole_beats(size: int, stage: flow.LoadOp | flow.StoreOp) -> int:
    beat = stage.beat_bits.value.data // 8
    return -(-size // beat) * beat


def _identifier(text: str) -> str:
    """A lower-case C identifier, or nothing."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return f"n_{name}" if name[:1].isdigit() else name


def _stage_names(stages: list[flow.Stage]) -> dict[flow.Stage, str]:
    """A name for every stage: its kind, and its weight or its number."""
    names: dict[flow.Stage, str] = {}
    taken: set[str] = set()
    for number, stage in enumerate(stages):
        kind = stage.name.removeprefix("flow.")
        symbol = _identifier(stage.symbol.root_reference.data) if stage.symbol is not None else ""
        name = f"{kind}_{symbol or number}"
        names[stage] = name if name not in taken else f"{name}_{number}"
        taken.add(names[stage])
    return names


def _element(stage: flow.Stage, stream: flow.StreamType) -> Element:
    """Type of a stream's elements. The kernels' sums are signed, whatever the range says."""
    sums = isinstance(stage, flow.MvauOp)
    return Element(stream.bits + 1, True) if sums and not stream.signed else Element(stream.bits, stream.signed)


def _no_tables(stage: flow.Stage, module: ModuleOp, store: WeightStore) -> dict[str, Rom]:
    return {}


def _mvau(stage: flow.MvauOp, module: ModuleOp, store: WeightStore) -> dict[str, Rom]:
    trits = store.matrix(module, stage.weight.root_reference.data)
    return {"weights": block_diagonal(trits, stage.groups.value.data) if is_hard_wired(stage) else trits}


def _rows(table: NDArray[np.generic], stage: flow.Stage) -> NDArray[np.generic]:
    """A table with a row for each channel that the kernel distinguishes."""
    channels = traits_of(stage)["CHANNELS"]
    return np.ascontiguousarray(np.broadcast_to(table, (channels, *table.shape[1:])))


def _quantize(stage: flow.QuantizeOp, module: ModuleOp, store: WeightStore) -> dict[str, Rom]:
    table, negative = store.steps(module, stage.function.root_reference.data).float_thresholds
    return {"thresholds": _rows(float_keys(table), stage), "negative": _rows(negative, stage)}


def _requantize(stage: flow.RequantizeOp, module: ModuleOp, store: WeightStore) -> dict[str, Rom]:
    function = store.steps(module, stage.function.root_reference.data)
    if stage.form.data == tern.Form.THRESHOLDS:
        return _thresholds(stage, function)
    form = multiply_shift(function, [tern.range_of(stream_element(value)) for value in stage.inputs])
    if form is None:
        raise TritloomError(f"{stage.name}: the step function has lost its form", "Report this with the model.")
    names = ["multiplier"] if len(form.multipliers) == 1 else ["multiplier0", "multiplier1"]
    tables = {name: _rows(row, stage) for name, row in zip(names, form.multipliers, strict=True)}
    return {**tables, "bias": _rows(form.bias, stage)}


def _thresholds(stage: flow.RequantizeOp, function: StepFunction) -> dict[str, Rom]:
    """Thresholds within the range of the operand: what none reaches is one beyond it."""
    low, high = tern.range_of(stream_element(stage.inputs[0]))
    found = function.thresholds
    bounds = np.where(found.negative[:, np.newaxis], -high, low), np.where(found.negative[:, np.newaxis], -low, high)
    table = np.clip(found.table, bounds[0], bounds[1] + 1)
    return {"thresholds": _rows(table, stage), "negative": _rows(found.negative, stage)}


def _top_k(stage: flow.TopKOp, module: ModuleOp, store: WeightStore) -> dict[str, Rom]:
    found, traits = store.ranking(stage.ranking.root_reference.data), traits_of(stage)
    return {
        "multiplier": np.broadcast_to(found.multiplier, traits["MULTIPLIERS"]),
        "bias": np.broadcast_to(found.bias, traits["BIASES"]),
    }


_TABLES: Final[dict[type[Operation], Callable[..., dict[str, Rom]]]] = {
    flow.MvauOp: _mvau,
    flow.QuantizeOp: _quantize,
    flow.RequantizeOp: _requantize,
    flow.TopKOp: _top_k,
}
