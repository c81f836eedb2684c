"""A stage as its kernel sees it: which kernel, and the compile-time parameters (docs/dataflow.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeGuard

from ..ir import flow, tern
from ..ir.flow import channels_of, stream_of
from ..ir.mlir import Operation, f32

BLOCK_RAM_DEPTH: Final = 128
"""Words of a weight memory from which on it goes to block RAM."""


HARD_WIRED_TRITS: Final = 1 << 14
"""Trits of the largest matrix that is hard-wired: more would be too many statements of C++."""

Memory = flow.LoadOp | flow.StoreOp


@dataclass(frozen=True)
class Folding:
    """Parallelism of a stage: lanes of its operands, and of its results."""

    lanes_in: int
    lanes_out: int
    beat_bits: int = 128
    """Of the memory port; of interest to the stages at it."""


def folding_of(stage: flow.Stage) -> Folding:
    """The folding that a stage's types have."""
    first, last = (stage.streams_in() or stage.streams_out())[0], (stage.streams_out() or stage.streams_in())[0]
    lanes = (stream_of(first).lanes.data, stream_of(last).lanes.data)
    return Folding(*lanes, stage.beat_bits.value.data) if isinstance(stage, Memory) else Folding(*lanes)


def is_hard_wired(stage: flow.Stage, folding: Folding | None = None) -> TypeGuard[flow.MvauOp]:
    """Whether a unit takes a pixel a cycle, and is small enough to be made of constant adders."""
    if not isinstance(stage, flow.MvauOp) or not can_be_hard_wired(stage):
        return False
    chosen = folding or folding_of(stage)
    return stage.takes_pixels(chosen.lanes_in, chosen.lanes_out)


def can_be_hard_wired(stage: flow.MvauOp) -> bool:
    """Whether its trits are few enough."""
    return stage.groups.value.data * stage.rows * stage.columns <= HARD_WIRED_TRITS


def groups_at_once(stage: flow.MvauOp, folding: Folding) -> int:
    """Whole groups that a unit has side by side; 0 where it takes their vectors one after the other."""
    return stage.groups_at_once(folding.lanes_in, folding.lanes_out)


def kernel_of(stage: flow.Stage, folding: Folding | None = None) -> str:
    """The kernel that computes a stage, with its own folding or with another one."""
    if is_hard_wired(stage, folding):
        return "hard_wired"
    if isinstance(stage, flow.MvauOp):
        return "vvau" if groups_at_once(stage, folding or folding_of(stage)) else "mvau"
    if isinstance(stage, flow.LoadOp):
        return "load_floats" if stream_of(stage.result).tensor.element_type == f32 else "load_codes"
    if isinstance(stage, flow.RequantizeOp):
        if stage.form.data == tern.Form.THRESHOLDS:
            return "thresholds"
        return "multiply_shift" if len(stage.inputs) == 1 else "multiply_shift2"
    return _KERNELS[type(stage)]


def traits_of(stage: flow.Stage, folding: Folding | None = None) -> dict[str, int]:
    """Parameters of the kernel, with the stage's own folding or with another one."""
    return _TRAITS[type(stage)](stage, folding or folding_of(stage))


def _elements(stage: flow.Stage) -> int:
    return stream_of((stage.streams_out() or stage.streams_in())[0]).elements


def _memory(stage: flow.Stage, folding: Folding) -> dict[str, int]:
    return {"BEAT_BITS": folding.beat_bits, "ELEMENTS": _elements(stage), "LANES": folding.lanes_out}


def _resize(stage: flow.Stage, folding: Folding) -> dict[str, int]:
    return {"ELEMENTS": _elements(stage), "IN_LANES": folding.lanes_in, "OUT_LANES": folding.lanes_out}


def _fork(stage: flow.Stage, folding: Folding) -> dict[str, int]:
    return {"ELEMENTS": _elements(stage), "LANES": folding.lanes_in, "COPIES": len(stage.streams_out())}


def _window(stage: flow.WindowOp, folding: Folding) -> dict[str, int]:
    window, (height, width, channels) = stage.window(), stream_of(stage.operand).shape
    rows, columns, _ = stream_of(stage.result).shape
    traits = {
        "HEIGHT": height,
        "WIDTH": width,
        "CHANNELS": channels,
        "LANES": folding.lanes_out,
        "KERNEL_H": window.kernel[0],
        "KERNEL_W": window.kernel[1],
        "STRIDE_H": window.strides[0],
        "STRIDE_W": window.strides[1],
        "DILATION_H": window.dilations[0],
        "DILATION_W": window.dilations[1],
        "PAD_TOP": window.pads[0],
        "PAD_LEFT": window.pads[1],
        "PAD_BOTTOM": window.pads[2],
        "PAD_RIGHT": window.pads[3],
        "PAD_CODE": stage.pad_code.value.data,
        "OUT_HEIGHT": rows,
        "OUT_WIDTH": columns,
        "GROUPS": channels // max(folding.lanes_out, stage.group_channels),
    }
    one_row = height == rows == window.kernel[0] == 1
    return {_TURNED.get(name, name): value for name, value in traits.items()} if one_row else traits


_TURNED: Final = {
    one: other
    for pair in (
        ("HEIGHT", "WIDTH"),
        ("KERNEL_H", "KERNEL_W"),
        ("STRIDE_H", "STRIDE_W"),
        ("DILATION_H", "DILATION_W"),
        ("PAD_TOP", "PAD_LEFT"),
        ("PAD_BOTTOM", "PAD_RIGHT"),
        ("OUT_HEIGHT", "OUT_WIDTH"),
    )
    for one, other in (pair, pair[::-1])
}
"""The kernel's grain is the row: the positions of a sequence are rows of width 1."""


