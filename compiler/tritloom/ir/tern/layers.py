"""Layers as they leave the importer: embedding, norm, quantiser, ternary product, recurrence."""

from __future__ import annotations

from ..mlir import (
    FloatAttr,
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
    prop_def,
    result_def,
    traits_def,
)
from .symbols import TableOp, check_vector, symbol, weight
from .types import Serial, StateType, accumulator_type, check_elements, codes_type, length_of, vector_type

_MAX_K = (2**24 - 1) // 127


@irdl_op_definition
class EmbeddingOp(IRDLOperation):
    """Row `token` of a table."""

    name = "tern.embedding"
    token = operand_def(i64)
    table = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$token attr-dict `:` type($result)"
    traits = traits_def(Pure())

    def __init__(self, token: SSAValue, table: str, length: int) -> None:
        super().__init__(
            operands=[token], properties={"table": SymbolRefAttr(table)}, result_types=[vector_type(length)]
        )

    def verify_(self) -> None:
        table = symbol(self, self.table)
        if not isinstance(table, TableOp) or table.cols.value.data != check_elements(self, f32, self.result):
            raise VerifyException("tern.embedding: the symbol must name a table as wide as the result")


@irdl_op_definition
class RmsNormOp(IRDLOperation):
    """`x / sqrt(mean(x^2) + eps) * gain` (RMSNorm, arXiv 1910.07467)."""

    name = "tern.rms_norm"
    operand = operand_def()
    gain = prop_def(SymbolRefAttr)
    eps = prop_def(FloatAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, gain: str, eps: float) -> None:
        super().__init__(
            operands=[operand],
            properties={"gain": SymbolRefAttr(gain), "eps": FloatAttr(eps, f32)},
            result_types=[vector_type(length_of(operand))],
        )

    def verify_(self) -> None:
        check_vector(self, self.gain, check_elements(self, f32, self.operand, self.result))
        if not self.eps.value.data >= 0.0:
            raise VerifyException("tern.rms_norm: eps must not be negative")


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


def check_product(op: IRDLOperation, reference: SymbolRefAttr, codes: SSAValue, result: SSAValue) -> None:
    """Verify a ternary product: shapes agree and the accumulator stays exact in float32 (127*K < 2^24)."""
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
    if matrix.cols.value.data > _MAX_K:
        raise VerifyException(f"{op.name}: {matrix.cols.value.data} columns overflow an exact sum (at most {_MAX_K})")


def is_scale_of(scale: SSAValue, codes: SSAValue) -> bool:
    """Whether `scale` is the scale (the result behind the codes) of the quantiser that made `codes`."""
    if not isinstance(scale, OpResult) or not isinstance(codes, OpResult):
        return False
    return scale.op is codes.op and (codes.index, scale.index) == (0, 1)


@irdl_op_definition
class DotOp(IRDLOperation):
    """Exact ternary product: int32 sums of codes."""

    name = "tern.dot"
    codes = operand_def()
    weight = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$codes attr-dict `:` type($codes) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, codes: SSAValue, weight: str, rows: int) -> None:
        super().__init__(
            operands=[codes], properties={"weight": SymbolRefAttr(weight)}, result_types=[accumulator_type(rows)]
        )

    def verify_(self) -> None:
        check_elements(self, i32, self.result)
        check_product(self, self.weight, self.codes, self.result)


@irdl_op_definition
class DequantizeOp(IRDLOperation):
    """`float(acc) * (scale * (weight_scale/127))`: back from sums of codes to values; scale is the quantiser's A."""

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
    """Ternary product and rescale: `float(sum T q) * (scale * (beta/127))`, beta the weight's scale."""

    name = "tern.linear"
    codes = operand_def()
    scale = operand_def(f32)
    weight = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$codes `,` $scale attr-dict `:` type($codes) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, codes: SSAValue, scale: SSAValue, weight: str, rows: int) -> None:
        super().__init__(
            operands=[codes, scale],
            properties={"weight": SymbolRefAttr(weight)},
            result_types=[vector_type(rows)],
        )

    def verify_(self) -> None:
        check_elements(self, f32, self.result)
        check_product(self, self.weight, self.codes, self.result)
        if not is_scale_of(self.scale, self.codes):
            raise VerifyException("tern.linear: the scale must come from the quantiser that made the codes")


@irdl_op_definition
class RecurrenceOp(IRDLOperation):
    """`h' = f*h + c`: the elementwise linear recurrence of the token mixer. Serial over positions."""

    name = "tern.recurrence"
    forget = operand_def()
    input = operand_def()
    state = operand_def(StateType)
    next_state = result_def(StateType)
    result = result_def()

    assembly_format = (
        "$forget `,` $input `,` $state attr-dict `:` type($forget) `,` type($input) `,` type($state)"
        " `->` type($next_state) `,` type($result)"
    )
    traits = traits_def(Pure(), Serial())

    def __init__(self, forget: SSAValue, input: SSAValue, state: SSAValue) -> None:
        super().__init__(operands=[forget, input, state], result_types=[state.type, vector_type(length_of(state))])

    def verify_(self) -> None:
        if check_elements(self, f32, self.forget, self.input, self.result) != length_of(self.state):
            raise VerifyException("tern.recurrence: operands and state differ in length")
        if self.state.type != self.next_state.type:
            raise VerifyException("tern.recurrence: the state changes its type")


@irdl_op_definition
class ReadStateOp(IRDLOperation):
    """The value of a state."""

    name = "tern.read_state"
    state = operand_def(StateType)
    result = result_def()

    assembly_format = "$state attr-dict `:` type($state) `->` type($result)"
    traits = traits_def(Pure(), Serial())

    def __init__(self, state: SSAValue) -> None:
        super().__init__(operands=[state], result_types=[vector_type(length_of(state))])

    def verify_(self) -> None:
        if length_of(self.state) != check_elements(self, f32, self.result):
            raise VerifyException("tern.read_state: state and result differ in length")


@irdl_op_definition
class WriteStateOp(IRDLOperation):
    """A state with a new value (magnitudes below 2^-40 become 0)."""

    name = "tern.write_state"
    value = operand_def()
    state = operand_def(StateType)
    next_state = result_def(StateType)

    assembly_format = "$value `,` $state attr-dict `:` type($value) `,` type($state) `->` type($next_state)"
    traits = traits_def(Pure(), Serial())

    def __init__(self, value: SSAValue, state: SSAValue) -> None:
        super().__init__(operands=[value, state], result_types=[state.type])

    def verify_(self) -> None:
        if length_of(self.state) != check_elements(self, f32, self.value) or self.state.type != self.next_state.type:
            raise VerifyException("tern.write_state: value and state differ")
