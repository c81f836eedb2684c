"""Quantisers of activations, and the ternary products of their codes."""

from __future__ import annotations

from typing import Final

from ..mlir import (
    FloatAttr,
    IntegerAttr,
    IRDLOperation,
    OpResult,
    ParsePropInAttrDict,
    Pure,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    f32,
    i8,
    i32,
    i64,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from .symbols import check_vector, weight
from .types import accumulator_type, check_elements, codes_type, length_of, vector_type

_LARGEST_SUM: Final = 2**24 - 1
"""Integers up to this are exact in float32."""
_ABSMAX_LEVELS: Final = 127
LOWEST_CODE: Final = -128
HIGHEST_CODE: Final = 127


@irdl_op_definition
class QuantizeAbsmaxOp(IRDLOperation):
    """Per-token absmax int8 quantiser: `codes = clamp(round(x * 127/A), -128, 127)`, `scale = A`, A = max|x|."""

    name = "tern.quantize_absmax"
    operand = operand_def()
    codes = result_def()
    scale = result_def(f32)

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($codes)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[codes_type(length_of(operand)), f32])

    def verify_(self) -> None:
        if check_elements(self, f32, self.operand) != check_elements(self, i8, self.codes):
            raise VerifyException("tern.quantize_absmax: operand and codes differ in length")


@irdl_op_definition
class QuantizeRangeOp(IRDLOperation):
    """Per-token asymmetric quantiser, ONNX DynamicQuantizeLinear less 128 (docs/numerics.md, *quantize*).

    `codes = clamp(round(x * 255/R) + zero, -128, 127)` with R the distance from min(x, 0) to max(x, 0), `scale = R/255`
    and `zero` the code of 0.
    """

    name = "tern.quantize_range"
    operand = operand_def()
    codes = result_def()
    scale = result_def(f32)
    zero = result_def(i32)

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($codes)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[codes_type(length_of(operand)), f32, i32])

    def verify_(self) -> None:
        if check_elements(self, f32, self.operand) != check_elements(self, i8, self.codes):
            raise VerifyException("tern.quantize_range: operand and codes differ in length")


@irdl_op_definition
class QuantizeStaticOp(IRDLOperation):
    """Uniform quantiser of a fixed step: `codes = clamp(round(x * (1/step)) + zero_code, low, high)`.

    `scale` is the step and `zero` the code of 0. The graph's codes are these plus `offset`: 128 for an unsigned type.
    """

    name = "tern.quantize_static"
    operand = operand_def()
    step = prop_def(FloatAttr)
    zero_code = prop_def(IntegerAttr)
    low = prop_def(IntegerAttr)
    high = prop_def(IntegerAttr)
    offset = prop_def(IntegerAttr)
    codes = result_def()
    scale = result_def(f32)
    zero = result_def(i32)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($codes)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, step: float, zero: int, low: int, high: int, offset: int) -> None:
        numbers = {"zero_code": zero, "low": low, "high": high, "offset": offset}
        super().__init__(
            operands=[operand],
            properties={
                "step": FloatAttr(step, f32),
                **{name: IntegerAttr(number, i64) for name, number in numbers.items()},
            },
            result_types=[codes_type(length_of(operand)), f32, i32],
        )

    def verify_(self) -> None:
        if check_elements(self, f32, self.operand) != check_elements(self, i8, self.codes):
            raise VerifyException("tern.quantize_static: operand and codes differ in length")
        check_static(self, self.step, self.zero_code, self.low, self.high)


def check_static(op: IRDLOperation, step: FloatAttr, zero: IntegerAttr, low: IntegerAttr, high: IntegerAttr) -> None:
    """Verify the step and the codes of a static quantiser."""
    if not 0.0 < step.value.data < float("inf"):
        raise VerifyException(f"{op.name}: the step must be positive and finite")
    if not LOWEST_CODE <= low.value.data <= high.value.data <= HIGHEST_CODE:
        raise VerifyException(f"{op.name}: low and high must be codes from {LOWEST_CODE} to {HIGHEST_CODE}, in order")
    if not LOWEST_CODE <= zero.value.data <= HIGHEST_CODE:
        raise VerifyException(f"{op.name}: the code of zero must lie between {LOWEST_CODE} and {HIGHEST_CODE}")


def levels_of(scale: SSAValue) -> int:
    """What a quantiser's scale is to be divided by to give what one code is worth: 127 where it is max|x|."""
    return 1 if isinstance(scale.owner, QuantizeRangeOp | QuantizeStaticOp) else _ABSMAX_LEVELS


