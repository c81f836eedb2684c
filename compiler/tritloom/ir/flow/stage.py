"""Stages of a dataflow design: one process each, streams between them (docs/dataflow.md).

Parallelism stands in the types alone: a matrix-vector unit takes SIMD = lanes of its operand, and has PE = lanes of its
result.
"""

from __future__ import annotations

from ..mlir import IRDLOperation, OpResult, SSAValue, SymbolRefAttr, VerifyException
from .types import StreamType, stream_of


class Stage(IRDLOperation):
    """A process: reads its streams, writes its streams."""

    def streams_in(self) -> list[SSAValue]:
        """Streams that it reads."""
        return [value for value in self.operands if isinstance(value.type, StreamType)]

    def streams_out(self) -> list[OpResult]:
        """Streams that it writes."""
        return [value for value in self.results if isinstance(value.type, StreamType)]

    @property
    def symbol(self) -> SymbolRefAttr | None:
        """Its weight, step function or ranking."""
        found = (value for value in self.properties.values() if isinstance(value, SymbolRefAttr))
        return next(found, None)


def same_lanes(op: Stage) -> None:
    """Verify that all streams of a stage have the same lanes."""
    lanes = {stream_of(value).lanes.data for value in (*op.streams_in(), *op.streams_out())}
    if len(lanes) > 1:
        raise VerifyException(f"{op.name}: its streams have {sorted(lanes)} lanes, not the same")


def same_tensor(op: Stage, *values: SSAValue) -> None:
    """Verify that streams carry the same tensor."""
    if len({stream_of(value).tensor for value in values}) > 1:
        raise VerifyException(f"{op.name}: its streams carry different tensors")


def channels_of(stream: StreamType) -> int:
    """Channels of the tensor that a stream carries."""
    return stream.shape[-1]


def lanes_divide_channels(op: Stage, *values: SSAValue) -> None:
    """Verify that words of streams lie within a pixel."""
    for stream in map(stream_of, values):
        if channels_of(stream) % stream.lanes.data:
            raise VerifyException(f"{op.name}: {stream.lanes.data} lanes do not divide {channels_of(stream)} channels")
