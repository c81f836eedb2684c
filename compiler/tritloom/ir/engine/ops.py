"""Macro-instructions as operations: SSA values stand for buffers; `address` and `slot` come from plan-memory."""

from __future__ import annotations

from ..mlir import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    base,
    f32,
    i64,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
    traits_def,
)
from ..tern import StateType, TableOp, VectorOp, symbol, weight
from ..tern.types import Serial, length_of
from .types import (
    CodesType,
    EpilogueAttr,
    EpilogueKind,
    FunctionAttr,
    FunctionKind,
    LogitsType,
    NormType,
    VectorType,
    engine_length,
)

BINARY_FUNCTIONS = frozenset(list(FunctionKind)[:6])


def check_engine_vector(op: IRDLOperation, reference: SymbolRefAttr | None, length: int) -> None:
    """Verify that `reference`, if given, names a vector of `length` elements."""
    if reference is None:
        return
    found = symbol(op, reference)
    if not isinstance(found, VectorOp) or found.length.value.data != length:
        raise VerifyException(f"{op.name}: @{reference.root_reference.data} is not a vector of {length} elements")


def check_places(op: IRDLOperation) -> None:
    """Verify addresses (multiples of 16 floats) and slot, where plan-memory has given them."""
    for name in ("address", "state_address"):
        place = op.properties.get(name)
        if isinstance(place, IntegerAttr) and (place.value.data < 0 or place.value.data % 16):
            raise VerifyException(f"{op.name}: {name} {place.value.data} is not a multiple of 16")
    slot = op.properties.get("slot")
    if isinstance(slot, IntegerAttr) and slot.value.data < 0:
        raise VerifyException(f"{op.name}: slot {slot.value.data} is negative")


