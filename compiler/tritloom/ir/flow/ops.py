"""Stages of a dataflow design: one process each, streams between them (docs/dataflow.md).

Parallelism stands in the types alone: a matrix-vector unit takes SIMD = lanes of its operand, and has PE = lanes of its
result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from ..mlir import (
    ArrayAttr,
    Attribute,
    IntegerAttr,
    ParsePropInAttrDict,
    SSAValue,
    SymbolRefAttr,
    TensorType,
    VerifyException,
    f32,
    i64,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    var_operand_def,
    var_result_def,
)
from ..tern import Form, FormAttr, Pooling, PoolingAttr, Window, steps, tensor_of, weight
from ..tern import RequantizeOp as RequantizeLayer
from ..tern.spatial import Windowed
from .stage import Stage, channels_of, lanes_divide_channels, same_lanes, same_tensor
from .types import StreamType, stream_of

WIDEST_BEAT = 128
BEATS = (32, 64, WIDEST_BEAT)
"""Widths of the memory port that a design can have."""


def _whole_bytes(op: Stage, beat_bits: IntegerAttr) -> None:
    if beat_bits.value.data not in BEATS:
        raise VerifyException(f"{op.name}: beats have {', '.join(map(str, BEATS))} bits, not {beat_bits.value.data}")


def _words_of_windows(op: Stage, operand: SSAValue) -> None:
    """Windows with channels first keep their folds: other lanes would be another order."""
    value: SSAValue = operand
    while isinstance(value.owner, ResizeOp):
        value = value.owner.operand
    if value is not operand and isinstance(value.owner, WindowOp):
        raise VerifyException(f"{op.name}: the words of windows with channels first cannot be regrouped")


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
class QuantizeOp(Stage):
    """Codes of a stream of floats."""

    name = "flow.quantize"
    operand = operand_def(StreamType)
    function = prop_def(SymbolRefAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand $function attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, function: SymbolRefAttr, tensor: Attribute) -> None:
        super().__init__(operands=[operand], properties={"function": function}, result_types=[StreamType.of(tensor)])

    def verify_(self) -> None:
        same_lanes(self)
        steps(self, self.function)
        if stream_of(self.operand).tensor.element_type != f32:
            raise VerifyException("flow.quantize: the operand carries f32")


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
class WindowOp(Stage, Windowed):
    """The windows of an image, pixel by pixel: rows, columns, channels of each; with `channels_first` channel fold by
    channel fold, as depthwise products and pools take them. The result is [OH, OW, taps * C]."""

    name = "flow.window"
    operand = operand_def(StreamType)
    pad_code = prop_def(IntegerAttr)
    channels_first = prop_def(IntegerAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, window: Window, pad_code: int, channels_first: bool) -> None:
        stream = stream_of(operand)
        height, width, channels = stream.shape
        shape = (*window.output_size(height, width), window.taps * channels)
        super().__init__(
            operands=[operand],
            properties={
                **window.attributes(),
                "pad_code": IntegerAttr(pad_code, i64),
                "channels_first": IntegerAttr(int(channels_first), i64),
            },
            result_types=[StreamType.of(tensor_of(shape, stream.tensor.element_type))],
        )

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.operand)
        source, window = stream_of(self.operand), self.window()
        height, width, channels = source.shape
        wanted = tensor_of((*window.output_size(height, width), window.taps * channels), source.tensor.element_type)
        if stream_of(self.result).tensor != wanted:
            raise VerifyException(f"flow.window: the result carries {stream_of(self.result).tensor}, not {wanted}")


def vectors_of(stream: StreamType, length: int) -> int:
    """Vectors of `length` elements in a frame."""
    return stream.elements // length


@irdl_op_definition
class MvauOp(Stage):
    """Ternary matrix-vector unit: each group of a vector times its own rows. PE = lanes out, SIMD = lanes in."""

    name = "flow.mvau"
    operand = operand_def(StreamType)
    weight = prop_def(SymbolRefAttr)
    groups = prop_def(IntegerAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand $weight attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, weight: SymbolRefAttr, tensor: Attribute, groups: int = 1) -> None:
        super().__init__(
            operands=[operand],
            properties={"weight": weight, "groups": IntegerAttr(groups, i64)},
            result_types=[StreamType.of(tensor)],
        )

    @property
    def pe(self) -> int:
        return stream_of(self.result).lanes.data

    @property
    def simd(self) -> int:
        return stream_of(self.operand).lanes.data

    @property
    def rows(self) -> int:
        """Outputs of a vector, N."""
        return channels_of(stream_of(self.result))

    @property
    def columns(self) -> int:
        """Inputs of a vector, K: with groups, those of all."""
        return weight(self, self.weight).cols.value.data * self.groups.value.data

    @property
    def vectors(self) -> int:
        """Vectors of a frame."""
        return vectors_of(stream_of(self.result), self.rows)

    @property
    def depth(self) -> int:
        """Words of each PE's weight memory, and initiations a vector."""
        return self.rows // self.pe * (self.columns // self.simd)

    def verify_(self) -> None:
        lanes_divide_channels(self, self.result)
        if weight(self, self.weight).rows.value.data != self.rows:
            raise VerifyException("flow.mvau: the weight has another number of rows than the result channels")
        if self.columns % self.simd or self.vectors * self.columns != stream_of(self.operand).elements:
            raise VerifyException(f"flow.mvau: vectors of {self.columns} do not fit {self.operand.type}")


