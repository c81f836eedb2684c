"""Rebuild the stages of a net with other stream types."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import flow, tern
from ..ir.flow import StreamType, stream_of
from ..ir.mlir import Attribute, Operation, SSAValue


def with_results(op: Operation, operands: list[SSAValue], types: list[Attribute]) -> Operation:
    """A copy of an operation with other operands and result types."""
    new = type(op).create(
        operands=operands, result_types=types, properties=dict(op.properties), attributes=dict(op.attributes)
    )
    new.location = op.location
    for old, result in zip(op.results, new.results, strict=True):
        result.name_hint = old.name_hint
    return new


def rebuild(net: tern.NetOp, make: Callable[[Operation, list[SSAValue]], list[Operation]]) -> None:
    """Replace every operation of a net by those that `make` gives for it and its new operands; the last of them has
    its results."""
    values: dict[SSAValue, SSAValue] = {argument: argument for argument in net.body.block.args}
    built: list[Operation] = []
    for op in net.body.block.ops:
        made = make(op, [values[operand] for operand in op.operands])
        built.extend(made)
        values.update(zip(op.results, made[-1].results, strict=True))
    block = net.body.block
    for old in reversed(list(block.ops)):
        block.erase_op(old, safe_erase=False)
    block.add_ops(built)


def set_lanes(value: SSAValue, lanes: int) -> StreamType:
    """The type of a stream with other lanes."""
    stream = stream_of(value)
    return StreamType.of(stream.tensor, lanes, stream.depth.data)


def set_depth(value: SSAValue, depth: int) -> StreamType:
    """The type of a stream with another depth."""
    stream = stream_of(value)
    return StreamType.of(stream.tensor, stream.lanes.data, depth)


def is_folded(net: tern.NetOp) -> bool:
    """Whether any stage works on more than one element a cycle, or regroups words."""
    return any(isinstance(op, flow.ResizeOp) for op in net.body.block.ops) or any(
        stream_of(result).lanes.data > 1
        for op in net.body.block.ops
        if isinstance(op, flow.Stage)
        for result in op.streams_out()
    )
