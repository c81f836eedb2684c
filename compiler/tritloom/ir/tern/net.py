"""A feed-forward net: from one input tensor to outputs, each frame on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ..mlir import (
    ArrayAttr,
    Attribute,
    AttrParser,
    Block,
    IntegerAttr,
    IntegerType,
    IRDLOperation,
    IsolatedFromAbove,
    NoneAttr,
    ParametrizedAttribute,
    ParsePropInAttrDict,
    Printer,
    Region,
    Signedness,
    StringAttr,
    SymbolOpInterface,
    TensorType,
    VerifyException,
    f16,
    f32,
    f64,
    i64,
    irdl_attr_definition,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
)
from .integers import element_of, is_signed, shape_of
from .structure import ReturnOp

_ELEMENTS: Final[dict[str, Attribute]] = {
    "float32": NoneAttr(),
    "float16": f16,
    "float64": f64,
    **{f"int{bits}": IntegerType(bits) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": IntegerType(bits, Signedness.UNSIGNED) for bits in (8, 16, 32, 64)},
}
"""Types that an output may have."""


@irdl_attr_definition
class PortAttr(ParametrizedAttribute):
    """An input or output as the ONNX file has it: `#tern.port<"x", [1, 28, 28], [1, 2, 0]>`.

    `shape` is a frame's, without the batch axis; `axes` are its axes in the order in which they are rows, columns and
    channels. `#tern.port<"label", [], [], i64>` is an output of another type than float32.
    """

    name = "tern.port"
    tensor: StringAttr
    shape: ArrayAttr[IntegerAttr]
    axes: ArrayAttr[IntegerAttr]
    element: Attribute

    @staticmethod
    def of(tensor: str, shape: Sequence[int], axes: Sequence[int], dtype: str = "float32") -> PortAttr:
        """A port; `dtype` is a name of numpy."""
        sizes, order = (ArrayAttr([IntegerAttr(value, i64) for value in values]) for values in (shape, axes))
        return PortAttr(StringAttr(tensor), sizes, order, _ELEMENTS[dtype])

    @property
    def dtype(self) -> str:
        """The ONNX element type of an output, in numpy's words."""
        return next(name for name, element in _ELEMENTS.items() if element == self.element)

    @property
    def dimensions(self) -> list[int]:
        return [value.value.data for value in self.shape]

    @property
    def order(self) -> list[int]:
        return [value.value.data for value in self.axes]

    def verify(self) -> None:
        if sorted(self.order) != list(range(len(self.dimensions))) or min(self.dimensions, default=1) < 1:
            raise VerifyException(f"#tern.port: {self.dimensions} with axes {self.order}")
        if self.element not in _ELEMENTS.values():
            raise VerifyException(f"#tern.port: no tensor of ONNX has elements of {self.element}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            tensor = parser.parse_str_literal()
            lists = []
            for _ in range(2):
                parser.parse_punctuation(",")
                numbers = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
                lists.append(ArrayAttr([IntegerAttr(value, i64) for value in numbers]))
            typed = parser.parse_optional_punctuation(",") is not None
            return [StringAttr(tensor), *lists, parser.parse_type() if typed else NoneAttr()]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string_literal(self.tensor.data)
            printer.print_string(f", {self.dimensions}, {self.order}")
            if self.element != NoneAttr():
                printer.print_string(", ")
                printer.print_attribute(self.element)


@irdl_op_definition
class NetOp(IRDLOperation):
    """A feed-forward net. The block's arguments are the inputs' frames in channels-last order, f32 or codes; the
    terminator returns the outputs, scores or indices."""

    name = "tern.net"
    sym_name = prop_def(StringAttr)
    inputs = prop_def(ArrayAttr)
    outputs = prop_def(ArrayAttr)
    body = region_def("single_block")

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name `inputs` $inputs `outputs` $outputs $body attr-dict-with-keyword"
    traits = traits_def(SymbolOpInterface(), IsolatedFromAbove())

    def __init__(
        self, name: str, inputs: Sequence[PortAttr], outputs: Sequence[PortAttr], types: Sequence[TensorType]
    ) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "inputs": ArrayAttr(list(inputs)),
                "outputs": ArrayAttr(list(outputs)),
            },
            regions=[Region(Block(arg_types=list(types)))],
        )

    @property
    def input_ports(self) -> list[PortAttr]:
        return [port for port in self.inputs if isinstance(port, PortAttr)]

    @property
    def output_ports(self) -> list[PortAttr]:
        return [port for port in self.outputs if isinstance(port, PortAttr)]

    def verify_(self) -> None:
        block, last = self.body.block, self.body.block.last_op
        if not isinstance(last, ReturnOp):
            raise VerifyException("tern.net: the body must end in tern.return")
        for ports, values in ((self.input_ports, block.args), (self.output_ports, last.values)):
            if len(ports) != len(values) or not ports:
                raise VerifyException(f"tern.net: {len(ports)} names for {len(values)} values")
            for port, value in zip(ports, values, strict=True):
                if math.prod(port.dimensions) != math.prod(shape_of(value)):
                    raise VerifyException(f"tern.net: '{port.tensor.data}' {port.dimensions} is no {value.type}")
        for port, value in zip(self.output_ports, last.values, strict=True):
            if isinstance(value.type, TensorType) and value.type.element_type == f32:
                continue
            if is_signed(element_of(value)) or port.dtype.startswith("float"):
                raise VerifyException("tern.net: the outputs are f32 scores, or indices in ports of integers")
