"""Layers of nets that compute in integers, exactly: convolution, dense product, pooling, sum, concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import ClassVar

from ..mlir import (
    ArrayAttr,
    Attribute,
    EnumAttribute,
    IntegerAttr,
    IntegerType,
    IRDLOperation,
    ParsePropInAttrDict,
    Pure,
    SpacedOpaqueSyntaxAttribute,
    SSAValue,
    StrEnum,
    SymbolRefAttr,
    VerifyException,
    i64,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from .integers import element_of, integer_for, range_of, shape_of, tensor_of
from .symbols import weight


def _integers(values: Sequence[int]) -> ArrayAttr[Attribute]:
    return ArrayAttr([IntegerAttr(value, i64) for value in values])


def _list(attribute: ArrayAttr[Attribute]) -> list[int]:
    return [item.value.data for item in attribute if isinstance(item, IntegerAttr)]


class Window:
    """Geometry of windows: each list is (rows, columns), pads are (top, left, bottom, right)."""

    def __init__(self, kernel: list[int], strides: list[int], pads: list[int], dilations: list[int]) -> None:
        self.kernel, self.strides, self.pads, self.dilations = kernel, strides, pads, dilations

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def padded(self) -> bool:
        return any(self.pads)

    def extent(self, axis: int) -> int:
        """Rows (0) or columns (1) that a window spans."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        sizes = (height + self.pads[0] + self.pads[2], width + self.pads[1] + self.pads[3])
        rows, columns = ((size - self.extent(axis)) // self.strides[axis] + 1 for axis, size in enumerate(sizes))
        return max(rows, 0), max(columns, 0)

    def attributes(self) -> dict[str, Attribute]:
        return {name: _integers(getattr(self, name)) for name in ("kernel", "strides", "pads", "dilations")}


class Windowed(IRDLOperation):
    """What convolution and pooling share: windows over rows and columns, ONNX's attributes in ONNX's order."""

    kernel = prop_def(ArrayAttr)
    strides = prop_def(ArrayAttr)
    pads = prop_def(ArrayAttr)
    dilations = prop_def(ArrayAttr)

    def window(self) -> Window:
        return Window(*(_list(part) for part in (self.kernel, self.strides, self.pads, self.dilations)))

    def check_window(self, operand: SSAValue, result: SSAValue) -> Window:
        """Verify the attributes, and rows and columns of the result. Returns the window."""
        window = self.window()
        lengths = [len(part) for part in (window.kernel, window.strides, window.pads, window.dilations)]
        if (
            lengths != [2, 2, 4, 2]
            or min(*window.kernel, *window.strides, *window.dilations) < 1
            or min(window.pads) < 0
        ):
            raise VerifyException(f"{self.name}: kernel, strides, pads or dilations are malformed")
        source, found = shape_of(operand), shape_of(result)
        if len(source) != 3 or len(found) != 3:
            raise VerifyException(f"{self.name}: operand and result are tensors [H, W, C]")
        if found[:2] != (wanted := window.output_size(source[0], source[1])):
            raise VerifyException(
                f"{self.name}: the result has {found[0]} x {found[1]} pixels, not {wanted[0]} x {wanted[1]}"
            )
        return window


@irdl_op_definition
class Conv2dOp(Windowed):
    """Exact sums of codes times trits over windows. A row of the weight holds (ky, kx, c), c counting within its group.

    Outside of the image the code is `pad_code`, the zero point. A 1-D convolution has one row.
    """

    name = "tern.conv2d"
    operand = operand_def()
    weight = prop_def(SymbolRefAttr)
    groups = prop_def(IntegerAttr)
    pad_code = prop_def(IntegerAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand $weight attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(
        self,
        operand: SSAValue,
        weight: str,
        channels: int,
        window: Window,
        element: IntegerType,
        groups: int = 1,
        pad_code: int = 0,
    ) -> None:
        height, width, _ = shape_of(operand)
        super().__init__(
            operands=[operand],
            properties={
                "weight": SymbolRefAttr(weight),
                **window.attributes(),
                "groups": IntegerAttr(groups, i64),
                "pad_code": IntegerAttr(pad_code, i64),
            },
            result_types=[tensor_of((*window.output_size(height, width), channels), element)],
        )

    def verify_(self) -> None:
        window = self.check_window(self.operand, self.result)
        element_of(self.result)
        low, high = range_of(element_of(self.operand))
        if window.padded and not low <= self.pad_code.value.data <= high:
            raise VerifyException(
                f"tern.conv2d: the pad code {self.pad_code.value.data} is no code of {self.operand.type}"
            )
        groups, channels, filters = self.groups.value.data, shape_of(self.operand)[2], shape_of(self.result)[2]
        if groups < 1 or channels % groups or filters % groups:
            raise VerifyException(f"tern.conv2d: {groups} groups of {channels} channels and {filters} filters")
        found = weight(self, self.weight)
        wanted = (filters, window.taps * channels // groups)
        if (found.rows.value.data, found.cols.value.data) != wanted:
            raise VerifyException(
                f"tern.conv2d: @{found.sym_name.data} is {found.rows.value.data} x {found.cols.value.data},"
                f" not {wanted[0]} x {wanted[1]}"
            )


@irdl_op_definition
class DenseOp(IRDLOperation):
    """Exact sums of a whole tensor, in channels-last order, times trits."""

    name = "tern.dense"
    operand = operand_def()
    weight = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand $weight attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, weight: str, rows: int, element: IntegerType) -> None:
        super().__init__(
            operands=[operand],
            properties={"weight": SymbolRefAttr(weight)},
            result_types=[tensor_of((rows,), element)],
        )

    def verify_(self) -> None:
        element_of(self.operand)
        element_of(self.result)
        found = weight(self, self.weight)
        wanted = (*shape_of(self.result), math.prod(shape_of(self.operand)))
        if (found.rows.value.data, found.cols.value.data) != wanted:
            raise VerifyException(
                f"tern.dense: @{found.sym_name.data} does not take {self.operand.type} to {self.result.type}"
            )


class Pooling(StrEnum):
    """What a pool makes of a window."""

    MAX = "max"
    SUM = "sum"


@irdl_attr_definition
class PoolingAttr(EnumAttribute[Pooling], SpacedOpaqueSyntaxAttribute):
    name = "tern.pooling"


@irdl_op_definition
class PoolOp(Windowed):
    """The largest code of each window, or their sum, by channel. Padding never wins a maximum, and adds nothing."""

    name = "tern.pool"
    operand = operand_def()
    kind = prop_def(PoolingAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, kind: Pooling, window: Window) -> None:
        height, width, channels = shape_of(operand)
        element = element_of(operand)
        if kind == Pooling.SUM:
            low, high = range_of(element)
            element = integer_for(window.taps * low, window.taps * high)
        super().__init__(
            operands=[operand],
            properties={"kind": PoolingAttr(kind), **window.attributes()},
            result_types=[tensor_of((*window.output_size(height, width), channels), element)],
        )

    def verify_(self) -> None:
        self.check_window(self.operand, self.result)
        if shape_of(self.operand)[2] != shape_of(self.result)[2]:
            raise VerifyException("tern.pool: operand and result differ in channels")
        if self.kind.data == Pooling.MAX and element_of(self.operand) != element_of(self.result):
            raise VerifyException("tern.pool: a maximum has the type of its operand")
        element_of(self.result)


@irdl_op_definition
class SumOp(IRDLOperation):
    """`a * lhs + b * rhs` of two integer tensors of one shape, exact; `factors` = [a, b] are positive, 1 by default."""

    name = "tern.sum"
    lhs = operand_def()
    rhs = operand_def()
    factors = opt_prop_def(ArrayAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue, rhs: SSAValue, factors: tuple[int, int] = (1, 1)) -> None:
        super().__init__(
            operands=[lhs, rhs],
            properties={"factors": _integers(factors) if factors != (1, 1) else None},
            result_types=[tensor_of(shape_of(lhs), integer_for(*_sum_range((lhs, rhs), factors)))],
        )

    @property
    def multiples(self) -> tuple[int, int]:
        """What each operand counts."""
        first, second = _list(self.factors) if self.factors is not None else (1, 1)
        return first, second

    def verify_(self) -> None:
        if self.factors is not None and (len(found := _list(self.factors)) != 2 or min(found) < 1):
            raise VerifyException("tern.sum: factors are two positive integers")
        if len({shape_of(value) for value in (self.lhs, self.rhs, self.result)}) != 1:
            raise VerifyException("tern.sum: operands and result differ in shape")
        least, most = _sum_range((self.lhs, self.rhs), self.multiples)
        low, high = range_of(element_of(self.result))
        if least < low or most > high:
            raise VerifyException(f"tern.sum: sums {least} to {most} do not fit {self.result.type}")


def _sum_range(values: Sequence[SSAValue], factors: Sequence[int]) -> tuple[int, int]:
    lows, highs = zip(*(range_of(element_of(value)) for value in values), strict=True)
    return sum(map(mul, factors, lows)), sum(map(mul, factors, highs))


@irdl_op_definition
class ConcatOp(IRDLOperation):
    """Channels of tensors of one type and size, one behind the other."""

    name = "tern.concat"
    inputs = var_operand_def()
    result = result_def()

    assembly_format: ClassVar[str] = "$inputs attr-dict `:` type($inputs) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, inputs: Sequence[SSAValue]) -> None:
        channels = sum(shape_of(value)[-1] for value in inputs)
        shape = (*shape_of(inputs[0])[:-1], channels)
        super().__init__(operands=[list(inputs)], result_types=[tensor_of(shape, element_of(inputs[0]))])

    def verify_(self) -> None:
        if {shape_of(value)[:-1] for value in self.inputs} != {shape_of(self.result)[:-1]}:
            raise VerifyException("tern.concat: operands and result differ in rows or columns")
        if sum(shape_of(value)[-1] for value in self.inputs) != shape_of(self.result)[-1]:
            raise VerifyException("tern.concat: the result has another number of channels than its operands together")
        if {element_of(value) for value in self.inputs} != {element_of(self.result)}:
            raise VerifyException("tern.concat: operands and result differ in element type")
