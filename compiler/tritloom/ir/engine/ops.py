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
    TensorType,
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
from ..tern import StateType, TableOp, symbol, weight
from ..tern.types import Serial, length_of
from .checks import check_engine_vector, check_places
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
class ReceiveOp(IRDLOperation):
    """The vector that the step is fed with, to vector memory.

    It is the instruction *embed*: vectors lie as `rows` rows of floats in the memory of the embedding table, where the
    runtime writes them before a start, and a token is the number of a row.
    """

    name = "engine.receive"
    vector = operand_def(TensorType)
    rows = prop_def(IntegerAttr)
    address = opt_prop_def(IntegerAttr)
    result = result_def(VectorType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$vector attr-dict `:` type($vector) `->` type($result)"

    def __init__(self, vector: SSAValue, rows: int) -> None:
        super().__init__(
            operands=[vector],
            properties={"rows": IntegerAttr(rows, i64)},
            result_types=[VectorType(IntAttr(length_of(vector)))],
        )

    def verify_(self) -> None:
        check_places(self)
        if length_of(self.vector) != engine_length(self.result):
            raise VerifyException("engine.receive: vector and result differ in length")
        if self.rows.value.data < 1:
            raise VerifyException("engine.receive: rows must be positive")


@irdl_op_definition
class LinearOp(IRDLOperation):
    """Ternary product of a code slot, and its epilogue (docs/numerics.md, *linear*).

    The rescaled sums are multiplied by `row_scales` and added to `bias` before the epilogue. `src` is the residual of
    *add* and the input gate of *hgrn*; `state` and `lower` belong to *hgrn*. With *swiglu* the weight's two halves are
    taken row by row in turn.
    """

    name = "engine.linear"
    codes = operand_def(CodesType)
    src = opt_operand_def(VectorType)
    state = opt_operand_def(StateType)
    weight = prop_def(SymbolRefAttr)
    epilogue = prop_def(EpilogueAttr)
    row_scales = opt_prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
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
        row_scales: SymbolRefAttr | None = None,
        bias: SymbolRefAttr | None = None,
    ) -> None:
        result = LogitsType if epilogue is EpilogueKind.LOGITS else VectorType
        super().__init__(
            operands=[codes, src, state],
            properties={
                "weight": weight,
                "epilogue": EpilogueAttr(epilogue),
                "row_scales": row_scales,
                "bias": bias,
                "lower": lower,
            },
            result_types=[result(IntAttr(length)), state.type if state is not None else None],
        )

    @property
    def kind(self) -> EpilogueKind:
        return self.epilogue.data

    @property
    def has_zero(self) -> bool:
        """Whether the code of 0 is to be taken off its codes."""
        return isinstance(self.codes.type, CodesType) and bool(self.codes.type.zero.data)

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
        check_engine_vector(self, self.row_scales, rows)
        check_engine_vector(self, self.bias, rows)


@irdl_op_definition
class ElementwiseOp(IRDLOperation):
    """Elementwise function. The second operand of a binary one is a vector, the register's factor, an immediate or a
    streamed constant."""

    name = "engine.vector"
    a = operand_def(VectorType)
    b = opt_operand_def(base(VectorType) | base(NormType))
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
        if self.b is not None and self.b.type not in (self.a.type, NormType()):
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
