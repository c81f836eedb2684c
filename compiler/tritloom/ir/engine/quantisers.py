"""Instructions that gather statistics of a vector: quantisers, which fill a code slot, and reductions."""

from __future__ import annotations

from ..mlir import (
    AttrSizedOperandSegments,
    FloatAttr,
    IntegerAttr,
    IRDLOperation,
    Operation,
    ParsePropInAttrDict,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)
from ..tern import check_static
from .checks import check_engine_vector, check_places
from .types import CodesType, NormType, VectorType, engine_length


@irdl_op_definition
class QuantizeOp(IRDLOperation):
    """Norms and absmax quantiser (docs/numerics.md, *quantize*). Without `eps0` there is no norm, with `eps1` there
    are two; given `norm`, the factor in the register is used and no statistics are gathered."""

    name = "engine.quantize"
    a = operand_def(VectorType)
    b = opt_operand_def(VectorType)
    norm = opt_operand_def(NormType)
    gain = prop_def(SymbolRefAttr)
    first_gain = opt_prop_def(SymbolRefAttr)
    eps0 = opt_prop_def(FloatAttr)
    eps1 = opt_prop_def(FloatAttr)
    slot = opt_prop_def(IntegerAttr)
    codes = result_def(CodesType)
    factor = result_def(NormType)

    irdl_options = (AttrSizedOperandSegments(as_property=True), ParsePropInAttrDict())
    assembly_format = (
        "$a (`times` $b^)? (`norm` $norm^)? attr-dict `:` type($a) (`times` type($b)^)?"
        " (`norm` type($norm)^)? `->` type($codes) `,` type($factor)"
    )

    def __init__(
        self,
        a: SSAValue,
        b: SSAValue | None,
        norm: SSAValue | None,
        gain: SymbolRefAttr,
        first_gain: SymbolRefAttr | None,
        eps0: FloatAttr | None,
        eps1: FloatAttr | None,
    ) -> None:
        super().__init__(
            operands=[a, b, norm],
            properties={"gain": gain, "first_gain": first_gain, "eps0": eps0, "eps1": eps1},
            result_types=[CodesType.of(engine_length(a)), NormType()],
        )

    def verify_(self) -> None:
        check_places(self)
        length = engine_length(self.a)
        check_engine_vector(self, self.gain, length)
        check_engine_vector(self, self.first_gain, length)
        if (self.first_gain is None) != (self.eps1 is None):
            raise VerifyException("engine.quantize: first_gain and eps1 go together")
        if self.eps1 is not None and self.eps0 is None:
            raise VerifyException("engine.quantize: eps1 needs eps0")
        if (self.b is not None and engine_length(self.b) != length) or engine_length(self.codes) != length:
            raise VerifyException("engine.quantize: operands and codes differ in length")
        if any(eps is not None and not eps.value.data >= 0.0 for eps in (self.eps0, self.eps1)):
            raise VerifyException("engine.quantize: an epsilon must not be negative")
        if self.norm is not None and not self._shares(self.norm):
            raise VerifyException(
                "engine.quantize: norm must be the factor of a quantize of the same vector, norms and epsilons"
            )

    def _shares(self, norm: SSAValue) -> bool:
        """Whether `norm` is the factor that this quantiser would compute itself."""
        owner = norm.owner
        if not isinstance(owner, QuantizeOp) or self.eps0 is None:
            return False
        theirs = (owner.a, owner.b, owner.first_gain, owner.eps0, owner.eps1)
        return theirs == (self.a, self.b, self.first_gain, self.eps0, self.eps1)


@irdl_op_definition
class QuantizeRangeOp(IRDLOperation):
    """Asymmetric quantiser over the range of a vector (docs/numerics.md, *quantize*)."""

    name = "engine.quantize_range"
    a = operand_def(VectorType)
    slot = opt_prop_def(IntegerAttr)
    codes = result_def(CodesType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$a attr-dict `:` type($a) `->` type($codes)"

    def __init__(self, a: SSAValue) -> None:
        super().__init__(operands=[a], result_types=[CodesType.of(engine_length(a), zero=True)])

    def verify_(self) -> None:
        check_places(self)
        if self.codes.type != CodesType.of(engine_length(self.a), zero=True):
            raise VerifyException("engine.quantize_range: the codes are as long as the operand, and have a zero")


@irdl_op_definition
class QuantizeStaticOp(IRDLOperation):
    """Quantiser of a fixed step (docs/numerics.md, *quantize*)."""

    name = "engine.quantize_static"
    a = operand_def(VectorType)
    step = prop_def(FloatAttr)
    zero_code = prop_def(IntegerAttr)
    low = prop_def(IntegerAttr)
    high = prop_def(IntegerAttr)
    offset = prop_def(IntegerAttr)
    slot = opt_prop_def(IntegerAttr)
    codes = result_def(CodesType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$a attr-dict `:` type($a) `->` type($codes)"

    def __init__(
        self,
        a: SSAValue,
        step: FloatAttr,
        zero_code: IntegerAttr,
        low: IntegerAttr,
        high: IntegerAttr,
        offset: IntegerAttr,
    ) -> None:
        super().__init__(
            operands=[a],
            properties={"step": step, "zero_code": zero_code, "low": low, "high": high, "offset": offset},
            result_types=[CodesType.of(engine_length(a), zero=zero_code.value.data != 0)],
        )

    def verify_(self) -> None:
        check_places(self)
        check_static(self, self.step, self.zero_code, self.low, self.high)
        if self.codes.type != CodesType.of(engine_length(self.a), zero=self.zero_code.value.data != 0):
            raise VerifyException(
                "engine.quantize_static: the codes are as long as the operand, and have a zero if its code is not 0"
            )


@irdl_op_definition
class ReduceOp(IRDLOperation):
    """The mean of a vector, or with `eps` its norm factor `1/sqrt(mean(a^2) + eps)`, in the register."""

    name = "engine.reduce"
    a = operand_def(VectorType)
    eps = opt_prop_def(FloatAttr)
    factor = result_def(NormType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$a attr-dict `:` type($a) `->` type($factor)"

    def __init__(self, a: SSAValue, eps: FloatAttr | None = None) -> None:
        super().__init__(operands=[a], properties={"eps": eps}, result_types=[NormType()])

    def verify_(self) -> None:
        if self.eps is not None and not self.eps.value.data >= 0.0:
            raise VerifyException("engine.reduce: eps must not be negative")


Quantizer = QuantizeOp | QuantizeRangeOp | QuantizeStaticOp
QUANTIZERS = (QuantizeOp, QuantizeRangeOp, QuantizeStaticOp)
"""Operations that fill a code slot."""


def fills_register(op: Operation) -> bool:
    """Whether an operation leaves another factor in the register."""
    return isinstance(op, ReduceOp) or (isinstance(op, QuantizeOp) and op.norm is None)
