"""Stages that move elements: memory, words of other lanes, copies, channels side by side."""

from __future__ import annotations

from typing import ClassVar

from ..mlir import (
    IntegerAttr,
    ParsePropInAttrDict,
    SSAValue,
    TensorType,
    VerifyException,
    i64,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    var_result_def,
)
from ..tern import tensor_of
from .stage import Stage, channels_of, lanes_divide_channels, same_lanes, same_tensor
from .types import StreamType, stream_of

WIDEST_BEAT = 128
BEATS = (32, 64, WIDEST_BEAT)
"""Widths of the memory port that a design can have."""


def _whole_bytes(op: Stage, beat_bits: IntegerAttr) -> None:
    if beat_bits.value.data not in BEATS:
        raise VerifyException(f"{op.name}: beats have {', '.join(map(str, BEATS))} bits, not {beat_bits.value.data}")


@irdl_op_definition
class LoadOp(Stage):
    """An input of the net, read from memory in beats of `beat_bits`."""

    name = "flow.load"
    operand = operand_def(TensorType)
    beat_bits = prop_def(IntegerAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue) -> None:
        beat_bits = IntegerAttr(WIDEST_BEAT, i64)
        super().__init__(
            operands=[operand], properties={"beat_bits": beat_bits}, result_types=[StreamType.of(operand.type)]
        )

    def verify_(self) -> None:
        _whole_bytes(self, self.beat_bits)
        if stream_of(self.result).tensor != self.operand.type:
            raise VerifyException("flow.load: the stream carries another tensor")


@irdl_op_definition
class StoreOp(Stage):
    """An output of the net, written to memory in beats of `beat_bits`."""

    name = "flow.store"
    operand = operand_def(StreamType)
    beat_bits = prop_def(IntegerAttr)
    result = result_def(TensorType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue) -> None:
        beat_bits = IntegerAttr(WIDEST_BEAT, i64)
        super().__init__(
            operands=[operand], properties={"beat_bits": beat_bits}, result_types=[stream_of(operand).tensor]
        )

    def verify_(self) -> None:
        _whole_bytes(self, self.beat_bits)
        if stream_of(self.operand).tensor != self.result.type:
            raise VerifyException("flow.store: the stream carries another tensor")


@irdl_op_definition
class ResizeOp(Stage):
    """The same elements in words of other lanes; one count is a multiple of the other."""

    name = "flow.resize"
    operand = operand_def(StreamType)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, lanes: int) -> None:
        super().__init__(operands=[operand], result_types=[StreamType.of(stream_of(operand).tensor, lanes)])

    def verify_(self) -> None:
        same_tensor(self, self.operand, self.result)
        few, many = sorted((stream_of(self.operand).lanes.data, stream_of(self.result).lanes.data))
        if many % few:
            raise VerifyException(f"flow.resize: {many} lanes are no multiple of {few}")


@irdl_op_definition
class ForkOp(Stage):
    """Copies of a stream; each word is written to the results in their order."""

    name = "flow.fork"
    operand = operand_def(StreamType)
    copies = var_result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($copies)"

    def __init__(self, operand: SSAValue, count: int) -> None:
        super().__init__(operands=[operand], result_types=[[StreamType.of(stream_of(operand).tensor)] * count])

    def verify_(self) -> None:
        same_lanes(self)
        same_tensor(self, self.operand, *self.copies)
        if len(self.copies) < 2:
            raise VerifyException("flow.fork: it has less than two results")


@irdl_op_definition
class ConcatOp(Stage):
    """Pixel by pixel the channels of one stream, then of the other."""

    name = "flow.concat"
    lhs = operand_def(StreamType)
    rhs = operand_def(StreamType)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue) -> None:
        left, right = stream_of(lhs), stream_of(rhs)
        shape = (*left.shape[:-1], channels_of(left) + channels_of(right))
        tensor = tensor_of(shape, left.tensor.element_type)
        super().__init__(operands=[lhs, rhs], result_types=[StreamType.of(tensor)])

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.lhs, self.rhs)
        left, right, result = (stream_of(value) for value in (self.lhs, self.rhs, self.result))
        if channels_of(left) + channels_of(right) != channels_of(result):
            raise VerifyException("flow.concat: the result has another number of channels than its operands together")
