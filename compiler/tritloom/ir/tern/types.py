"""Types of the `tern` dialect, and shorthands for the builtin tensors it uses."""

from __future__ import annotations

from ..mlir import (
    Attribute,
    AttrParser,
    IntAttr,
    Operation,
    OpTrait,
    ParametrizedAttribute,
    Printer,
    SSAValue,
    StringAttr,
    TensorType,
    TypeAttribute,
    VerifyException,
    f32,
    i8,
    i32,
    irdl_attr_definition,
)


class Serial(OpTrait):
    """The operation goes over the positions of a prompt one after another; without this trait, all at once."""


@irdl_attr_definition
class StateType(ParametrizedAttribute, TypeAttribute):
    """A recurrent state of `size` floats, zero at the start, bound to a pair of ONNX input and output."""

    name = "tern.state"
    size: IntAttr
    input: StringAttr
    output: StringAttr

    @staticmethod
    def of(size: int, input_name: str, output_name: str) -> StateType:
        return StateType(IntAttr(size), StringAttr(input_name), StringAttr(output_name))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            size = parser.parse_integer()
            parser.parse_punctuation(",")
            source = parser.parse_str_literal()
            parser.parse_punctuation("->")
            return [IntAttr(size), StringAttr(source), StringAttr(parser.parse_str_literal())]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.size.data}, ")
            printer.print_string_literal(self.input.data)
            printer.print_string(" -> ")
            printer.print_string_literal(self.output.data)

    def verify(self) -> None:
        if self.size.data < 1:
            raise VerifyException(f"a state has at least one element, not {self.size.data}")


def vector_type(length: int) -> TensorType:
    """`tensor<length x f32>`: one position of an activation."""
    return TensorType(f32, [length])


def codes_type(length: int) -> TensorType:
    """`tensor<length x i8>`: quantised activations."""
    return TensorType(i8, [length])


def accumulator_type(length: int) -> TensorType:
    """`tensor<length x i32>`: exact sums."""
    return TensorType(i32, [length])


def length_of(value: SSAValue) -> int:
    """Elements of a vector, code or accumulator value; the size of a state."""
    if isinstance(value.type, StateType):
        return value.type.size.data
    if isinstance(value.type, TensorType) and len(shape := value.type.get_shape()) == 1 and shape[0] > 0:
        return shape[0]
    raise VerifyException(f"a one-dimensional tensor of a fixed size is needed, not {value.type}")


def check_elements(op: Operation, element: Attribute, *values: SSAValue) -> int:
    """Verify that `values` are one-dimensional tensors of `element`, all of one length. Returns the length."""
    lengths = [length_of(value) for value in values]
    for value in values:
        if not isinstance(value.type, TensorType) or value.type.element_type != element:
            raise VerifyException(f"{op.name}: a tensor of {element} is needed, not {value.type}")
    if len(set(lengths)) != 1:
        raise VerifyException(f"{op.name}: operands and results differ in length: {sorted(set(lengths))}")
    return lengths[0]
