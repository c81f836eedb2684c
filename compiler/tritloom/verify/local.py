"""The local test: every operation is fed onnxruntime's own values and must return onnxruntime's (DESIGN 5).

It is the test that finds bugs: an error cannot hide behind those of the operations before it, nor be excused by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir import engine, tern
from ..ir.bindings import bound_tensor
from ..ir.interpreter import Fed
from ..ir.locations import onnx_names
from ..ir.mlir import ModuleOp, Operation, SSAValue
from ..ir.store import WeightStore
from .feeding import Feeder, before_rounding, from_tensor, is_codes, is_scale, is_sums, is_zero, zero_shift
from .reference import Reference

Array = NDArray[Any]

TIE: Final = 1e-3
"""Codes may differ where the value before rounding lies this near to a tie."""
RELATIVE: Final = 1e-5
"""Floats may differ by this share of the tensor's largest magnitude."""
_ZERO_STEP: Final = 127.0 / 1.001e-5
"""At the floor of a quantiser, which tritloom drops, onnxruntime's step is 127/1e-5; ours is a zero vector."""


@dataclass
class LocalResult:
    """What the local test found in one module."""

    findings: list[str] = field(default_factory=list)
    """One line for each result that is wrong, naming operation, ONNX nodes and the worst element."""
    compared: int = 0
    """Results compared."""
    unbound: int = 0
    """Results that no ONNX tensor holds."""
    codes: int = 0
    ties: int = 0
    """Codes compared, and those that differ at a tie."""
    worst: float = 0.0
    """Largest error of a float, as a share of its tensor's largest."""
    worst_at: str = ""

    @property
    def passed(self) -> bool:
        """Whether every result agrees."""
        return not self.findings


def label(op: Operation) -> str:
    """An operation for a reader: its name, its weight, its ONNX nodes."""
    weight = getattr(op, "weight", None)
    symbol = f" @{weight.root_reference.data}" if weight is not None else ""
    nodes = ", ".join(onnx_names(op))
    return f"{op.name}{symbol} ({'ONNX ' + nodes if nodes else 'no ONNX node'})"


def needed_tensors(module: ModuleOp, reference: Reference) -> list[str]:
    """Tensors of the graph that the local test of `module` needs, the values before each rounding among them. What the
    import wrote in the place of another operator has none."""
    model = next(op for op in module.ops if isinstance(op, tern.ModelOp))
    names: dict[str, None] = {}
    for op in model.body.block.ops:
        for value in op.results:
            if name := bound_tensor(value):
                names[name] = None
                if is_codes(value) and (before := reference.rounded(name)) is not None:
                    names[before] = None
    return [name for name in names if reference.producer(name) is not None]


def check_local(
    module: ModuleOp,
    store: WeightStore,
    tensors: Mapping[str, Array],
    tokens: Fed,
    reference: Reference,
) -> LocalResult:
    """Test every operation of `module` against `tensors`, onnxruntime's [T, n]."""
    model = next(op for op in module.ops if isinstance(op, tern.ModelOp))
    feeder = Feeder(module, store, tensors, len(tokens))
    feeder.begin(model)
    result = LocalResult()
    for op in model.body.block.ops:
        if isinstance(op, tern.ReturnOp):
            continue
        operand = feeder.fed.get(op.operands[0]) if op.operands else None
        before = before_rounding(op, operand) if operand is not None else None
        for value, made in feeder.evaluate(op).items():
            name = bound_tensor(value)
            if name is None or name not in tensors:
                result.unbound += 1
                continue
            result.compared += 1
            _compare(result, op, value, made, tensors, reference, before)
    return result


def _compare(
    result: LocalResult,
    op: Operation,
    value: SSAValue,
    made: Array,
    tensors: Mapping[str, Array],
    reference: Reference,
    before: Array | None,
) -> None:
    name = bound_tensor(value) or ""
    wanted = tensors[name]
    if made.shape != wanted.shape:
        result.findings.append(f"{label(op)}: '{name}' has {made.shape[-1]} elements, onnxruntime {wanted.shape[-1]}")
    elif is_codes(value):
        if before is None and (rounded := reference.rounded(name)) is not None:
            before = tensors.get(rounded)
        _compare_codes(result, op, name, made, from_tensor(value, wanted), before)
    elif is_sums(value):
        _compare_sums(result, op, name, made, wanted)
    elif is_zero(value):
        _compare_zero(result, op, name, made, from_tensor(value, wanted), before)
    elif isinstance(value.owner, tern.QuantizeRangeOp) and is_scale(value):
        _compare_floats(result, op, name, made, wanted)
    elif is_scale(value):
        steps = wanted.astype(np.float64)
        zero = (made == 0) & (steps >= _ZERO_STEP)
        _compare_floats(result, op, f"127/{name}", made, np.where(zero, 0.0, 127.0 / steps))
    else:
        _compare_floats(result, op, name, made, wanted)