@irdl_op_definition
class EmbedOp(IRDLOperation):
    """Row `token` of the embedding table, to vector memory."""

    name = "engine.embed"
    token = operand_def(i64)
    table = prop_def(SymbolRefAttr)
    address = opt_prop_def(IntegerAttr)
    result = result_def(VectorType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$token attr-dict `:` type($result)"

    def __init__(self, token: SSAValue, table: SymbolRefAttr, length: int) -> None:
        super().__init__(operands=[token], properties={"table": table}, result_types=[VectorType(IntAttr(length))])

    def verify_(self) -> None:
        check_places(self)
        table = symbol(self, self.table)
        if not isinstance(table, TableOp) or table.cols.value.data != engine_length(self.result):
            raise VerifyException("engine.embed: the symbol must name a table as wide as the result")


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
            result_types=[CodesType(IntAttr(engine_length(a))), NormType()],
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
class LinearOp(IRDLOperation):
    """Ternary product of a code slot, and its epilogue (docs/numerics.md, *linear*).

    `src` is the residual of *add* and the input gate of *hgrn*; `state` and `lower` belong to *hgrn*. With *swiglu*
    the weight's two halves are taken row by row in turn.
    """

    name = "engine.linear"
    codes = operand_def(CodesType)
    src = opt_operand_def(VectorType)
    state = opt_operand_def(StateType)
    weight = prop_def(SymbolRefAttr)
    epilogue = prop_def(EpilogueAttr)
    lower = opt_prop_def(SymbolRefAttr)
    address = opt_prop_def(IntegerAttr)
    state_address = opt_prop_def(IntegerAttr)
    result = result_def(base(VectorType) | base(LogitsType))
    next_state = opt_result_def(StateType)

    irdl_options = (
        AttrSizedOperandSegments(as_property=True),
        AttrSizedResultSegments(as_property=True),
        ParsePropInAttrDict(),
    )
    assembly_format = (
        "$codes (`src` $src^)? (`state` $state^)? attr-dict `:` type($codes) (`src` type($src)^)?"
        " (`state` type($state)^)? `->` type($result) (`,` type($next_state)^)?"
    )

    def __init__(
        self,
        codes: SSAValue,
        weight: SymbolRefAttr,
        epilogue: EpilogueKind,
        length: int,
        src: SSAValue | None = None,
        state: SSAValue | None = None,
        lower: SymbolRefAttr | None = None,
    ) -> None:
        result = LogitsType if epilogue is EpilogueKind.LOGITS else VectorType
        super().__init__(
            operands=[codes, src, state],
            properties={"weight": weight, "epilogue": EpilogueAttr(epilogue), "lower": lower},
            result_types=[result(IntAttr(length)), state.type if state is not None else None],
        )

    @property
    def kind(self) -> EpilogueKind:
        return self.epilogue.data

    def verify_(self) -> None:
        check_places(self)
        matrix = weight(self, self.weight)
        rows, length = matrix.rows.value.data, engine_length(self.result)
        if matrix.cols.value.data != engine_length(self.codes):
            raise VerifyException(f"engine.linear: @{matrix.sym_name.data} and the codes differ in length")
        if rows != (2 * length if self.kind is EpilogueKind.SWIGLU else length):
            raise VerifyException(f"engine.linear: @{matrix.sym_name.data} has {rows} rows, the result {length}")
        if (self.src is not None) != (self.kind in (EpilogueKind.ADD, EpilogueKind.HGRN)):
            raise VerifyException("engine.linear: src belongs to the epilogues add and hgrn")
        hgrn = self.kind is EpilogueKind.HGRN
        if not (hgrn == (self.state is not None) == (self.next_state is not None) == (self.lower is not None)):
            raise VerifyException("engine.linear: state and lower belong to the epilogue hgrn")
        if self.src is not None and engine_length(self.src) != length:
            raise VerifyException("engine.linear: src and result differ in length")
        if self.state is not None and length_of(self.state) != length:
            raise VerifyException("engine.linear: state and result differ in length")
        if self.state is not None and self.next_state is not None and self.state.type != self.next_state.type:
            raise VerifyException("engine.linear: the state changes its type")
        if isinstance(self.result.type, LogitsType) != (self.kind is EpilogueKind.LOGITS):
            raise VerifyException("engine.linear: the epilogue logits makes !engine.logits, the others vectors")
        check_engine_vector(self, self.lower, length)


@irdl_op_definition
class ElementwiseOp(IRDLOperation):
    """Elementwise function. The second operand of a binary one is a vector, an immediate or a streamed constant."""

    name = "engine.vector"
    a = operand_def(VectorType)
    b = opt_operand_def(VectorType)
    function = prop_def(FunctionAttr)
    imm = opt_prop_def(FloatAttr)
    stream = opt_prop_def(SymbolRefAttr)
    address = opt_prop_def(IntegerAttr)
    result = result_def(VectorType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$a (`,` $b^)? attr-dict `:` type($a) (`,` type($b)^)? `->` type($result)"

    def __init__(
        self,
        function: FunctionKind,
        a: SSAValue,
        b: SSAValue | None = None,
        imm: float | None = None,
        stream: SymbolRefAttr | None = None,
    ) -> None:
        super().__init__(
            operands=[a, b],
            properties={
                "function": FunctionAttr(function),
                "imm": FloatAttr(imm, f32) if imm is not None else None,
                "stream": stream,
            },
            result_types=[a.type],
        )

    def verify_(self) -> None:
        check_places(self)
        given = sum(operand is not None for operand in (self.b, self.imm, self.stream))
        if given != (1 if self.function.data in BINARY_FUNCTIONS else 0):
            raise VerifyException(f"engine.vector: {self.function.data} has {given} second operands")
        if self.b is not None and self.b.type != self.a.type:
            raise VerifyException("engine.vector: the operands differ in length")
        if self.result.type != self.a.type:
            raise VerifyException("engine.vector: operand and result differ in length")
        check_engine_vector(self, self.stream, engine_length(self.a))


@irdl_op_definition
class LoadStateOp(IRDLOperation):
    """Copy a state to vector memory. Only where one position is computed at a time."""

    name = "engine.load_state"
    state = operand_def(StateType)
    address = opt_prop_def(IntegerAttr)
    state_address = opt_prop_def(IntegerAttr)
    result = result_def(VectorType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$state attr-dict `:` type($state) `->` type($result)"
    traits = traits_def(Serial())

    def __init__(self, state: SSAValue) -> None:
        super().__init__(operands=[state], result_types=[VectorType(IntAttr(length_of(state)))])

    def verify_(self) -> None:
        check_places(self)
        if length_of(self.state) != engine_length(self.result):
            raise VerifyException("engine.load_state: state and result differ in length")


@irdl_op_definition
class StoreStateOp(IRDLOperation):
    """Copy a vector to a state (magnitudes below 2^-40 become 0). Only where one position is computed at a time."""

    name = "engine.store_state"
    value = operand_def(VectorType)
    state = operand_def(StateType)
    state_address = opt_prop_def(IntegerAttr)
    next_state = result_def(StateType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$value `,` $state attr-dict `:` type($value) `,` type($state) `->` type($next_state)"
    traits = traits_def(Serial())

    def __init__(self, value: SSAValue, state: SSAValue) -> None:
        super().__init__(operands=[value, state], result_types=[state.type])

    def verify_(self) -> None:
        check_places(self)
        if length_of(self.state) != engine_length(self.value) or self.state.type != self.next_state.type:
            raise VerifyException("engine.store_state: value and state differ")


@irdl_op_definition
class ViewOp(IRDLOperation):
    """Part of a vector, in place: no instruction. The offset is a multiple of 16."""

    name = "engine.view"
    operand = operand_def(VectorType)
    offset = prop_def(IntegerAttr)
    result = result_def(VectorType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, offset: int, length: int) -> None:
        super().__init__(
            operands=[operand],
            properties={"offset": IntegerAttr(offset, i64)},
            result_types=[VectorType(IntAttr(length))],
        )

    def verify_(self) -> None:
        offset = self.offset.value.data
        if offset < 0 or offset % 16 or offset + engine_length(self.result) > engine_length(self.operand):
            raise VerifyException(f"engine.view: offset {offset} is not a multiple of 16 inside the vector")
