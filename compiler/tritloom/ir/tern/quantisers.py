"""Between floats and codes: the input's quantiser, the requantiser behind exact sums, the scores of the output."""

from __future__ import annotations

from collections.abc import Sequence

from ..mlir import (
    EnumAttribute,
    IntegerAttr,
    IntegerType,
    IRDLOperation,
    Operation,
    ParsePropInAttrDict,
    Pure,
    SpacedOpaqueSyntaxAttribute,
    SSAValue,
    StrEnum,
    SymbolRefAttr,
    TensorType,
    VerifyException,
    f32,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from .integers import element_of, range_of, shape_of, tensor_of
from .symbols import StepsOp, check_vector, symbol


def steps(op: Operation, reference: SymbolRefAttr) -> StepsOp:
    """The step function that `reference` names."""
    found = symbol(op, reference)
    if not isinstance(found, StepsOp):
        raise VerifyException(f"{op.name}: @{reference.root_reference.data} is no step function")
    return found


@irdl_op_definition
class QuantizeOp(IRDLOperation):
    """Codes of a float32 input: the step function of each element, as a rational number; NaN as 0."""

    name = "tern.quantize"
    operand = operand_def()
    function = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand $function attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, function: str, element: IntegerType) -> None:
        super().__init__(
            operands=[operand],
            properties={"function": SymbolRefAttr(function)},
            result_types=[tensor_of(shape_of(operand), element)],
        )

    def verify_(self) -> None:
        if not isinstance(self.operand.type, TensorType) or self.operand.type.element_type != f32:
            raise VerifyException("tern.quantize: the operand is a tensor of f32")
        check_steps(self, self.function, [self.operand], self.result)


class Form(StrEnum):
    """How a step function is computed on integers."""

    THRESHOLDS = "thresholds"
    MULTIPLY_SHIFT = "multiply_shift"


@irdl_attr_definition
class FormAttr(EnumAttribute[Form], SpacedOpaqueSyntaxAttribute):
    name = "tern.form"


@irdl_op_definition
class RequantizeOp(IRDLOperation):
    """Codes of exact sums, or of several code tensors of one shape: a step function of their affine sum.

    `form`, and for a multiplication `shift` and `multiplier_bits`, are set by `to-thresholds`.
    """

    name = "tern.requantize"
    inputs = var_operand_def()
    function = prop_def(SymbolRefAttr)
    form = opt_prop_def(FormAttr)
    shift = opt_prop_def(IntegerAttr)
    multiplier_bits = opt_prop_def(IntegerAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$inputs $function attr-dict `:` type($inputs) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, inputs: Sequence[SSAValue], function: str, element: IntegerType) -> None:
        super().__init__(
            operands=[list(inputs)],
            properties={"function": SymbolRefAttr(function)},
            result_types=[tensor_of(shape_of(inputs[0]), element)],
        )

    def verify_(self) -> None:
        for value in self.inputs:
            element_of(value)
        check_steps(self, self.function, list(self.inputs), self.result)
        multiplies = self.form is not None and self.form.data == Form.MULTIPLY_SHIFT
        if {self.shift is not None, self.multiplier_bits is not None} != {multiplies}:
            raise VerifyException("tern.requantize: shift and multiplier_bits belong to the form multiply_shift")


def check_steps(op: IRDLOperation, reference: SymbolRefAttr, operands: Sequence[SSAValue], result: SSAValue) -> None:
    """Verify that a step function fits its operands and its result."""
    function = steps(op, reference)
    name = function.sym_name.data
    if function.operands_.value.data != len(operands):
        raise VerifyException(f"{op.name}: @{name} takes {function.operands_.value.data} operands, not {len(operands)}")
    shapes = {shape_of(value) for value in (*operands, result)}
    if len(shapes) != 1:
        raise VerifyException(f"{op.name}: operands and result differ in shape: {sorted(shapes)}")
    if function.channels.value.data not in (1, shapes.pop()[-1]):
        raise VerifyException(f"{op.name}: @{name} has {function.channels.value.data} channels")
    low, high = range_of(element_of(result))
    if function.low.value.data < low or function.high > high:
        raise VerifyException(f"{op.name}: codes {function.low.value.data} to {function.high} do not fit {result.type}")


def check_exact(op: IRDLOperation, sums: SSAValue) -> None:
    """Verify that float32 holds every value of integer sums."""
    if element_of(sums).width.data > 25:
        raise VerifyException(f"{op.name}: sums of more than 25 bits are no exact float32 numbers")


@irdl_op_definition
class ScoresOp(IRDLOperation):
    """`float32(a) * scale[c] + offset[c]`, each operation correctly rounded: what the host makes of the last sums."""

    name = "tern.scores"
    operand = operand_def()
    scale = prop_def(SymbolRefAttr)
    offset = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, scale: str, offset: str) -> None:
        super().__init__(
            operands=[operand],
            properties={"scale": SymbolRefAttr(scale), "offset": SymbolRefAttr(offset)},
            result_types=[tensor_of(shape_of(operand), f32)],
        )

    def verify_(self) -> None:
        check_exact(self, self.operand)
        if shape_of(self.operand) != shape_of(self.result):
            raise VerifyException("tern.scores: operand and result differ in shape")
        for reference in (self.scale, self.offset):
            check_vector(self, reference, shape_of(self.operand)[-1])