def zero_of(codes: SSAValue) -> SSAValue | None:
    """The code of 0 of the quantiser that made `codes`; None where it is 0 itself."""
    quantiser = codes.owner
    if isinstance(quantiser, QuantizeStaticOp) and quantiser.zero_code.value.data == 0:
        return None
    return quantiser.zero if isinstance(quantiser, QuantizeRangeOp | QuantizeStaticOp) else None


def check_product(
    op: IRDLOperation, reference: SymbolRefAttr, codes: SSAValue, zero: SSAValue | None, result: SSAValue
) -> None:
    """Verify a ternary product: shapes agree, the codes are taken less their zero, and sums stay exact in float32."""
    matrix = weight(op, reference)
    check_elements(op, i8, codes)
    if matrix.cols.value.data != length_of(codes):
        raise VerifyException(
            f"{op.name}: @{matrix.sym_name.data} has {matrix.cols.value.data} columns, the codes {length_of(codes)}"
        )
    if matrix.rows.value.data != length_of(result):
        raise VerifyException(
            f"{op.name}: @{matrix.sym_name.data} has {matrix.rows.value.data} rows, the result {length_of(result)}"
        )
    if zero != zero_of(codes):
        raise VerifyException(f"{op.name}: zero must be that of the quantiser that made the codes, if it is not 0")
    longest = _LARGEST_SUM // (_ABSMAX_LEVELS if zero is None else HIGHEST_CODE - LOWEST_CODE)
    if matrix.cols.value.data > longest:
        raise VerifyException(f"{op.name}: {matrix.cols.value.data} columns overflow an exact sum (at most {longest})")


def is_scale_of(scale: SSAValue, codes: SSAValue) -> bool:
    """Whether `scale` is the scale (the result behind the codes) of the quantiser that made `codes`."""
    if not isinstance(scale, OpResult) or not isinstance(codes, OpResult):
        return False
    return scale.op is codes.op and (codes.index, scale.index) == (0, 1)


@irdl_op_definition
class DotOp(IRDLOperation):
    """Exact ternary product: int32 sums of codes, each less the code of 0 where that is not 0."""

    name = "tern.dot"
    codes = operand_def()
    zero = opt_operand_def(i32)
    weight = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$codes (`less` $zero^)? attr-dict `:` type($codes) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, codes: SSAValue, weight: str, rows: int) -> None:
        super().__init__(
            operands=[codes, zero_of(codes)],
            properties={"weight": SymbolRefAttr(weight)},
            result_types=[accumulator_type(rows)],
        )

    def verify_(self) -> None:
        check_elements(self, i32, self.result)
        check_product(self, self.weight, self.codes, self.zero, self.result)


@irdl_op_definition
class DequantizeOp(IRDLOperation):
    """Back from sums of codes to values: `float(acc) * (scale * (weight_scale/127))` where scale is A = max|x|, and
    `float(acc) * (scale * weight_scale)` where it is what a code is worth."""

    name = "tern.dequantize"
    acc = operand_def()
    scale = operand_def(f32)
    weight_scale = prop_def(FloatAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$acc `,` $scale attr-dict `:` type($acc) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, acc: SSAValue, scale: SSAValue, weight_scale: float) -> None:
        super().__init__(
            operands=[acc, scale],
            properties={"weight_scale": FloatAttr(weight_scale, f32)},
            result_types=[vector_type(length_of(acc))],
        )

    def verify_(self) -> None:
        if check_elements(self, i32, self.acc) != check_elements(self, f32, self.result):
            raise VerifyException("tern.dequantize: sums and result differ in length")


@irdl_op_definition
class LinearOp(IRDLOperation):
    """Ternary product and rescale, as `tern.dot` and `tern.dequantize`; then `* row_scales_j`, then `+ bias_j`."""

    name = "tern.linear"
    codes = operand_def()
    scale = operand_def(f32)
    zero = opt_operand_def(i32)
    weight = prop_def(SymbolRefAttr)
    row_scales = opt_prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$codes `,` $scale (`less` $zero^)? attr-dict `:` type($codes) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(
        self,
        codes: SSAValue,
        scale: SSAValue,
        weight: str,
        rows: int,
        row_scales: SymbolRefAttr | None = None,
        bias: SymbolRefAttr | None = None,
    ) -> None:
        super().__init__(
            operands=[codes, scale, zero_of(codes)],
            properties={"weight": SymbolRefAttr(weight), "row_scales": row_scales, "bias": bias},
            result_types=[vector_type(rows)],
        )

    def verify_(self) -> None:
        rows = check_elements(self, f32, self.result)
        check_product(self, self.weight, self.codes, self.zero, self.result)
        check_vector(self, self.row_scales, rows)
        check_vector(self, self.bias, rows)
        if not is_scale_of(self.scale, self.codes):
            raise VerifyException("tern.linear: the scale must come from the quantiser that made the codes")
