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
    i8,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from .symbols import check_vector
from .types import Serial, StateType, check_elements, codes_type, length_of, vector_type


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
    assembly_format = "$a (`times` $b^)? (`norm` $norm^)? attr-dict `:` type($a) (`times` type($b)^)? `->` type($codes)"
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
        length = check_elements(self, f32, self.a, *([self.b] if self.b is not None else []))
        check_vector(self, self.gain, length)
        check_vector(self, self.first_gain, length)
        if (self.first_gain is None) != (self.eps1 is None):
            raise VerifyException("tern.norm_quantize: first_gain and eps1 go together")
        if check_elements(self, i8, self.codes) != length:
            raise VerifyException("tern.norm_quantize: operand and codes differ in length")
        if any(eps is not None and not eps.value.data >= 0.0 for eps in (self.eps0, self.eps1)):
            raise VerifyException("tern.norm_quantize: an epsilon must not be negative")
        if self.norm is not None and not self._shares(self.norm):
            raise VerifyException(
                "tern.norm_quantize: norm must be the factor of a norm_quantize of the same vector, norms and epsilons"
            )

    def _shares(self, norm: SSAValue) -> bool:
        """Whether `norm` is the factor that this quantiser would compute itself."""
        owner = norm.owner
        if not isinstance(owner, NormQuantizeOp) or norm != owner.factor:
            return False
        theirs = (owner.a, owner.b, owner.first_gain, owner.eps0, owner.eps1)
        return theirs == (self.a, self.b, self.first_gain, self.eps0, self.eps1)


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
        if check_elements(self, f32, self.operand) != 2 * check_elements(self, f32, self.result):
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
        if check_elements(self, f32, self.forget, self.input, self.result) != length_of(self.state):
            raise VerifyException("tern.hgrn: operands and state differ in length")
        check_vector(self, self.lower, length_of(self.state))
        if self.state.type != self.next_state.type:
            raise VerifyException("tern.hgrn: the state changes its type")
