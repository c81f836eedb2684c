"""Streams between the stages of a dataflow design."""

from __future__ import annotations

import math

from ..mlir import (
    Attribute,
    AttrParser,
    IntAttr,
    IntegerType,
    ParametrizedAttribute,
    Printer,
    SSAValue,
    TensorType,
    TypeAttribute,
    VerifyException,
    irdl_attr_definition,
)
from ..tern import is_signed


@irdl_attr_definition
class StreamType(ParametrizedAttribute, TypeAttribute):
    """A FIFO that carries a tensor a frame, `lanes` elements a word, channels fastest; `depth` words fit.

    `!flow.stream<tensor<28x28x16xui4>, lanes = 4, depth = 2>`. The lanes divide the elements of a frame.
    """

    name = "flow.stream"
    tensor: TensorType
    lanes: IntAttr
    depth: IntAttr

    @staticmethod
    def of(tensor: Attribute, lanes: int = 1, depth: int = 2) -> StreamType:
        if not isinstance(tensor, TensorType):
            raise TypeError(f"a stream carries a tensor, not {tensor}")
        return StreamType(tensor, IntAttr(lanes), IntAttr(depth))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.get_shape())

    @property
    def elements(self) -> int:
        """Elements of a frame."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of an element."""
        element = self.tensor.element_type
        return element.width.data if isinstance(element, IntegerType) else 32

    @property
    def signed(self) -> bool:
        """Whether an element has a sign, as a float has."""
        element = self.tensor.element_type
        return not isinstance(element, IntegerType) or is_signed(element)

    @property
    def words(self) -> int:
        """Words of a frame."""
        return self.elements // self.lanes.data

    def verify(self) -> None:
        if self.lanes.data < 1 or self.depth.data < 1:
            raise VerifyException(f"!flow.stream: {self.lanes.data} lanes, depth {self.depth.data}")
        if min(self.shape, default=0) < 1 or self.elements % self.lanes.data:
            raise VerifyException(f"!flow.stream: {self.lanes.data} lanes do not divide {self.tensor}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            tensor = parser.parse_type()
            numbers = []
            for keyword in ("lanes", "depth"):
                parser.parse_punctuation(",")
                parser.parse_keyword(keyword)
                parser.parse_punctuation("=")
                numbers.append(IntAttr(parser.parse_integer()))
            return [tensor, *numbers]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.tensor)
            printer.print_string(f", lanes = {self.lanes.data}, depth = {self.depth.data}")


def stream_of(value: SSAValue) -> StreamType:
    """The type of a stream."""
    if isinstance(value.type, StreamType):
        return value.type
    raise VerifyException(f"a !flow.stream is needed, not {value.type}")


def stream_element(value: SSAValue) -> IntegerType:
    """Element type of a stream of integers."""
    element = stream_of(value).tensor.element_type
    if isinstance(element, IntegerType):
        return element
    raise VerifyException(f"a stream of integers is needed, not {value.type}")
