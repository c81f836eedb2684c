"""Types and attributes of the `engine` dialect."""

from __future__ import annotations

from enum import auto

from ..encoding import SLICE_TRITS
from ..mlir import (
    ArrayAttr,
    Attribute,
    AttrParser,
    EnumAttribute,
    IntAttr,
    IntegerAttr,
    ParametrizedAttribute,
    Printer,
    SpacedOpaqueSyntaxAttribute,
    SSAValue,
    StrEnum,
    TypeAttribute,
    VerifyException,
    irdl_attr_definition,
)


class EpilogueKind(StrEnum):
    """What the vector unit does with the rows of a product (docs/kernel.md)."""

    STORE = auto()
    ADD = auto()
    SWIGLU = auto()
    HGRN = auto()
    LOGITS = auto()


@irdl_attr_definition
class EpilogueAttr(EnumAttribute[EpilogueKind], SpacedOpaqueSyntaxAttribute):
    """`#engine<epilogue hgrn>`."""

    name = "engine.epilogue"


class FunctionKind(StrEnum):
    """Function of a `vector` instruction."""

    ADD = auto()
    SUB = auto()
    MUL = auto()
    DIV = auto()
    MAX = auto()
    MIN = auto()
    COPY = auto()
    SIGMOID = auto()
    SILU = auto()
    SQRT = auto()
    RELU = auto()


@irdl_attr_definition
class FunctionAttr(EnumAttribute[FunctionKind], SpacedOpaqueSyntaxAttribute):
    """`#engine<function silu>`."""

    name = "engine.function"


class _LengthType(ParametrizedAttribute, TypeAttribute):
    """A type with a number of elements: `!engine.<name><length>`.

    Subclasses declare `length` again: xDSL compares the fields of the class itself, not those of its bases.
    """

    length: IntAttr

    def verify(self) -> None:
        if self.length.data < 1:
            raise VerifyException(f"a vector has at least one element, not {self.length.data}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [IntAttr(parser.parse_integer())]

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string(f"<{self.length.data}>")


@irdl_attr_definition
class VectorType(_LengthType):
    """A float32 vector in the engine's vector memory, one a position."""

    name = "engine.vector"
    length: IntAttr


@irdl_attr_definition
class CodesType(_LengthType):
    """int8 codes in a code slot, with their scale; `zero`, 1 or 0, says whether the code of 0 may be another one.

    `!engine.codes<384>`, `!engine.codes<384, zero>`.
    """

    name = "engine.codes"
    length: IntAttr
    zero: IntAttr

    @staticmethod
    def of(length: int, *, zero: bool = False) -> CodesType:
        return CodesType(IntAttr(length), IntAttr(int(zero)))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            length = parser.parse_integer()
            zero = parser.parse_optional_punctuation(",") is not None
            if zero:
                parser.parse_keyword("zero")
            return [IntAttr(length), IntAttr(int(zero))]

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string(f"<{self.length.data}{', zero' if self.zero.data else ''}>")


@irdl_attr_definition
class LogitsType(_LengthType):
    """Values that leave the engine row by row: to the argmax, the top-k list and, on request, the memory."""

    name = "engine.logits"
    length: IntAttr


@irdl_attr_definition
class NormType(ParametrizedAttribute, TypeAttribute):
    """What the last instruction that gathers statistics left in its register: a norm factor, or a mean."""

    name = "engine.norm"


@irdl_attr_definition
class PackedAttr(ParametrizedAttribute):
    """Layout of a weight: `#engine.packed<escape5, slice = 80, ports = [...]>`, `ports` the rows that each carries."""

    name = "engine.packed"
    slice: IntAttr
    ports: Attribute

    def verify(self) -> None:
        if self.slice.data != SLICE_TRITS:
            raise VerifyException(f"#engine.packed: a slice holds {SLICE_TRITS} trits, not {self.slice.data}")
        if not isinstance(self.ports, ArrayAttr) or not all(isinstance(rows, IntegerAttr) for rows in self.ports):
            raise VerifyException("#engine.packed: ports must be an array of integers, the rows of each port")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            parser.parse_keyword("escape5")
            parser.parse_punctuation(",")
            parser.parse_keyword("slice")
            parser.parse_punctuation("=")
            trits = parser.parse_integer()
            parser.parse_punctuation(",")
            parser.parse_keyword("ports")
            parser.parse_punctuation("=")
            return [IntAttr(trits), parser.parse_attribute()]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"escape5, slice = {self.slice.data}, ports = ")
            printer.print_attribute(self.ports)


def engine_length(value: SSAValue) -> int:
    """Elements of a vector, code or logits value."""
    if isinstance(value.type, VectorType | CodesType | LogitsType):
        return value.type.length.data
    raise VerifyException(f"an engine vector or codes are needed, not {value.type}")
