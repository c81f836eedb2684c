"""The bundle on the emulated device against the interpreter, bit for bit: every tensor of every instruction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir import engine
from ..ir.interpreter import Fed, Interpreter, Trace
from ..ir.mlir import ModuleOp
from ..ir.store import WeightStore
from ..runtime import Bundle, Session, open_session
from ..runtime.errors import TritloomRuntimeError
from .local import label
from .report import Check
from .vectors import unit_of

Array = NDArray[Any]
Key = tuple[int, str, int]
"""Instruction, what (docs/kernel.md), position."""

_UNITS: Final = {"codes": "codes", "acc": "units of the sum"}


@dataclass
class DeviceTrace:
    """What the emulated device computed, in the order in which it did."""

    rows: dict[Key, Array] = field(default_factory=dict)
    offset: int = 0
    """Position of the next start's first token."""

    def __call__(self, number: int, instruction: int, position: int, what: str, data: Array) -> None:
        self.rows[(instruction, what, self.offset + position)] = data


@dataclass
class Expected:
    """What the interpreter computed over some tokens."""

    rows: dict[tuple[int, str], Array]
    logits: Array
    states: dict[str, Array]
    labels: list[str]

    @staticmethod
    def of(module: ModuleOp, store: WeightStore, tokens: Fed) -> Expected:
        """Run the interpreter."""
        ops = engine.instruction_ops(module)
        index = {op: number for number, op in enumerate(ops)}
        found: dict[tuple[int, str], list[Array]] = {}

        def observe(trace: Trace) -> None:
            found.setdefault((index[trace.op], trace.what), []).append(trace.data)

        step = Interpreter(module, store).run(tokens, observer=observe)
        rows = {key: np.concatenate(parts) for key, parts in found.items()}
        (logits,) = step.outputs.values()
        return Expected(rows, logits, dict(step.states), [label(op) for op in ops])


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bits."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _differing(a: Array, b: Array) -> Array:
    width = f"u{a.dtype.itemsize}"
    return np.asarray(np.ascontiguousarray(a).view(width) != np.ascontiguousarray(b).view(width))


def _ordered(bits: int) -> int:
    """Bits of a float32 as an integer that grows with it."""
    return -(bits & 0x7FFFFFFF) if bits & 0x80000000 else bits


def describe(found: Array, wanted: Array, what: str) -> str:
    """The worst element of a tensor that differs, and by how much."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"device {found.dtype} {list(found.shape)}, interpreter {wanted.dtype} {list(wanted.shape)}"
    differs = _differing(found, wanted)
    first = int(np.flatnonzero(differs)[0])
    a, b = found.reshape(-1)[first], wanted.reshape(-1)[first]
    if found.dtype == np.float32:
        bits = [int(np.ascontiguousarray(array).reshape(-1).view(np.uint32)[first]) for array in (found, wanted)]
        values, unit = f"device {a:.9g}, interpreter {b:.9g}", f"{abs(_ordered(bits[0]) - _ordered(bits[1])):,} ulp"
    else:
        values = f"device {int(a)}, interpreter {int(b)}"
        unit = f"{abs(int(a) - int(b)):,} {_UNITS.get(what, 'units')}"
    return f"element {first}: {values}, off by {unit}; {int(differs.sum())} of {differs.size} elements differ"


def compare_traces(trace: DeviceTrace, expected: Expected) -> tuple[list[str], int]:
    """(the first difference in the device's order, or what it never computed; tensors that differ)."""
    findings: list[str] = []
    wrong = 0
    for (instruction, what, position), data in trace.rows.items():
        rows = expected.rows.get((instruction, what))
        known = rows is not None and position < len(rows)
        if rows is not None and known and same_bits(data, np.ascontiguousarray(rows[position])):
            continue
        wrong += 1
        if findings:
            continue
        name = expected.labels[instruction] if instruction < len(expected.labels) else "not in the compiled program"
        text = describe(data, rows[position], what) if rows is not None and known else "the interpreter has none"
        findings.append(f"instruction {instruction}, {name}: '{what}' at position {position}, {text}")
    for (instruction, what), rows in expected.rows.items():
        missing = next((p for p in range(len(rows)) if (instruction, what, p) not in trace.rows), None)
        if missing is not None:
            wrong += 1
            name = expected.labels[instruction]
            findings = findings or [f"instruction {instruction}, {name}: no '{what}' at position {missing}"]
    return findings, wrong


def _compare_states(session: Session, expected: Expected) -> list[str]:
    words = session.save_state().words
    findings = []
    for state in session.bundle.program.states:
        found, wanted = words[state.offset : state.offset + state.size], expected.states[state.input]
        if not same_bits(found, np.ascontiguousarray(wanted)):
            findings.append(f"state '{state.input}' after the last token, {describe(found, wanted, 'state')}")
    return findings


def failed(name: str, error: TritloomRuntimeError) -> Check:
    """The failed check of a run that ended in an error."""
    text = error.message.split("\n")
    return Check(name, False, text[0], findings=["\n".join(text[1:])] if text[1:] else [])


def check_traces(
    bundle: Bundle,
    expected: Expected,
    tokens: Fed,
    *,
    stepwise: bool,
    build: str = "fast",
    flush: bool | None = None,
) -> Check:
    """Run `tokens` traced: one start each (B = 1), or all in one start with the kernel's batch."""
    from ..runtime.emulator.device import EmulatedDevice

    batch = 1 if stepwise else bundle.program.max_batch
    name = f"device, {build} build, B = {batch}"
    trace = DeviceTrace()
    try:
        with open_session(bundle, device=EmulatedDevice(build=build, trace=trace, flush=flush)) as session:
            if stepwise:
                logits = []
                for position, token in enumerate(tokens):
                    trace.offset = position
                    logits.append(session.step(token))
                out = np.stack(logits)
            else:
                out = session.prefill(tokens, all_logits=True)
            findings, wrong = compare_traces(trace, expected)
            findings += _compare_logits(out, expected.logits) + _compare_states(session, expected)
    except TritloomRuntimeError as error:
        return failed(name, error)
    detail = f"{len(trace.rows):,} tensors of {len(expected.labels)} instructions over {len(tokens)} {unit_of(tokens)}"
    figures = {
        "tensors": len(trace.rows),
        "instructions": len(expected.labels),
        unit_of(tokens): len(tokens),
        "wrong": wrong,
    }
    if findings:
        return Check(name, False, f"{wrong:,} of {detail} differ", figures, findings)
    return Check(name, True, f"{detail}, bit for bit", figures)


def _compare_logits(out: Array, wanted: Array) -> list[str]:
    for position, (row, right) in enumerate(zip(out, wanted, strict=True)):
        if not same_bits(np.ascontiguousarray(row), np.ascontiguousarray(right)):
            return [f"logits at position {position}, {describe(row, right, 'out')}"]
    return []


def check_logits(bundle: Bundle, logits: Array, tokens: Fed) -> Check:
    """Run all tokens untraced; every logit must equal the interpreter's."""
    name = "device, logits"
    try:
        with open_session(bundle, device="emulated") as session:
            out = session.prefill(tokens, all_logits=True)
    except TritloomRuntimeError as error:
        return failed(name, error)
    findings = _compare_logits(out, logits)
    wrong = sum(not same_bits(a, np.ascontiguousarray(b)) for a, b in zip(out, logits, strict=True))
    figures = {unit_of(tokens): len(tokens), "wrong": wrong}
    if findings:
        return Check(name, False, f"logits differ at {wrong} of {len(tokens)} positions", figures, findings)
    return Check(name, True, f"{len(tokens)} positions, bit for bit", figures)
