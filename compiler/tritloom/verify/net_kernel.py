"""The tables in a bundle's C++ against the ONNX file: every trit, and every requantiser over its whole range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir import flow, tern
from ..ir.locations import onnx_names
from ..ir.mlir import ModuleOp
from ..ir.steps import StepFunction
from ..ir.store import WeightStore
from .net_tables import StageTables, by_channel, thresholds_of, trits_of
from .report import Check, Figure

Array = NDArray[Any]

_ENUMERATED: Final = 1 << 28
"""Operand values of a requantiser, over all channels, that are tried one by one; of more, both sides of every step."""
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class KernelStage:
    """A stage of the compiled IR, and what the C++ holds for it."""

    name: str
    op: flow.Stage
    tables: StageTables

    @property
    def label(self) -> str:
        """Its name, symbol and ONNX nodes."""
        return f"{self.name} {self.op.symbol} (ONNX {', '.join(onnx_names(self.op)) or 'none'})"


# --- weights -----------------------------------------------------------------------------------------------------


def check_weights_text(stages: Sequence[KernelStage], module: ModuleOp, store: WeightStore) -> Check:
    """Whether the weight memories in weights.h hold the ONNX file's trits."""
    findings: list[str] = []
    trits = memories = 0
    for stage in stages:
        if not isinstance(stage.op, flow.MvauOp):
            continue
        wanted = store.matrix(module, stage.op.weight.root_reference.data)
        found = stage.tables.arrays.get("adders")
        if found is None:
            found = trits_of(stage.tables, wanted.shape[1])
        else:
            wanted = _all_groups(stage.op, wanted)
        memories, trits = memories + 1, trits + wanted.size
        if found.shape != wanted.shape:
            findings.append(f"{stage.label}: {list(found.shape)} trits, not {list(wanted.shape)}")
        elif (wrong := np.argwhere(found != wanted)).size:
            row, column = map(int, wrong[0])
            at = f"row {row}, column {column}: {_trit(found[row, column])}, not {_trit(wanted[row, column])}"
            findings.append(f"{stage.label}: {at}; {len(wrong)} of {wanted.size} trits differ")
    figures: dict[str, Figure] = {"trits": trits, "memories": memories, "wrong": len(findings)}
    if findings:
        return Check("weights", False, f"{len(findings)} of {memories} weight memories differ", figures, findings)
    return Check("weights", True, f"{trits:,} trits of {memories} memories in weights.h are the ONNX file's", figures)


def _trit(value: int) -> str:
    return "no trit" if abs(value) > 1 else f"{value:+d}" if value else "0"


def _all_groups(op: flow.MvauOp, trits: Array) -> Array:
    """The rows that adders multiply whole pixels with: zeros for the inputs of other groups."""
    groups, (rows, columns) = op.groups.value.data, trits.shape
    whole = np.zeros((rows, groups * columns), np.int8)
    for row in range(rows):
        first = row // (rows // groups) * columns
        whole[row, first : first + columns] = trits[row]
    return whole


# --- requantisers ------------------------------------------------------------------------------------------------


def check_requantisers(stages: Sequence[KernelStage], module: ModuleOp, store: WeightStore) -> Check:
    """Whether each table of a requantiser, as the kernel uses it, gives the codes of the exact step function."""
    findings: list[str] = []
    values = forms = 0
    searched: list[str] = []
    for stage in stages:
        if isinstance(stage.op, flow.QuantizeOp):
            found = _float_quantiser(stage, store.steps(module, stage.op.function.root_reference.data))
        elif isinstance(stage.op, flow.RequantizeOp):
            function = store.steps(module, stage.op.function.root_reference.data)
            found, count, whole = _requantiser(stage, stage.op, function)
            values += count
            searched += [] if whole else [stage.name]
        else:
            continue
        forms += 1
        findings += [f"{stage.label}: {text}" for text in found]
    figures: dict[str, Figure] = {"forms": forms, "values": values, "wrong": len(findings)}
    if findings:
        detail = f"{len(findings)} of {forms} are not their step function"
        return Check("requantisers", False, detail, figures, findings)
    notes = [f"{name}: too many operands to try each; both sides of every step were" for name in searched]
    detail = f"{forms} integer forms in weights.h equal their step functions over {values:,} operand values"
    return Check("requantisers", True, detail, figures, notes)


def _float_quantiser(stage: KernelStage, function: StepFunction) -> list[str]:
    """Each threshold must be the first float32 number that passes its boundary: then all floats get their code."""
    keys, negative = thresholds_of(stage.tables), by_channel(stage.tables.array("negative"))
    traits = stage.tables.traits
    if (traits["LOW"], traits["STEP"], traits["LEVELS"]) != (function.low, function.step, function.levels):
        return ["LOW, STEP or LEVELS are not the step function's"]
    for channel in range(max(len(keys), function.channels)):
        single, row = function.at_channel(channel), channel % len(keys)
        scale, offset = single.scales[0][0], single.offset[0]
        if bool(negative[row]) != (scale < 0):
            return [f"channel {channel}: the sign is wrong"]
        for level, (at, inclusive) in enumerate(single.boundaries[0]):
            key, bound = int(keys[row, level]), (at - offset) / abs(scale)
            if not _passes(key, bound, inclusive) or _passes(key - 1, bound, inclusive):
                found = f"threshold {_float(key):.9g} for a step at {float(bound):.9g}"
                return [f"channel {channel}, level {level}: {found}"]
    return []