@irdl_op_definition
class VvauOp(Stage):
    """Depthwise ternary product: each channel's window times its own trits. PE = lanes."""

    name = "flow.vvau"
    operand = operand_def(StreamType)
    weight = prop_def(SymbolRefAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand $weight attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, weight: SymbolRefAttr, tensor: Attribute) -> None:
        super().__init__(operands=[operand], properties={"weight": weight}, result_types=[StreamType.of(tensor)])

    @property
    def taps(self) -> int:
        return weight(self, self.weight).cols.value.data

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.result)
        _words_of_windows(self, self.operand)
        found, result = weight(self, self.weight), stream_of(self.result)
        if (
            found.rows.value.data != channels_of(result)
            or stream_of(self.operand).elements != result.elements * self.taps
        ):
            raise VerifyException(f"flow.vvau: @{found.sym_name.data} does not fit {self.operand.type}")


@irdl_op_definition
class PoolOp(Stage):
    """The largest or the sum of each window of a stream of windows, channels first."""

    name = "flow.pool"
    operand = operand_def(StreamType)
    kind = prop_def(PoolingAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, kind: Pooling, tensor: Attribute) -> None:
        super().__init__(
            operands=[operand], properties={"kind": PoolingAttr(kind)}, result_types=[StreamType.of(tensor)]
        )

    @property
    def taps(self) -> int:
        """Elements of a window."""
        return stream_of(self.operand).elements // stream_of(self.result).elements

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.result)
        _words_of_windows(self, self.operand)
        if stream_of(self.operand).elements % stream_of(self.result).elements:
            raise VerifyException(f"{self.name}: windows do not fit {self.operand.type}")


@irdl_op_definition
class GlobalPoolOp(Stage):
    """The largest or the sum of each channel of an image."""

    name = "flow.global_pool"
    operand = operand_def(StreamType)
    kind = prop_def(PoolingAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, kind: Pooling, tensor: Attribute) -> None:
        super().__init__(
            operands=[operand], properties={"kind": PoolingAttr(kind)}, result_types=[StreamType.of(tensor)]
        )

    @property
    def pixels(self) -> int:
        return math.prod(stream_of(self.operand).shape[:-1])

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.result)
        if stream_of(self.result).elements != channels_of(stream_of(self.operand)):
            raise VerifyException("flow.global_pool: the result is one pixel")


@irdl_op_definition
class RequantizeOp(Stage):
    """Codes of one stream of integers, or of two: a step function in one of its integer forms."""

    name = "flow.requantize"
    inputs = var_operand_def(StreamType)
    function = prop_def(SymbolRefAttr)
    form = prop_def(FormAttr)
    shift = opt_prop_def(IntegerAttr)
    multiplier_bits = opt_prop_def(IntegerAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$inputs $function attr-dict `:` type($inputs) `->` type($result)"

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        layer: RequantizeLayer,
    ) -> None:
        """The stage of a layer that has its form."""
        super().__init__(
            operands=[list(inputs)],
            properties={
                "function": layer.function,
                "form": layer.form,
                "shift": layer.shift,
                "multiplier_bits": layer.multiplier_bits,
            },
            result_types=[StreamType.of(layer.result.type)],
        )

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.result)
        if steps(self, self.function).operands_.value.data != len(self.inputs):
            raise VerifyException("flow.requantize: the step function has another number of operands")
        multiplies = self.form.data == Form.MULTIPLY_SHIFT
        if {self.shift is not None, self.multiplier_bits is not None} != {multiplies}:
            raise VerifyException("flow.requantize: shift and multiplier_bits belong to the form multiply_shift")
        if self.form.data == Form.THRESHOLDS and len(self.inputs) > 1:
            raise VerifyException("flow.requantize: thresholds are of one operand")


@irdl_op_definition
class AddOp(Stage):
    """Sum of two streams, each counted as often as `factors` says."""

    name = "flow.add"
    lhs = operand_def(StreamType)
    rhs = operand_def(StreamType)
    factors = prop_def(ArrayAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, factors: Sequence[int], tensor: Attribute) -> None:
        multiples = ArrayAttr([IntegerAttr(factor, i64) for factor in factors])
        super().__init__(operands=[lhs, rhs], properties={"factors": multiples}, result_types=[StreamType.of(tensor)])

    @property
    def multiples(self) -> tuple[int, int]:
        """What each stream counts."""
        first, second = (factor.value.data for factor in self.factors if isinstance(factor, IntegerAttr))
        return first, second

    def verify_(self) -> None:
        same_lanes(self)
        if len({stream_of(value).shape for value in (self.lhs, self.rhs, self.result)}) != 1:
            raise VerifyException("flow.add: operands and result differ in shape")


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
