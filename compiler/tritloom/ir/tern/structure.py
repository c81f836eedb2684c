"""The model: one step, from a token and the states to outputs and the new states."""

from __future__ import annotations

from ..mlir import (
    ArrayAttr,
    Block,
    IRDLOperation,
    IsolatedFromAbove,
    IsTerminator,
    ParsePropInAttrDict,
    Region,
    SSAValue,
    StringAttr,
    SymbolOpInterface,
    VerifyException,
    i64,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
)
from .types import StateType


@irdl_op_definition
class ModelOp(IRDLOperation):
    """One decoding step. The block's arguments are the token (i64) and the states; the terminator returns the
    outputs, named by `outputs`, and then the new states in the order of the arguments."""

    name = "tern.model"
    sym_name = prop_def(StringAttr)
    token = prop_def(StringAttr)
    outputs = prop_def(ArrayAttr)
    body = region_def("single_block")

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name `token` $token `outputs` $outputs $body attr-dict-with-keyword"
    traits = traits_def(SymbolOpInterface(), IsolatedFromAbove())

    def __init__(self, name: str, token: str, outputs: list[str], states: list[StateType]) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "token": StringAttr(token),
                "outputs": ArrayAttr([StringAttr(output) for output in outputs]),
            },
            regions=[Region(Block(arg_types=[i64, *states]))],
        )

    @property
    def states(self) -> list[StateType]:
        """Types of the states, in the order of the arguments."""
        return [arg.type for arg in self.body.block.args[1:] if isinstance(arg.type, StateType)]

    @property
    def output_names(self) -> list[str]:
        return [name.data for name in self.outputs if isinstance(name, StringAttr)]

    def verify_(self) -> None:
        args = self.body.block.args
        if not args or args[0].type != i64:
            raise VerifyException("tern.model: the first argument must be the token, an i64")
        if len(self.states) != len(args) - 1:
            raise VerifyException("tern.model: every argument after the token must be a !tern.state")
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


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Outputs and new states of the step."""

    name = "tern.return"
    values = var_operand_def()

    assembly_format = "($values^ `:` type($values))? attr-dict"
    traits = traits_def(IsTerminator())

    def __init__(self, values: list[SSAValue]) -> None:
        super().__init__(operands=[values])
