"""Map the model to the engine: every operation becomes a macro-instruction, or part of one.

A product takes in the operation behind it as its epilogue where that is its only user: a residual addition, the
channel mixer's gate, the token mixer, or the output of the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import InputError
from ..ir import engine, tern
from ..ir.bindings import bind, bound_tensor
from ..ir.locations import fused_location, onnx_names
from ..ir.mlir import Context, ModuleOp, ModulePass, Operation, OpResult, SSAValue, SymbolRefAttr
from .rewriting import model_of, single_user, splat_vector

_KINDS = engine.EpilogueKind


@dataclass
class Mapping:
    """Translation of one model: tern values to engine values, in the order of the operations."""

    model: tern.ModelOp
    values: dict[SSAValue, SSAValue] = field(default_factory=dict)
    norms: dict[SSAValue, SSAValue] = field(default_factory=dict)
    deferred: set[Operation] = field(default_factory=set)
    new_ops: list[Operation] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def emit(self, new: Operation, *sources: Operation) -> Operation:
        """Append an operation that stands for `sources`."""
        new.location = fused_location(*sources) or new.location
        self.new_ops.append(new)
        return new

    def get(self, value: SSAValue) -> SSAValue:
        """Engine value of a tern value; constants become vectors where they are needed."""
        return self.values.get(value, value)

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


def _is_constant(value: SSAValue) -> bool:
    return isinstance(value.owner, tern.LoadOp | tern.FillOp)


def _epilogue_of(op: tern.LinearOp) -> Operation | None:
    """The operation that `op` can take in as its epilogue."""
    user = single_user(op.result)
    if isinstance(user, tern.SwigluOp):
        return user
    if isinstance(user, tern.HgrnOp) and user.forget == op.result:
        return user
    if isinstance(user, tern.AddOp):
        other = user.rhs if user.lhs == op.result else user.lhs
        # Of two products that are added, the one computed last takes in the addition.
        later = isinstance(other.owner, tern.LinearOp) and op.is_before_in_block(other.owner)
        return None if later or _is_constant(other) else user
    return None


def _embedding(mapping: Mapping, op: tern.EmbeddingOp) -> None:
    new = engine.EmbedOp(mapping.get(op.token), op.table, tern.length_of(op.result))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


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


def _linear(mapping: Mapping, op: tern.LinearOp) -> None:
    if _epilogue_of(op) is not None:
        mapping.deferred.add(op)
        return
    logits = isinstance(single_user(op.result), tern.ReturnOp)
    kind = _KINDS.LOGITS if logits else _KINDS.STORE
    new = engine.LinearOp(mapping.get(op.codes), op.weight, kind, tern.length_of(op.result))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def _deferred_linear(mapping: Mapping, value: SSAValue) -> tern.LinearOp | None:
    owner = value.owner
    return owner if isinstance(owner, tern.LinearOp) and owner in mapping.deferred else None


def _swiglu(mapping: Mapping, op: tern.SwigluOp) -> None:
    linear = _deferred_linear(mapping, op.operand)
    if linear is None:
        mapping.refuse(op, "its operand is no ternary product of its own")
        return
    length = tern.length_of(op.result)
    new = engine.LinearOp(mapping.get(linear.codes), linear.weight, _KINDS.SWIGLU, length)
    mapping.emit(new, linear, op)
    mapping.result(op.result, new.result)


def _hgrn(mapping: Mapping, op: tern.HgrnOp) -> None:
    linear = _deferred_linear(mapping, op.forget)
    if linear is None:
        mapping.refuse(op, "its forget gate is no ternary product of its own")
        return
    length = tern.length_of(op.state)
    lower = op.lower or SymbolRefAttr(splat_vector(op, 0.0, length))
    new = engine.LinearOp(
        mapping.get(linear.codes),
        linear.weight,
        _KINDS.HGRN,
        length,
        src=mapping.get(op.input),
        state=mapping.get(op.state),
        lower=lower,
    )
    mapping.emit(new, linear, op)
    mapping.result(op.result, new.result)
    if new.next_state is not None:
        mapping.result(op.next_state, new.next_state)


def _binary(mapping: Mapping, op: tern.BinaryOp) -> None:
    if isinstance(op, tern.AddOp):
        for operand, other in ((op.rhs, op.lhs), (op.lhs, op.rhs)):
            if (linear := _deferred_linear(mapping, operand)) is not None:
                length = tern.length_of(op.result)
                new = engine.LinearOp(
                    mapping.get(linear.codes), linear.weight, _KINDS.ADD, length, src=mapping.get(other)
                )
                mapping.emit(new, linear, op)
                mapping.result(op.result, new.result)
                return
    _elementwise(mapping, op)


_COMMUTATIVE = (tern.AddOp, tern.MulOp, tern.MaxOp, tern.MinOp)


def _elementwise(mapping: Mapping, op: tern.BinaryOp) -> None:
    lhs, rhs = op.lhs, op.rhs
    if _is_constant(lhs) and not _is_constant(rhs) and isinstance(op, _COMMUTATIVE):
        lhs, rhs = rhs, lhs
    function = engine.FunctionKind(op.name.removeprefix("tern."))
    a = _as_vector(mapping, lhs, op)
    constant = rhs.owner
    if isinstance(constant, tern.FillOp):
        new = engine.ElementwiseOp(function, a, imm=constant.value.value.data)
    elif isinstance(constant, tern.LoadOp):
        new = engine.ElementwiseOp(function, a, stream=constant.vector)
    else:
        new = engine.ElementwiseOp(function, a, mapping.get(rhs))
    mapping.emit(new, op)
    mapping.result(op.result, new.result)


def _as_vector(mapping: Mapping, value: SSAValue, like: tern.BinaryOp) -> SSAValue:
    """`value` in vector memory. A constant first operand is made from the other operand: x*0 + constant."""
    if not _is_constant(value):
        return mapping.get(value)
    zero = engine.ElementwiseOp(engine.FunctionKind.MUL, mapping.get(like.rhs), imm=0.0)
    mapping.emit(zero, like)
    constant = value.owner
    if isinstance(constant, tern.FillOp):
        filled = engine.ElementwiseOp(engine.FunctionKind.ADD, zero.result, imm=constant.value.value.data)
    else:
        vector = constant.vector if isinstance(constant, tern.LoadOp) else None
        filled = engine.ElementwiseOp(engine.FunctionKind.ADD, zero.result, stream=vector)
    mapping.emit(filled, like)
    return filled.result


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
    state = mapping.get(op.state)
    old = engine.LoadStateOp(state)
    kept = engine.ElementwiseOp(engine.FunctionKind.MUL, old.result, mapping.get(op.forget))
    new = engine.ElementwiseOp(engine.FunctionKind.ADD, kept.result, mapping.get(op.input))
    stored = engine.StoreStateOp(new.result, state)
    again = engine.LoadStateOp(stored.next_state)
    for made in (old, kept, new, stored, again):
        mapping.emit(made, op)
    mapping.result(op.next_state, stored.next_state)
    mapping.result(op.result, again.result)


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
}


def _translate(mapping: Mapping) -> None:
    """Translate every operation; what follows from a refused one is left out, so that one run lists all refusals."""
    lost: set[SSAValue] = set()
    for op in mapping.model.body.block.ops:
        before = len(mapping.refused)
        if any(operand in lost for operand in op.operands):
            lost.update(op.results)
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
        %x1 = engine.linear %codes src %x {weight = @o_proj, epilogue = #engine.epilogue add}
    """

    name: ClassVar[str] = "choose-mapping"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        model = model_of(op)
        mapping = Mapping(model)
        _translate(mapping)
        if mapping.refused:
            raise InputError(
                "the engine mapping cannot take:\n  " + "\n  ".join(mapping.refused),
                "See docs/ir.md, 'What the engine computes'.",
            )
        block = model.body.block
        for old in reversed(list(block.ops)):
            old.detach()
            old.erase(safe_erase=False)
        block.add_ops(mapping.new_ops)
