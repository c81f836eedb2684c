"""Stages that compute element by element: quantisers and sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..mlir import (
    ArrayAttr,
    Attribute,
    IntegerAttr,
    ParsePropInAttrDict,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    f32,
    i64,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    var_operand_def,
)
from ..tern import Form, FormAttr, steps
from ..tern import RequantizeOp as RequantizeLayer
from .stage import Stage, lanes_divide_channels, same_lanes
from .types import StreamType, stream_of


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
