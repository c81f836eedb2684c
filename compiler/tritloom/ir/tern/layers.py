"""Layers as they leave the importer: embedding, norm, recurrence."""

from __future__ import annotations

from ..mlir import (
    FloatAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    Pure,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    f32,
    i64,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from .symbols import TableOp, check_vector, symbol
from .types import Serial, StateType, check_elements, length_of, vector_type


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