def _float(key: int) -> float:
    """The float32 number of a key: sign and magnitude as two's complement."""
    bits = np.array([abs(key)], np.uint32).view(np.float32)[0]
    return float(-bits if key < 0 else bits)


def _passes(key: int, bound: Fraction, inclusive: bool) -> bool:
    number = _float(key)
    if not np.isfinite(number):
        return number > 0
    return Fraction(number) >= bound if inclusive else Fraction(number) > bound


def _requantiser(stage: KernelStage, op: flow.RequantizeOp, function: StepFunction) -> tuple[list[str], int, bool]:
    """What is wrong; how many operand values were tried; whether those were all."""
    ranges = [tern.range_of(flow.stream_element(value)) for value in op.inputs]
    form = _ThresholdForm(stage.tables) if op.form.data == tern.Form.THRESHOLDS else _ShiftForm(stage.tables)
    channels = max(function.channels, form.channels)
    wide = max(range(len(ranges)), key=lambda i: ranges[i][1] - ranges[i][0])
    points = channels * int(np.prod([high - low + 1 for low, high in ranges], dtype=np.float64))
    tried = 0
    for others, single in _fixed(function, ranges, wide):
        table, negative = single.thresholds.table, single.thresholds.negative
        for channel in range(channels):
            at = channel if len(table) > 1 else 0
            sign = -1 if negative[channel if len(negative) > 1 else 0] else 1
            for values in _values(ranges[wide], sign * table[at], sign, points <= _ENUMERATED):
                wanted = function.low + function.step * np.searchsorted(table[at], sign * values, side="right")
                operands = [values if i == wide else np.full_like(values, others) for i in range(len(ranges))]
                wrong = np.flatnonzero(form.codes(channel, operands) != wanted)
                tried += len(values)
                if len(wrong):
                    first = int(wrong[0])
                    shown = ", ".join(str(int(operand[first])) for operand in operands)
                    got = int(form.codes(channel, operands)[first])
                    text = f"channel {channel}, operand {shown}: code {got}, not {int(wanted[first])}"
                    return [f"{text}; {len(wrong):,} of {len(values):,} values tried differ"], tried, True
    return [], tried, points <= _ENUMERATED


def _fixed(function: StepFunction, ranges: Sequence[tuple[int, int]], wide: int) -> Iterator[tuple[int, StepFunction]]:
    """Values of the narrower operand, if there is one, with the function of the wider one that is left."""
    if len(ranges) == 1:
        yield 0, function
        return
    narrow = 1 - wide
    low, high = ranges[narrow]
    for value in range(low, high + 1):
        yield value, function.given(narrow, value)


def _values(bounds: tuple[int, int], steps: Array, sign: int, every: bool) -> Iterator[Array]:
    """Operand values to try, in chunks: all of a range, or its ends and both sides of every step."""
    low, high = bounds
    if every:
        for first in range(low, high + 1, _CHUNK):
            yield np.arange(first, min(first + _CHUNK, high + 1), dtype=np.int64)
        return
    edges = np.unique(np.concatenate([steps, steps - sign, [low, high]]))
    yield edges[(edges >= low) & (edges <= high)]


class _ThresholdForm:
    """As flow/thresholds.h computes."""

    def __init__(self, stage: StageTables) -> None:
        self._table, self._negative = thresholds_of(stage), by_channel(stage.array("negative"))
        self._low, self._step = stage.traits["LOW"], stage.traits["STEP"]
        self._ascending = bool((np.diff(self._table, axis=1) >= 0).all())

    @property
    def channels(self) -> int:
        return len(self._table)

    def codes(self, channel: int, operands: Sequence[Array]) -> Array:
        row = channel % len(self._table)
        values = -operands[0] if self._negative[row] else operands[0]
        table = self._table[row]
        if self._ascending:
            return np.asarray(self._low + self._step * np.searchsorted(table, values, side="right"))
        return np.asarray(self._low + self._step * (values[:, np.newaxis] >= table).sum(axis=1))


class _ShiftForm:
    """As flow/multiply_shift.h computes."""

    def __init__(self, stage: StageTables) -> None:
        names = sorted(name for name in stage.arrays if name.startswith("multiplier"))
        self._factors = [by_channel(stage.array(name)) for name in names]
        self._bias = by_channel(stage.array("bias"))
        self._shift, self._low, self._high = (stage.traits[name] for name in ("SHIFT", "LOW", "HIGH"))

    @property
    def channels(self) -> int:
        return len(self._bias)

    def codes(self, channel: int, operands: Sequence[Array]) -> Array:
        row = channel % len(self._bias)
        total = self._bias[row] + sum(
            operand * factor[row] for operand, factor in zip(operands, self._factors, strict=True)
        )
        codes: Array = np.clip(total >> self._shift, self._low, self._high)
        return codes
