"""Elementwise operations on vectors of one length: the general path for whatever has no fused form."""

from __future__ import annotations

from typing import ClassVar

from ..mlir import (
    FloatAttr,
    IntegerAttr,
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
from .symbols import check_vector
from .types import check_elements, length_of, vector_type


class BinaryOp(IRDLOperation):
    """`result_j = lhs_j op rhs_j`, each correctly rounded."""

    lhs = operand_def()
    rhs = operand_def()
    result = result_def()

    assembly_format: ClassVar[str] = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue, rhs: SSAValue) -> None:
        super().__init__(operands=[lhs, rhs], result_types=[vector_type(length_of(lhs))])

    def verify_(self) -> None:
        check_elements(self, f32, self.lhs, self.rhs, self.result)


class UnaryOp(IRDLOperation):
    """`result_j = op(operand_j)`."""

    operand = operand_def()
    result = result_def()

    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[vector_type(length_of(operand))])

    def verify_(self) -> None:
        check_elements(self, f32, self.operand, self.result)


@irdl_op_definition
class AddOp(BinaryOp):
    name = "tern.add"


@irdl_op_definition
class SubOp(BinaryOp):
    name = "tern.sub"


@irdl_op_definition
class MulOp(BinaryOp):
    name = "tern.mul"


@irdl_op_definition
class DivOp(BinaryOp):
    name = "tern.div"


@irdl_op_definition
class MaxOp(BinaryOp):
    name = "tern.max"


@irdl_op_definition
class MinOp(BinaryOp):
    name = "tern.min"


@irdl_op_definition
class SigmoidOp(UnaryOp):
    name = "tern.sigmoid"


@irdl_op_definition
class SiluOp(UnaryOp):
    name = "tern.silu"


@irdl_op_definition
class SqrtOp(UnaryOp):
    name = "tern.sqrt"


@irdl_op_definition
class ReluOp(UnaryOp):
    name = "tern.relu"


@irdl_op_definition
class CenterOp(UnaryOp):
    """`operand_j - mean(operand)`."""

    name = "tern.center"


@irdl_op_definition
class LoadOp(IRDLOperation):
    """A constant vector of the weight store."""

    name = "tern.load"
    vector = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$vector attr-dict `:` type($result)"
    traits = traits_def(Pure())

    def __init__(self, vector: str, length: int) -> None:
        super().__init__(properties={"vector": SymbolRefAttr(vector)}, result_types=[vector_type(length)])

    def verify_(self) -> None:
        check_vector(self, self.vector, check_elements(self, f32, self.result))


@irdl_op_definition
class FillOp(IRDLOperation):
    """A vector of one value."""

    name = "tern.fill"
    value = prop_def(FloatAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$value attr-dict `:` type($result)"
    traits = traits_def(Pure())

    def __init__(self, value: float, length: int) -> None:
        super().__init__(properties={"value": FloatAttr(value, f32)}, result_types=[vector_type(length)])

    def verify_(self) -> None:
        check_elements(self, f32, self.result)


@irdl_op_definition
class SliceOp(IRDLOperation):
    """Elements `offset` to `offset + length of the result` of a vector."""

    name = "tern.slice"
    operand = operand_def()
    offset = prop_def(IntegerAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, offset: int, length: int) -> None:
        super().__init__(
            operands=[operand],
            properties={"offset": IntegerAttr(offset, i64)},
            result_types=[vector_type(length)],
        )

    def verify_(self) -> None:
        check_elements(self, f32, self.operand)
        end = self.offset.value.data + check_elements(self, f32, self.result)
        if self.offset.value.data < 0 or end > length_of(self.operand):
            start, length = self.offset.value.data, length_of(self.operand)
            raise VerifyException(f"tern.slice: elements {start} to {end} of a vector of {length}")


BINARY: dict[str, type[BinaryOp]] = {
    "add": AddOp,
    "sub": SubOp,
    "mul": MulOp,
    "div": DivOp,
    "max": MaxOp,
    "min": MinOp,
}
UNARY: dict[str, type[UnaryOp]] = {
    "sigmoid": SigmoidOp,
    "silu": SiluOp,
    "sqrt": SqrtOp,
    "relu": ReluOp,
    "center": CenterOp,
}
