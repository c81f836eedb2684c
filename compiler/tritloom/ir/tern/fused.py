"""What the fusion passes make: operations that one engine instruction computes."""

from __future__ import annotations

from ..mlir import (
    AttrSizedOperandSegments,
    FloatAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    Pure,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    f32,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from .symbols import check_vector
from .types import Serial, StateType, codes_type, length_of, vector_type


@irdl_op_definition
class NormQuantizeOp(IRDLOperation):
    """One or two RMSNorms folded into the absmax quantiser behind them (docs/numerics.md, *quantize*).

    With u = a * gain [* b]: the codes need A = max|u| alone; the norms' factor g joins the scale, `scale = A * g`.
    `first_gain` and `eps1` belong to a second norm: `gain` is then the product of both gains, `eps0` the epsilon of
    the outer (first applied) norm and `eps1` that of the inner. A quantiser given `norm` takes g from there, where
    another quantiser of the same vector has computed it.
    """

    name = "tern.norm_quantize"
    a = operand_def()
    b = opt_operand_def()
    norm = opt_operand_def(f32)
    gain = prop_def(SymbolRefAttr)
    first_gain = opt_prop_def(SymbolRefAttr)
    eps0 = prop_def(FloatAttr)
    eps1 = opt_prop_def(FloatAttr)
    codes = result_def()
    scale = result_def(f32)
    factor = result_def(f32)

    irdl_options = (AttrSizedOperandSegments(as_property=True), ParsePropInAttrDict())
    assembly_format = (
        "$a (`times` $b^)? (`norm` $norm^)? attr-dict `:` type($a) (`times` type($b)^)? `->` type($codes)"
    )
    traits = traits_def(Pure())

    def __init__(
        self,
        a: SSAValue,
        gain: str,
        eps0: float,
        b: SSAValue | None = None,
        first_gain: str | None = None,
        eps1: float | None = None,
        norm: SSAValue | None = None,
    ) -> None:
        super().__init__(
            operands=[a, b, norm],
            properties={
                "gain": SymbolRefAttr(gain),
                "first_gain": SymbolRefAttr(first_gain) if first_gain is not None else None,
                "eps0": FloatAttr(eps0, f32),
                "eps1": FloatAttr(eps1, f32) if eps1 is not None else None,
            },
            result_types=[codes_type(length_of(a)), f32, f32],
        )

    def verify_(self) -> None:
        check_vector(self, self.gain, length_of(self.a))
        check_vector(self, self.first_gain, length_of(self.a))
        if (self.first_gain is None) != (self.eps1 is None):
            raise VerifyException("tern.norm_quantize: first_gain and eps1 go together")
        if self.b is not None and length_of(self.b) != length_of(self.a):
            raise VerifyException("tern.norm_quantize: a and b differ in length")
        if length_of(self.codes) != length_of(self.a):
            raise VerifyException("tern.norm_quantize: operand and codes differ in length")


@irdl_op_definition
class SwigluOp(IRDLOperation):
    """`silu(u_j) * v_j`, u and v the first and second half of the operand: the gate of the channel mixer."""

    name = "tern.swiglu"
    operand = operand_def()
    result = result_def()

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[vector_type(length_of(operand) // 2)])

    def verify_(self) -> None:
        if length_of(self.operand) != 2 * length_of(self.result):
            raise VerifyException("tern.swiglu: the operand must be twice as long as the result")


@irdl_op_definition
class HgrnOp(IRDLOperation):
    """The token mixer's gates and recurrence (docs/numerics.md, *hgrn*).

    `f = sigmoid(forget)`; `f = lower + (1 - lower)*f`; `h' = flush(f*h + silu(input)*(1 - f))`; the result is
    silu(h'). Without `lower` the bound is 0. Serial over positions.
    """

    name = "tern.hgrn"
    forget = operand_def()
    input = operand_def()
    state = operand_def(StateType)
    lower = opt_prop_def(SymbolRefAttr)
    next_state = result_def(StateType)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$forget `,` $input `,` $state attr-dict `:` type($forget) `,` type($input) `,` type($state)"
        " `->` type($next_state) `,` type($result)"
    )
    traits = traits_def(Pure(), Serial())

    def __init__(self, forget: SSAValue, input: SSAValue, state: SSAValue, lower: str | None) -> None:
        super().__init__(
            operands=[forget, input, state],
            properties={"lower": SymbolRefAttr(lower) if lower is not None else None},
            result_types=[state.type, vector_type(length_of(state))],
        )

    def verify_(self) -> None:
        lengths = {length_of(value) for value in (self.forget, self.input, self.state, self.result)}
        if len(lengths) != 1:
            raise VerifyException(f"tern.hgrn: operands differ in length: {sorted(lengths)}")
        check_vector(self, self.lower, length_of(self.state))
        if self.state.type != self.next_state.type:
            raise VerifyException("tern.hgrn: the state changes its type")