def _compare_codes(
    result: LocalResult, op: Operation, name: str, made: Array, wanted: Array, before: Array | None
) -> None:
    result.codes += made.size
    wanted = wanted.astype(np.int64)
    if before is not None and isinstance(op, tern.QuantizeRangeOp | engine.QuantizeRangeOp):
        shift = np.where(_zero_ties(before), zero_shift(made, wanted), 0)
        result.ties += int(np.count_nonzero(shift))
        wanted = wanted - shift
    differs = made.astype(np.int64) != wanted
    if not differs.any():
        return
    distance = np.full(made.shape, np.inf)
    if before is not None:
        wide = before.astype(np.float64)
        distance = np.abs(wide - np.floor(wide) - 0.5)
    far = differs & ((distance > TIE) | (np.abs(made - wanted) > 1))
    result.ties += int(np.count_nonzero(differs & ~far))
    if not far.any():
        return
    worst = np.unravel_index(int(np.argmax(np.where(far, np.abs(made - wanted), -1.0))), made.shape)
    position, element = int(worst[0]), int(worst[1])
    value = f"; before rounding {float(before[worst]):.6f}" if before is not None else ""
    result.findings.append(
        f"{label(op)}: '{name}' differs in {np.count_nonzero(far)} of {made.size} codes; "
        f"position {position}, element {element}: {int(made[worst])}, onnxruntime {int(wanted[worst])}{value}"
    )


def _zero_ties(before: Array) -> Array:
    """Whether the code of 0 of a range lies near a tie, [T, 1]."""
    steps = np.maximum(-before, 0.0).max(axis=-1, keepdims=True)
    near: Array = np.abs(steps - np.floor(steps) - 0.5) <= TIE
    return near


def _compare_zero(
    result: LocalResult, op: Operation, name: str, made: Array, wanted: Array, before: Array | None
) -> None:
    differs = made != wanted
    if before is not None:
        differs &= ~_zero_ties(before)
    if not differs.any():
        return
    position = int(np.flatnonzero(differs)[0])
    result.findings.append(
        f"{label(op)}: '{name}', the code of 0, is {int(made[position, 0])} at position {position}, "
        f"onnxruntime {int(wanted[position, 0])}"
    )


def _compare_sums(result: LocalResult, op: Operation, name: str, made: Array, wanted: Array) -> None:
    error = np.abs(made.astype(np.float64) - wanted.astype(np.float64))
    if not (error > 0).any():
        return
    worst = np.unravel_index(int(np.argmax(error)), error.shape)
    rows = np.unique(np.nonzero(error)[1])
    result.findings.append(
        f"{label(op)}: '{name}' differs in rows {_few(rows)}; position {int(worst[0])}, row {int(worst[1])}: "
        f"{int(made[worst])}, onnxruntime {wanted[worst]:g}"
    )


def _compare_floats(result: LocalResult, op: Operation, name: str, made: Array, wanted: Array) -> None:
    largest = np.abs(wanted).max(axis=-1, keepdims=True).astype(np.float64)
    error = np.abs(made.astype(np.float64) - wanted) / np.where(largest == 0, 1.0, largest)
    error = np.where(np.isnan(error), np.inf, error)
    worst = np.unravel_index(int(np.argmax(error)), error.shape)
    if error[worst] > result.worst:
        result.worst, result.worst_at = float(error[worst]), f"{label(op)}: '{name}'"
    wrong = np.count_nonzero(error > RELATIVE)
    if wrong:
        result.findings.append(
            f"{label(op)}: '{name}' differs in {wrong} of {error.size} elements; position {int(worst[0])}, "
            f"element {int(worst[1])}: {float(made[worst]):.9g}, onnxruntime {float(wanted[worst]):.9g}, "
            f"off by {float(error[worst]):.2e} of the tensor's largest (limit {RELATIVE:g})"
        )


def _few(numbers: Array) -> str:
    shown = ", ".join(str(int(number)) for number in numbers[:6])
    return f"{shown}, ... ({len(numbers)})" if len(numbers) > 6 else shown
