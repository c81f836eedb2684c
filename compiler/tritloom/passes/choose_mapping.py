"""Map the model to the engine: every operation becomes a macro-instruction, or part of one.

A product takes in the operation behind it as its epilogue where that is its only user: a residual addition, the
channel mixer's gate, the token mixer, or the output of the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import InputError
from ..ir import engine, tern
from ..ir.bindings import bind, bound_tensor
from ..ir.locations import fused_location, onnx_names
from ..ir.mlir import Context, ModuleOp, ModulePass, Operation, OpResult, SSAValue, SymbolRefAttr
from .epilogues import epilogue_of, gives_logits, is_constant
from .general_path import Expression, constant_of
from .rewriting import model_of, splat_vector
from .stages import need_tern

_KINDS = engine.EpilogueKind
_MOST_ROWS, _FEWEST_ROWS, _ROW_BYTES = 2048, 64, 1 << 20


@dataclass
class Mapping:
    """Translation of one model: tern values to engine values, in the order of the operations."""

    model: tern.ModelOp
    values: dict[SSAValue, SSAValue] = field(default_factory=dict)
    norms: dict[SSAValue, SSAValue] = field(default_factory=dict)
    deferred: set[Operation] = field(default_factory=set)
    table: SymbolRefAttr | None = None
    new_ops: list[Operation] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def emit(self, new: Operation, *sources: Operation) -> Operation:
        """Append an operation that stands for `sources`."""
        new.location = fused_location(*sources) or new.location
        self.new_ops.append(new)
        return new

    def get(self, value: SSAValue) -> SSAValue:
        """Engine value of a tern value."""
        return self.values.get(value, value)

    def get_or_constant(self, value: SSAValue) -> SSAValue | float | SymbolRefAttr:
        """Engine value of a tern value, or the constant that an instruction takes in its place."""
        constant = constant_of(value)
        return self.get(value) if constant is None else constant

    @contextmanager
    def expression(self, *sources: Operation) -> Iterator[Expression]:
        """Instructions of one expression, appended as operations that stand for `sources`."""
        collected = Expression([])
        yield collected
        for op in collected.ops:
            self.emit(op, *sources)

    def result(self, old: SSAValue, new: SSAValue) -> None:
        """`new` takes the place of `old`, with its name and its ONNX binding."""
        self.values[old] = new
        new.name_hint = new.name_hint or old.name_hint
        if isinstance(new, OpResult) and (tensor := bound_tensor(old)):
            bound = [(bound_tensor(result) or "") for result in new.op.results]
            bound[new.index] = tensor
            bind(new.op, bound)

    def refuse(self, op: Operation, reason: str) -> None:
        nodes = ", ".join(onnx_names(op)) or "no ONNX node"
        self.refused.append(f"{op.name} ({nodes}): {reason}")


def _embedding(mapping: Mapping, op: tern.EmbeddingOp) -> None:
    if op.table != (mapping.table or op.table):
        mapping.refuse(op, "the engine reads one embedding table")
        return
    mapping.table = op.table
    new = engine.EmbedOp(mapping.get(op.token), op.table, tern.length_of(op.result))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def rows_fed(length: int) -> int:
    """Rows in the memory that vectors of a length are fed through: what a start takes at most, 2048, or what fits into
    a MiB, but no fewer than 64."""
    return min(_MOST_ROWS, max(_FEWEST_ROWS, _ROW_BYTES // (4 * length)))


def _receive(mapping: Mapping) -> None:
    """The vector that the step is fed with, first of all."""
    if mapping.model.vector_length is None:
        return
    vector = mapping.model.body.block.args[0]
    new = engine.ReceiveOp(vector, rows_fed(mapping.model.vector_length))
    mapping.emit(new)
    mapping.result(vector, new.result)


def _norm_quantize(mapping: Mapping, op: tern.NormQuantizeOp) -> None:
    new = engine.QuantizeOp(
        mapping.get(op.a),
        mapping.get(op.b) if op.b is not None else None,
        mapping.norms[op.norm] if op.norm is not None else None,
        op.gain,
        op.first_gain,
        op.eps0,
        op.eps1,
    )
    mapping.emit(new, op)
    mapping.result(op.codes, new.codes)
    mapping.norms[op.factor] = new.factor


def _quantize_absmax(mapping: Mapping, op: tern.QuantizeAbsmaxOp) -> None:
    ones = SymbolRefAttr(splat_vector(op, 1.0, tern.length_of(op.operand)))
    new = engine.QuantizeOp(mapping.get(op.operand), None, None, ones, None, None, None)
    mapping.emit(new, op)
    mapping.result(op.codes, new.codes)


def _quantize_range(mapping: Mapping, op: tern.QuantizeRangeOp) -> None:
    new = engine.QuantizeRangeOp(mapping.get(op.operand))
    mapping.emit(new, op)
    mapping.result(op.codes, new.codes)


def _quantize_static(mapping: Mapping, op: tern.QuantizeStaticOp) -> None:
    new = engine.QuantizeStaticOp(mapping.get(op.operand), op.step, op.zero_code, op.low, op.high, op.offset)
    mapping.emit(new, op)
    mapping.result(op.codes, new.codes)


def _rms_norm(mapping: Mapping, op: tern.RmsNormOp) -> None:
    with mapping.expression(op) as expression:
        mapping.result(op.result, expression.rms_norm(mapping.get(op.operand), op.gain, op.eps))


def _center(mapping: Mapping, op: tern.CenterOp) -> None:
    with mapping.expression(op) as expression:
        mapping.result(op.result, expression.center(mapping.get(op.operand)))


def _product(
    mapping: Mapping,
    op: tern.LinearOp,
    kind: engine.EpilogueKind,
    length: int,
    src: SSAValue | None = None,
    state: SSAValue | None = None,
    lower: SymbolRefAttr | None = None,
) -> engine.LinearOp:
    """A product with an epilogue."""
    codes = mapping.get(op.codes)
    return engine.LinearOp(codes, op.weight, kind, length, src, state, lower, op.row_scales, op.bias)


def _linear(mapping: Mapping, op: tern.LinearOp) -> None:
    if epilogue_of(op) is not None:
        mapping.deferred.add(op)
        return
    kind = _KINDS.LOGITS if gives_logits(op) else _KINDS.STORE
    new = _product(mapping, op, kind, tern.length_of(op.result))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def _deferred_linear(mapping: Mapping, value: SSAValue) -> tern.LinearOp | None:
    owner = value.owner
    return owner if isinstance(owner, tern.LinearOp) and owner in mapping.deferred else None


def _swiglu(mapping: Mapping, op: tern.SwigluOp) -> None:
    linear = _deferred_linear(mapping, op.operand)
    length = tern.length_of(op.result)
    if linear is not None:
        new = _product(mapping, linear, _KINDS.SWIGLU, length)
        mapping.emit(new, linear, op)
        mapping.result(op.result, new.result)
    elif length % 16:
        mapping.refuse(op, f"its second half begins at {length}, which is not a multiple of 16")
    else:
        with mapping.expression(op) as expression:
            mapping.result(op.result, expression.swiglu(mapping.get(op.operand)))


def _hgrn(mapping: Mapping, op: tern.HgrnOp) -> None:
    linear = _deferred_linear(mapping, op.forget)
    if linear is None:
        with mapping.expression(op) as expression:
            forget, value, state = (mapping.get(operand) for operand in (op.forget, op.input, op.state))
            next_state, result = expression.hgrn(forget, value, state, op.lower)
        mapping.result(op.next_state, next_state)
        mapping.result(op.result, result)
        return
    length = tern.length_of(op.state)
    lower = op.lower or SymbolRefAttr(splat_vector(op, 0.0, length))
    new = _product(mapping, linear, _KINDS.HGRN, length, mapping.get(op.input), mapping.get(op.state), lower)
    mapping.emit(new, linear, op)
    mapping.result(op.result, new.result)
    if new.next_state is not None:
        mapping.result(op.next_state, new.next_state)


def _binary(mapping: Mapping, op: tern.BinaryOp) -> None:
    if isinstance(op, tern.AddOp):
        for operand, other in ((op.rhs, op.lhs), (op.lhs, op.rhs)):
            if (linear := _deferred_linear(mapping, operand)) is not None:
                new = _product(mapping, linear, _KINDS.ADD, tern.length_of(op.result), mapping.get(other))
                mapping.emit(new, linear, op)
                mapping.result(op.result, new.result)
                return
    _elementwise(mapping, op)


_COMMUTATIVE = (tern.AddOp, tern.MulOp, tern.MaxOp, tern.MinOp)


def _elementwise(mapping: Mapping, op: tern.BinaryOp) -> None:
    lhs, rhs = op.lhs, op.rhs
    if is_constant(lhs) and is_constant(rhs):
        mapping.refuse(op, "both operands are constants: fold them in the model")
        return
    if is_constant(lhs) and isinstance(op, _COMMUTATIVE):
        lhs, rhs = rhs, lhs
    function = engine.FunctionKind(op.name.removeprefix("tern."))
    with mapping.expression(op) as expression:
        constant = constant_of(lhs)
        a = mapping.get(lhs) if constant is None else expression.fill(constant, mapping.get(rhs))
        mapping.result(op.result, expression.apply(function, a, mapping.get_or_constant(rhs)))


def _unary(mapping: Mapping, op: tern.UnaryOp) -> None:
    function = engine.FunctionKind(op.name.removeprefix("tern."))
    new = engine.ElementwiseOp(function, mapping.get(op.operand))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def _slice(mapping: Mapping, op: tern.SliceOp) -> None:
    if op.offset.value.data % 16:
        mapping.refuse(op, f"offset {op.offset.value.data} is not a multiple of 16")
        return
    new = engine.ViewOp(mapping.get(op.operand), op.offset.value.data, tern.length_of(op.result))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def _recurrence(mapping: Mapping, op: tern.RecurrenceOp) -> None:
    """The general path: read the state, multiply, add, write it back; one position at a time."""
    with mapping.expression(op) as expression:
        forget, value = mapping.get_or_constant(op.forget), mapping.get_or_constant(op.input)
        next_state, result = expression.recurrence(forget, value, mapping.get(op.state))
    mapping.result(op.next_state, next_state)
    mapping.result(op.result, result)


def _read_state(mapping: Mapping, op: tern.ReadStateOp) -> None:
    new = engine.LoadStateOp(mapping.get(op.state))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def _write_state(mapping: Mapping, op: tern.WriteStateOp) -> None:
    new = engine.StoreStateOp(mapping.get(op.value), mapping.get(op.state))
    mapping.emit(new, op)
    mapping.result(op.next_state, new.next_state)


def _nothing(mapping: Mapping, op: Operation) -> None:
    """Constants are taken up by their users."""


def _return(mapping: Mapping, op: tern.ReturnOp) -> None:
    outputs = len(mapping.model.output_names)
    if outputs != 1 or not isinstance(mapping.get(op.values[0]).type, engine.LogitsType):
        mapping.refuse(op, "the engine gives one output, the rows of a last ternary product (the logits)")
    mapping.emit(tern.ReturnOp([mapping.get(value) for value in op.values]), op)


_TRANSLATE: dict[type[Operation], Callable[..., None]] = {
    tern.EmbeddingOp: _embedding,
    tern.NormQuantizeOp: _norm_quantize,
    tern.QuantizeAbsmaxOp: _quantize_absmax,
    tern.QuantizeRangeOp: _quantize_range,
    tern.QuantizeStaticOp: _quantize_static,
    tern.RmsNormOp: _rms_norm,
    tern.LinearOp: _linear,
    tern.SwigluOp: _swiglu,
    tern.HgrnOp: _hgrn,
    tern.RecurrenceOp: _recurrence,
    tern.ReadStateOp: _read_state,
    tern.WriteStateOp: _write_state,
    tern.LoadOp: _nothing,
    tern.FillOp: _nothing,
    tern.SliceOp: _slice,
    tern.ReturnOp: _return,
    **dict.fromkeys(tern.BINARY.values(), _binary),
    **dict.fromkeys(tern.UNARY.values(), _unary),
    tern.CenterOp: _center,
}


_TAKE_CONSTANTS = (tern.BinaryOp, tern.RecurrenceOp, tern.ReturnOp)


def _check_states(mapping: Mapping) -> None:
    """A state is one memory: it is written once, and its old value is not read afterwards."""
    order = {op: index for index, op in enumerate(mapping.model.body.block.ops)}
    results = [result for op in order for result in op.results]
    for value in (*mapping.model.body.block.args, *results):
        if not isinstance(value.type, tern.StateType):
            continue
        users = sorted({use.operation for use in value.uses}, key=lambda user: order[user])
        writers = [user for user in users if any(isinstance(result.type, tern.StateType) for result in user.results)]
        if writers and users[-1] is not writers[0]:
            name = value.type.input.data
            mapping.refuse(users[-1], f"it reads or writes state '{name}' again after its new value is there")


def _translate(mapping: Mapping) -> None:
    """Translate every operation; what follows from a refused one is left out, so that one run lists all refusals."""
    lost: set[SSAValue] = set()
    for op in mapping.model.body.block.ops:
        before = len(mapping.refused)
        if any(operand in lost for operand in op.operands):
            lost.update(op.results)
        elif any(is_constant(operand) for operand in op.operands) and not isinstance(op, _TAKE_CONSTANTS):
            mapping.refuse(op, "an operand is a constant: fold it in the model")
        elif (function := _TRANSLATE.get(type(op))) is not None:
            function(mapping, op)
        else:
            mapping.refuse(op, "the engine has no instruction for it")
        if len(mapping.refused) > before:
            lost.update(op.results)


@dataclass(frozen=True)
class ChooseMapping(ModulePass):
    """Map every operation to the engine, products with the epilogue behind them.

    Before:
        %y = tern.linear %codes, %scale {weight = @o_proj}
        %x1 = tern.add %x, %y
    After:
        %x1 = engine.linear %codes src %x {weight = @o_proj, epilogue = #engine<epilogue add>}
    """

    name: ClassVar[str] = "choose-mapping"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        need_tern(op, self.name)
        model = model_of(op)
        mapping = Mapping(model)
        _check_states(mapping)
        _receive(mapping)
        _translate(mapping)
        if mapping.refused:
            raise InputError(
                "the engine mapping cannot take:\n  " + "\n  ".join(mapping.refused),
                "See docs/ir.md, 'What the engine computes'.",
            )
        block = model.body.block
        for old in reversed(list(block.ops)):
            block.erase_op(old, safe_erase=False)
        block.add_ops(mapping.new_ops)
