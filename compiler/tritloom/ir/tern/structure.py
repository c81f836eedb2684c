"""The model: one step, from a token or a vector and the states to outputs and the new states."""

from __future__ import annotations

from ..mlir import (
    ArrayAttr,
    Attribute,
    Block,
    IRDLOperation,
    IsolatedFromAbove,
    IsTerminator,
    ParsePropInAttrDict,
    Region,
    SSAValue,
    StringAttr,
    SymbolOpInterface,
    TensorType,
    VerifyException,
    f32,
    i64,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
)
from .types import StateType, vector_type


@irdl_op_definition
class ModelOp(IRDLOperation):
    """One decoding step. The block's arguments are what it is fed with, a `token` (i64) or a `vector` of floats, and
    the states; the terminator returns the outputs, named by `outputs`, and then the new states in the order of the
    arguments."""

    name = "tern.model"
    sym_name = prop_def(StringAttr)
    token = opt_prop_def(StringAttr)
    vector = opt_prop_def(StringAttr)
    outputs = prop_def(ArrayAttr)
    body = region_def("single_block")

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$sym_name (`token` $token^)? (`vector` $vector^)? `outputs` $outputs $body attr-dict-with-keyword"
    )
    traits = traits_def(SymbolOpInterface(), IsolatedFromAbove())

    def __init__(
        self, name: str, source: str, outputs: list[str], states: list[StateType], vector: int | None = None
    ) -> None:
        """A step whose source, by its name in the ONNX file, is a token, or a vector of `vector` floats."""
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "token" if vector is None else "vector": StringAttr(source),
                "outputs": ArrayAttr([StringAttr(output) for output in outputs]),
            },
            regions=[Region(Block(arg_types=[i64 if vector is None else vector_type(vector), *states]))],
        )

    @property
    def source(self) -> str:
        """Name of the ONNX input that is the token or the vector."""
        name = self.token or self.vector
        return name.data if name is not None else ""

    @property
    def vector_length(self) -> int | None:
        """Floats of the vector; None where a token is fed."""
        source = self.body.block.args[0].type
        return source.get_shape()[0] if isinstance(source, TensorType) else None

    @property
    def states(self) -> list[StateType]:
        """Types of the states, in the order of the arguments."""
        return [arg.type for arg in self.body.block.args[1:] if isinstance(arg.type, StateType)]

    @property
    def output_names(self) -> list[str]:
        return [name.data for name in self.outputs if isinstance(name, StringAttr)]

    def verify_(self) -> None:
        args = self.body.block.args
        if (self.token is None) == (self.vector is None):
            raise VerifyException("tern.model: it is fed with a token or with a vector")
        if self.token is not None and (not args or args[0].type != i64):
            raise VerifyException("tern.model: the first argument must be the token, an i64")
        if self.vector is not None and (not args or not _is_vector(args[0].type)):
            raise VerifyException("tern.model: the first argument must be the vector, a tensor of f32 of one dimension")
        if len(self.states) != len(args) - 1:
            fed = "token" if self.token is not None else "vector"
            raise VerifyException(f"tern.model: every argument after the {fed} must be a !tern.state")
        names = [name for state in self.states for name in ("in " + state.input.data, "out " + state.output.data)]
        if len(set(names)) != len(names):
            raise VerifyException("tern.model: two states have the same input or output name")
        last = self.body.block.last_op
        if not isinstance(last, ReturnOp):
            raise VerifyException("tern.model: the body must end in tern.return")
        wanted = len(self.outputs) + len(self.states)
        if len(last.values) != wanted:
            raise VerifyException(f"tern.model: tern.return has {len(last.values)} values, not {wanted}")
        returned = [value.type for value in last.values[len(self.outputs) :]]
        if returned != self.states:
            raise VerifyException("tern.model: the returned states do not match the arguments")


def _is_vector(found: Attribute) -> bool:
    """Whether a type is that of a vector of floats."""
    return isinstance(found, TensorType) and found.get_element_type() == f32 and len(found.get_shape()) == 1


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Outputs and new states of the step."""

    name = "tern.return"
    values = var_operand_def()

    assembly_format = "($values^ `:` type($values))? attr-dict"
    traits = traits_def(IsTerminator())

    def __init__(self, values: list[SSAValue]) -> None:
        super().__init__(operands=[values])
