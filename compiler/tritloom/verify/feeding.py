"""Evaluating an operation on values from outside: those the local test feeds it are onnxruntime's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import engine, tern
from ..ir.bindings import bound_tensor
from ..ir.interpreter import Frame, Slot, evaluate
from ..ir.mlir import IntegerType, ModuleOp, Operation, SSAValue, TensorType, f32, i32
from ..ir.store import WeightStore

Array = NDArray[Any]

_LEVELS = np.float32(127.0)


_RANGE = (tern.QuantizeRangeOp, engine.QuantizeRangeOp)
_STATIC = (tern.QuantizeStaticOp, engine.QuantizeStaticOp)
_UNSIGNED_OFFSET = 128


def is_scale(value: SSAValue) -> bool:
    """Whether a value is a quantiser's scale: A, bound to the tensor of its step 127/A, or what a code is worth."""
    return value.type == f32


def is_zero(value: SSAValue) -> bool:
    """Whether a value is the code of 0."""
    return value.type == i32


def offset_of(value: SSAValue) -> int:
    """What the graph's codes, and its code of 0, are more than ours."""
    if isinstance(value.owner, _RANGE):
        return _UNSIGNED_OFFSET
    return value.owner.offset.value.data if isinstance(value.owner, _STATIC) else 0


def before_rounding(op: Operation, x: Array) -> Array | None:
    """What the quantisers of a range and of a fixed step round, in float64; None for other operations."""
    wide = x.astype(np.float64)
    if isinstance(op, _STATIC):
        steps: Array = wide / op.step.value.data
        return steps
    if isinstance(op, _RANGE):
        above, below = (np.maximum(part, 0.0).max(axis=-1, keepdims=True) for part in (wide, -wide))
        size = above + below
        steps = wide * np.divide(255.0, size, out=np.zeros_like(size), where=size > 0)
        return steps
    return None


def zero_shift(made: Array, codes: Array) -> Array:
    """By how much the graph's code of 0 differs from ours [T, 1]: float32 rounds it too, perhaps the other way."""
    shift: Array = np.median(codes.astype(np.int64) - made, axis=-1, keepdims=True).astype(np.int32)
    return shift


def is_codes(value: SSAValue) -> bool:
    """Whether a value holds int8 codes."""
    return isinstance(value.type, engine.CodesType) or _element_width(value) == 8


def is_sums(value: SSAValue) -> bool:
    """Whether a value holds exact int32 sums."""
    return _element_width(value) == 32


def _element_width(value: SSAValue) -> int:
    if isinstance(value.type, TensorType) and isinstance(element := value.type.get_element_type(), IntegerType):
        return int(element.width.data)
    return 0


def from_tensor(value: SSAValue, tensor: Array) -> Array:
    """What `value` holds where onnxruntime has `tensor`, [T, n]."""
    if is_scale(value):
        scale = tensor.astype(np.float32)
        return scale if isinstance(value.owner, _RANGE) else _LEVELS / scale
    if is_zero(value):
        return tensor.astype(np.int32) - offset_of(value)
    if is_codes(value):
        return (np.rint(tensor).astype(np.int64) - offset_of(value)).astype(np.int8)
    if is_sums(value):
        return np.rint(tensor).astype(np.int32)
    return tensor if tensor.dtype == np.int64 else tensor.astype(np.float32)


@dataclass
class Feeder:
    """Evaluates operations in order, each on onnxruntime's tensors where its operands are bound to one.

    An operand without a tensor is what its producer made of onnxruntime's values: `made` holds the results of every
    operation, `fed` what its users see. All are [T, n], states too.
    """

    module: ModuleOp
    store: WeightStore
    tensors: Mapping[str, Array]
    positions: int
    fed: dict[SSAValue, Array] = field(default_factory=dict)
    slots: dict[SSAValue, Slot] = field(default_factory=dict)

    def bound(self, value: SSAValue) -> Array | None:
        """onnxruntime's tensor for a value, [T, n]."""
        name = bound_tensor(value)
        tensor = self.tensors.get(name) if name is not None else None
        return from_tensor(value, tensor) if tensor is not None else None

    def begin(self, model: tern.ModelOp) -> None:
        """Feed the block's arguments: token and states."""
        for argument in model.body.block.args:
            if (tensor := self.bound(argument)) is not None:
                self.fed[argument] = tensor

    def evaluate(self, op: Operation) -> dict[SSAValue, Array]:
        """Results of one operation; its users are fed onnxruntime's values of them."""
        if any(isinstance(operand.type, tern.StateType) for operand in op.operands):
            parts = [self._evaluate(op, slice(at, at + 1)) for at in range(self.positions)]
            made: dict[SSAValue, Array] = {
                value: np.concatenate([part[value] for part in parts]) for value in op.results
            }
        else:
            made = self._evaluate(op, slice(None))
        for value, result in made.items():
            bound = self.bound(value)
            self.fed[value] = result if bound is None else bound
            slot = self.slots.get(value)
            if bound is not None and slot is not None and slot.zero is not None:
                self.slots[value] = Slot(slot.scale, slot.zero + zero_shift(result, bound))
        return made

    def _evaluate(self, op: Operation, positions: slice) -> dict[SSAValue, Array]:
        frame = Frame(self.module, self.store, None)
        for operand in op.operands:
            value = self.fed[operand][positions]
            frame.values[operand] = value[0] if isinstance(operand.type, tern.StateType) else value
            if (slot := self.slots.get(operand)) is not None:
                zero = slot.zero[positions] if slot.zero is not None else None
                frame.slots[operand] = Slot(slot.scale[positions], zero)
        evaluate(frame, op)
        self.slots.update(frame.slots if positions == slice(None) else {})
        rows = positions.stop - positions.start if positions != slice(None) else self.positions
        found: dict[SSAValue, Array] = {}
        for result in op.results:
            if result in frame.values:
                found[result] = self._rows(frame.values[result], rows)
        return found

    @staticmethod
    def _rows(value: Array, rows: int) -> Array:
        """[rows, n]; a state has one row, a constant the same for all."""
        value = value[np.newaxis] if value.ndim == 1 else value
        return np.broadcast_to(value, (rows, value.shape[-1]))