def _mvau(stage: flow.MvauOp, folding: Folding) -> dict[str, int]:
    groups, rows, columns = stage.groups.value.data, stage.rows, stage.columns
    if is_hard_wired(stage, folding):
        return {"INPUTS": groups * columns, "OUTPUTS": groups * rows, "VECTORS": stage.pixels}
    in_bram = {"WEIGHTS_IN_BRAM": int(weight_depth(stage, folding) >= BLOCK_RAM_DEPTH)}
    if at_once := groups_at_once(stage, folding):
        shape = {"GROUPS": groups, "PE": at_once, "INPUTS": columns // stage.taps, "OUTPUTS": rows}
        return {**shape, "TAPS": stage.taps, "VECTORS": stage.pixels, **in_bram}
    shape = {"INPUTS": columns, "OUTPUTS": rows, "PE": folding.lanes_out, "SIMD": folding.lanes_in}
    return {**shape, "VECTORS": stage.pixels * groups, "GROUPS": groups, **in_bram}


def weight_depth(stage: flow.MvauOp, folding: Folding) -> int:
    """Words of each weight memory of a unit, and cycles that it takes for a pixel."""
    trits = stage.groups.value.data * stage.rows * stage.columns
    lanes = folding.lanes_in * folding.lanes_out
    return trits * max(1, groups_at_once(stage, folding)) // lanes


def _pool(stage: flow.PoolOp, folding: Folding) -> dict[str, int]:
    result = stream_of(stage.result)
    return {
        "CHANNELS": channels_of(result),
        "LANES": folding.lanes_out,
        "TAPS": stage.taps,
        "VECTORS": result.elements // channels_of(result),
        "MAX": int(stage.kind.data == tern.Pooling.MAX),
    }


def _global_pool(stage: flow.GlobalPoolOp, folding: Folding) -> dict[str, int]:
    return {
        "CHANNELS": channels_of(stream_of(stage.operand)),
        "LANES": folding.lanes_out,
        "PIXELS": stage.pixels,
        "MAX": int(stage.kind.data == tern.Pooling.MAX),
    }


def _steps(stage: flow.RequantizeOp | flow.QuantizeOp, folding: Folding) -> dict[str, int]:
    found = tern.steps(stage, stage.function)
    traits = {
        "ELEMENTS": _elements(stage),
        "CHANNELS": channels_of(stream_of(stage.result)) if found.channels.value.data > 1 else folding.lanes_out,
        "LANES": folding.lanes_out,
        "LOW": found.low.value.data,
    }
    if kernel_of(stage) == "thresholds":
        return traits | {"LEVELS": found.levels.value.data, "STEP": found.step.value.data}
    shift = stage.shift.value.data if isinstance(stage, flow.RequantizeOp) and stage.shift is not None else 0
    return traits | {"SHIFT": shift, "HIGH": found.high}


def _add(stage: flow.AddOp, folding: Folding) -> dict[str, int]:
    first, second = stage.multiples
    return {"ELEMENTS": _elements(stage), "LANES": folding.lanes_out, "FACTOR_A": first, "FACTOR_B": second}


def _concat(stage: flow.ConcatOp, folding: Folding) -> dict[str, int]:
    left, right = stream_of(stage.lhs), stream_of(stage.rhs)
    return {
        "PIXELS": left.elements // channels_of(left),
        "CHANNELS_A": channels_of(left),
        "CHANNELS_B": channels_of(right),
        "LANES": folding.lanes_out,
    }


def _top_k(stage: flow.TopKOp, folding: Folding) -> dict[str, int]:
    found = tern.ranking(stage, stage.ranking)
    return {
        "VECTORS": stream_of(stage.operand).elements // stage.channels,
        "CHANNELS": stage.channels,
        "LANES": folding.lanes_in,
        "K": stage.k.value.data,
        "KEPT": stage.kept,
        "MULTIPLIERS": stage.channels if found.multipliers.value.data > 1 else folding.lanes_in,
        "BIASES": stage.channels if found.biases.value.data > 1 else folding.lanes_in,
        "LAST": stage.last.value.data,
    }


_KERNELS: Final[dict[type[Operation], str]] = {
    flow.QuantizeOp: "thresholds",
    flow.StoreOp: "store",
    flow.ResizeOp: "resize",
    flow.ForkOp: "fork",
    flow.WindowOp: "window",
    flow.PoolOp: "reduce",
    flow.GlobalPoolOp: "global_reduce",
    flow.AddOp: "add",
    flow.ConcatOp: "concat",
    flow.TopKOp: "top_k",
}
_TRAITS: Final[dict[type[Operation], Callable[..., dict[str, int]]]] = {
    flow.LoadOp: _memory,
    flow.StoreOp: _memory,
    flow.QuantizeOp: _steps,
    flow.RequantizeOp: _steps,
    flow.ResizeOp: _resize,
    flow.ForkOp: _fork,
    flow.WindowOp: _window,
    flow.MvauOp: _mvau,
    flow.PoolOp: _pool,
    flow.GlobalPoolOp: _global_pool,
    flow.AddOp: _add,
    flow.ConcatOp: _concat,
    flow.TopKOp: _top_k,
}
