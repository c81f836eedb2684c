"""Golden tests: titled micro-modules, each with the text that a pass makes of it beside its input.

A file of `golden/` holds cases of one pipeline::

    // PASSES: fuse-norm
    // TEST: one norm
    <IR>
    // AFTER
    <IR>, `unchanged`, or `refused: <message>`

`RENEW_GOLDEN=1 pytest tests/passes/test_golden_passes.py` writes what the passes make now; read the difference
before it is committed. A case that says `unchanged` or `refused` is never rewritten.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from tritloom.errors import TritloomError
from tritloom.ir.mlir import ModuleOp
from tritloom.ir.steps import StepFunction, uniform
from tritloom.ir.store import WeightStore
from tritloom.ir.tern import StepsOp, TableOp, VectorOp, WeightOp
from tritloom.ir.text import ir_text, parse_ir
from tritloom.passes import CompilerContext, parse_passes, run_passes
from tritloom.targets import load_target

FOLDER = Path(__file__).parent / "golden"
UNCHANGED, REFUSED = "unchanged", "refused: "


@dataclass(frozen=True)
class Case:
    """One micro-module of a golden file."""

    file: Path
    passes: str
    title: str
    before: str
    after: str

    @property
    def wants_text(self) -> bool:
        return self.after != UNCHANGED and not self.after.startswith(REFUSED)


def read_cases(file: Path) -> list[Case]:
    """The cases of a golden file."""
    text = file.read_text()
    header, *parts = re.split(r"^// TEST: ", text, flags=re.MULTILINE)
    passes = header.strip().removeprefix("// PASSES: ")
    cases = []
    for part in parts:
        title, _, body = part.partition("\n")
        before, _, after = body.partition("// AFTER\n")
        cases.append(Case(file, passes, title.strip(), before.strip() + "\n", after.strip()))
    return cases


def all_cases() -> list[Case]:
    return [case for file in sorted(FOLDER.glob("*.mlir")) for case in read_cases(file)]


def made_up_steps(op: StepsOp) -> StepFunction:
    """A staircase of the size that the symbol states; the slopes fall from channel to channel."""
    channels, operands = op.channels.value.data, op.operands_.value.data
    scales = tuple(tuple(Fraction(1, 40 + 4 * c + 7 * i) for c in range(channels)) for i in range(operands))
    steps = uniform(op.low.value.data, op.low.value.data + op.levels.value.data)
    return StepFunction(scales, (Fraction(1, 5),), (steps,), op.low.value.data, op.step.value.data)


def made_up_store(module: ModuleOp) -> WeightStore:
    """Values for every root symbol: zero trits; staircases; vectors by their name, `one_minus.x` being 1 - x."""
    store = WeightStore()

    def vector(name: str, length: int) -> np.ndarray:
        if name.startswith("one_minus."):
            return np.float32(1.0) - vector(name.removeprefix("one_minus."), length)
        random = np.random.default_rng(zlib.crc32(name.encode()))
        return random.uniform(0.1, 0.9, length).astype(np.float32)

    for op in module.ops:
        match op:
            case StepsOp():
                store.functions[op.sym_name.data] = made_up_steps(op)
            case WeightOp():
                trits = np.zeros((op.rows.value.data, op.cols.value.data), np.int8)
                store.add(op.sym_name.data, lambda trits=trits: trits)
            case VectorOp():
                values = vector(op.sym_name.data, op.length.value.data)
                store.add(op.sym_name.data, lambda values=values: values)
            case TableOp():
                table = np.zeros((op.rows.value.data, op.cols.value.data), np.float32)
                store.add(op.sym_name.data, lambda table=table: table)
    return store


def normalised(text: str) -> str:
    """The text as the printer writes it, without locations."""
    return ir_text(parse_ir(text), locations=False)


def outcome(case: Case) -> str:
    """What the passes make of a case's input: IR text, `unchanged`, or `refused: ...`."""
    module = parse_ir(case.before, case.file.name)
    before = ir_text(module, locations=False)
    context = CompilerContext(store=made_up_store(module), target=load_target("pynq-z2"))
    try:
        run_passes(module, parse_passes(case.passes), context)
    except TritloomError as error:
        return REFUSED + error.message
    after = ir_text(module, locations=False)
    return UNCHANGED if after == before else after


def renew(file: Path) -> None:
    """Write what the passes make now into a golden file."""
    cases = read_cases(file)
    parts = [f"// PASSES: {cases[0].passes}\n"]
    for case in cases:
        after = outcome(case).strip() if case.wants_text else case.after
        parts.append(f"\n// TEST: {case.title}\n{normalised(case.before)}// AFTER\n{after}\n")
    file.write_text("".join(parts))
