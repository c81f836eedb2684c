"""Stages of layers that take windows, or whole images: sliding windows, matrix-vector units, pools."""

from __future__ import annotations

import math
from typing import ClassVar

from ..mlir import (
    Attribute,
    IntegerAttr,
    ParsePropInAttrDict,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    i64,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
)
from ..tern import Pooling, PoolingAttr, Window, tensor_of, weight
from ..tern.spatial import Windowed
from .movement import ResizeOp
from .stage import Stage, channels_of, lanes_divide_channels, same_lanes
from .types import StreamType, stream_of


def _windows_of(value: SSAValue) -> WindowOp | None:
    """The windows that a stream carries, their words regrouped or not."""
    while isinstance(value.owner, ResizeOp):
        value = value.owner.operand
    return value.owner if isinstance(value.owner, WindowOp) else None


def _refuse_regrouped(op: Stage, windows: WindowOp) -> None:
    """Words of several groups come tap by tap: in other lanes the elements would have another order."""
    if windows.result is not op.operands[0]:
        raise VerifyException(f"{op.name}: the words of windows of several groups cannot be regrouped")


@irdl_op_definition
class WindowOp(Stage, Windowed):
    """The windows of an image, pixel by pixel, group of channels by group, each with its rows, columns and channels.

    One group are all channels, as a convolution takes them; for pools each channel is one. The lanes are a part of a
    group, or whole groups: then a word has the channels of several groups, and their windows come tap by tap. The
    result is [OH, OW, taps * C].
    """

    name = "flow.window"
    operand = operand_def(StreamType)
    pad_code = prop_def(IntegerAttr)
    groups = prop_def(IntegerAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, window: Window, pad_code: int, groups: int) -> None:
        stream = stream_of(operand)
        height, width, channels = stream.shape
        shape = (*window.output_size(height, width), window.taps * channels)
        super().__init__(
            operands=[operand],
            properties={
                **window.attributes(),
                "pad_code": IntegerAttr(pad_code, i64),
                "groups": IntegerAttr(groups, i64),
            },
            result_types=[StreamType.of(tensor_of(shape, stream.tensor.element_type))],
        )

    @property
    def group_channels(self) -> int:
        """Channels of a group."""
        return channels_of(stream_of(self.operand)) // self.groups.value.data

    @property
    def groups_in_word(self) -> int:
        """Groups that a word is of."""
        return max(1, stream_of(self.result).lanes.data // self.group_channels)

    def verify_(self) -> None:
        same_lanes(self)
        lanes_divide_channels(self, self.operand)
        source, window, groups = stream_of(self.operand), self.window(), self.groups.value.data
        height, width, channels = source.shape
        if groups < 1 or channels % groups:
            raise VerifyException(f"flow.window: {groups} groups of {channels} channels")
        few, many = sorted((source.lanes.data, self.group_channels))
        if many % few:
            raise VerifyException(
                f"flow.window: {source.lanes.data} lanes are no part of a group of {self.group_channels} channels,"
                " and not whole groups"
            )
        wanted = tensor_of((*window.output_size(height, width), window.taps * channels), source.tensor.element_type)
        if stream_of(self.result).tensor != wanted:
            raise VerifyException(f"flow.window: the result carries {stream_of(self.result).tensor}, not {wanted}")


@irdl_op_definition
class MvauOp(Stage):
    """Ternary products of a dense layer or a convolution: each group of a vector times its own rows.

    A unit has PE = lanes out by SIMD = lanes in, parts of the rows and columns of a group: then a pixel has a vector
    for each group, one after the other. Or it has whole groups side by side, as a depthwise convolution has, whose
    windows come tap by tap; or all of a pixel at once.
    """

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
    def rows(self) -> int:
        """Outputs of a group, N."""
        return channels_of(stream_of(self.result)) // self.groups.value.data

    @property
    def columns(self) -> int:
        """Inputs of a group, K."""
        return weight(self, self.weight).cols.value.data

    @property
    def pixels(self) -> int:
        """Pixels of a frame: so many vectors, of all groups each."""
        return stream_of(self.result).elements // channels_of(stream_of(self.result))

    @property
    def taps(self) -> int:
        """Pixels of a window."""
        windows = _windows_of(self.operand)
        return windows.window().taps if windows is not None else 1

    def groups_at_once(self, lanes_in: int, lanes_out: int) -> int:
        """Whole groups side by side in a unit of so many lanes; 0 where a group's vectors pass one after the other."""
        channels, groups = self.columns // self.taps, self.groups.value.data
        count = lanes_in // channels
        whole = lanes_in == count * channels and lanes_out == count * self.rows and groups % count == 0
        return count if groups > 1 and whole else 0

    def takes_pixels(self, lanes_in: int, lanes_out: int) -> bool:
        """Whether a unit of so many lanes takes all groups of a pixel's vector at once."""
        groups = self.groups.value.data
        return (lanes_in, lanes_out) == (groups * self.columns, groups * self.rows)

    def verify_(self) -> None:
        lanes_divide_channels(self, self.result)
        groups, source, result = self.groups.value.data, stream_of(self.operand), stream_of(self.result)
        if groups < 1 or channels_of(result) % groups:
            raise VerifyException(f"flow.mvau: {groups} groups of {channels_of(result)} result channels")
        if weight(self, self.weight).rows.value.data != groups * self.rows:
            raise VerifyException("flow.mvau: the weight has another number of rows than the result channels")
        if self.pixels * groups * self.columns != source.elements or self.columns % self.taps:
            raise VerifyException(f"flow.mvau: vectors of {groups * self.columns} do not fit {self.operand.type}")
        self._verify_lanes(source.lanes.data, result.lanes.data)
        self._verify_windows(source.lanes.data, result.lanes.data)

    def _verify_lanes(self, simd: int, pe: int) -> None:
        parts = self.columns % simd == 0 and self.rows % pe == 0
        if not (parts or self.groups_at_once(simd, pe) or self.takes_pixels(simd, pe)):
            raise VerifyException(
                f"flow.mvau: {simd} lanes in and {pe} out are no parts of a group of {self.columns} x {self.rows},"
                " and not whole groups"
            )

    def _verify_windows(self, simd: int, pe: int) -> None:
        windows = _windows_of(self.operand)
        if windows is None:
            return
        if windows.groups != self.groups:
            raise VerifyException(
                f"flow.mvau: windows of {windows.groups.value.data} groups for {self.groups.value.data} groups"
            )
        found, wanted = windows.groups_in_word, max(1, self.groups_at_once(simd, pe))
        if found > 1:
            _refuse_regrouped(self, windows)
        if found != wanted:
            raise VerifyException(f"flow.mvau: its words are of {wanted} groups, those of its windows of {found}")


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
        if (windows := _windows_of(self.operand)) is not None:
            _refuse_regrouped(self, windows)
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
