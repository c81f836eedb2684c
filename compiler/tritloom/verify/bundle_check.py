"""`verify_bundle`: every check of a bundle, in the order in which a failure says most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from ..errors import InputError
from ..frontend import Imported, import_onnx
from ..ir import tern
from ..ir.interpreter import Interpreter
from ..ir.mlir import ModuleOp
from ..runtime import TritloomRuntimeError
from .device import Expected, check_logits, check_traces
from .drift import Drift, measure
from .images import Program, check_images
from .local import RELATIVE, LocalResult, check_local, needed_tensors
from .reference import Interface, Recording, Reference
from .report import Check, Figure, VerifyReport
from .subject import Subject, open_subject
from .text import Fed, fed_tokens
from .weights import CachedStore, WeightsResult, check_weights

Array = NDArray[Any]

_LOCAL: Final = 16
"""Positions of the local test."""
_TRACED: Final = 32
"""Positions whose every tensor is compared on the device."""
_EACH_PASS: Final = 128
"""Positions over which the drift after each pass is taken."""


@dataclass
class _Run:
    """One verification under way."""

    subject: Subject
    imported: Imported
    reference: Reference
    fed: Fed
    weights: WeightsResult
    store: CachedStore
    judged: CachedStore
    """The store with onnxruntime's trits, where they differ at a tie."""
    recording: Recording
    checks: list[Check] = field(default_factory=list)

    def local(self, module: ModuleOp) -> LocalResult:
        """The local test of a module."""
        tokens = self.fed.tokens[:_LOCAL]
        return check_local(module, self.judged, self.recording.values, tokens, self.reference)

    def logits(self, tokens: Sequence[int]) -> Array:
        """The interpreter's logits of the module as it now is."""
        (logits,) = Interpreter(self.imported.module, self.store).run(tokens).outputs.values()
        return logits


def verify_bundle(
    bundle: Path,
    *,
    model: Path | None = None,
    text: Path | None = None,
    tokens: int = 512,
    after_each_pass: bool = False,
    control: Path | None = None,
) -> VerifyReport:
    """Compare a bundle with onnxruntime and with the interpreter (docs/verification.md).

    Args:
        bundle: the folder that `tritloom compile` wrote.
        model: the ONNX file, if it has moved.
        text: text to feed; otherwise heldout.txt beside the model, or random tokens.
        tokens: tokens to feed.
        after_each_pass: test the IR after every pass, and name the first pass that breaks the numbers.
        control: another export of the same model; otherwise the control is a float64 evaluation.

    Raises:
        InputError: the bundle, the model or the text is at fault.
    """
    start = time.perf_counter()
    if tokens < 1:
        raise InputError("at least one token must be fed", "Give --tokens.")
    subject = open_subject(bundle, model)
    checks = [subject.check_source()]
    try:
        fed = fed_tokens(subject.bundle, subject.model, text, tokens)
    except TritloomRuntimeError as error:
        raise InputError(error.message, error.hint) from error
    if checks[0].passed:
        checks += _verify(_begin(subject, fed), after_each_pass, control)
    seconds = time.perf_counter() - start
    return VerifyReport(str(bundle), subject.model.name, fed.source, len(fed.tokens), tuple(checks), seconds)


def _begin(subject: Subject, fed: Fed) -> _Run:
    imported = import_onnx(subject.model)
    model = next(op for op in imported.module.ops if isinstance(op, tern.ModelOp))
    reference = Reference(subject.model, Interface.of(model))
    store = CachedStore(imported.store)
    weights = check_weights(imported.module, store, reference)
    recording = reference.run(fed.tokens[:_LOCAL], needed_tensors(imported.module, reference))
    judged = CachedStore(imported.store, weights.judged)
    return _Run(subject, imported, reference, fed, weights, store, judged, recording)


def _verify(run: _Run, after_each_pass: bool, control: Path | None) -> list[Check]:
    checks = [_weights_check(run.weights), _local_check("local, import", run.local(run.imported.module))]
    judged = _Judged.of(run, control)
    watcher = _PassWatcher(run, judged) if after_each_pass else None
    run.subject.lower(run.imported, [watcher] if watcher is not None else [])
    if watcher is not None:
        checks.append(watcher.check())
    checks.append(_local_check("local, compiled", run.local(run.imported.module)))
    program = Program(run.imported.module, run.store, run.subject.limits, run.subject.bundle)
    checks += check_images(program)
    logits = run.logits(run.fed.tokens)
    checks += _device_checks(run, logits)
    checks.append(_drift_check(judged.drift(logits), judged.control_name))
    return checks


def _weights_check(result: WeightsResult) -> Check:
    ties = sum(result.ties.values())
    figures: dict[str, Figure] = {"weights": result.compared, "trits": result.trits, "ties": ties}
    if result.findings:
        detail = f"{len(result.findings)} weights differ from onnxruntime's"
        return Check("weights", False, detail, figures, result.findings)
    detail = f"{result.trits:,} trits of {result.compared} weights are onnxruntime's"
    notes = [f"@{name}: {count} at a tie of its float masters" for name, count in result.ties.items()]
    return Check("weights", True, f"{detail}{f', {ties} ties apart' if ties else ''}", figures, notes)


def _local_check(name: str, result: LocalResult) -> Check:
    figures: dict[str, Figure] = {
        "compared": result.compared,
        "unbound": result.unbound,
        "codes": result.codes,
        "ties": result.ties,
        "worst": result.worst,
        "worst_at": result.worst_at,
    }
    if result.findings:
        detail = f"{len(result.findings)} of {result.compared} results differ from onnxruntime's"
        return Check(name, False, detail, figures, result.findings)
    detail = (
        f"{result.compared} results over {_LOCAL} tokens, {result.codes:,} codes ({result.ties} ties differ), "
        f"floats within {result.worst:.1e} (limit {RELATIVE:g})"
    )
    return Check(name, True, detail, figures)


@dataclass
class _Judged:
    """onnxruntime's logits over the text, and the control's."""

    reference: Array
    control: Array | None
    control_name: str
    following: list[int]

    @staticmethod
    def of(run: _Run, control: Path | None) -> _Judged:
        """Run both."""
        name = run.reference.interface.output
        logits = run.reference.run(run.fed.tokens).values[name]
        if control is not None:
            other = Reference(control, run.reference.interface)
            return _Judged(logits, other.run(run.fed.tokens).values[name], control.name, run.fed.following)
        try:
            double = Reference(run.subject.model, run.reference.interface, double=True)
            wide = double.run(run.fed.tokens).values[name]
        except InputError:
            return _Judged(logits, None, "none: onnxruntime has no float64 form of this graph", run.fed.following)
        return _Judged(logits, wide, "float64", run.fed.following)

    def drift(self, logits: Array) -> Drift:
        """Our distance over as many tokens as there are logits."""
        count = len(logits)
        control = self.control[:count] if self.control is not None else None
        return measure(logits, self.reference[:count], control, self.following[:count])


class _PassWatcher:
    """Tests the module after every pass."""

    def __init__(self, run: _Run, judged: _Judged) -> None:
        self._run = run
        self._judged = judged
        self.passes: list[str] = []
        self.first: tuple[str, list[str]] | None = None

    def before(self, pass_name: str, module: ModuleOp) -> None:
        """Nothing."""

    def after(self, pass_name: str, module: ModuleOp, changed: bool) -> None:
        """Run the local test, and the global one over fewer tokens."""
        self.passes.append(pass_name)
        if self.first is not None or not changed:
            return
        local = self._run.local(module)
        drift = self._judged.drift(self._run.logits(self._run.fed.tokens[:_EACH_PASS]))
        findings = [*local.findings, *(f"global test: {text}" for text in drift.exceeded)]
        if findings:
            self.first = (pass_name, findings)

    def check(self) -> Check:
        """The first pass that broke the numbers, or none."""
        figures: dict[str, Figure] = {"passes": len(self.passes)}
        if self.first is None:
            return Check("passes", True, f"none of {len(self.passes)} passes breaks the numbers", figures)
        name, findings = self.first
        detail = f"pass '{name}' is the first that breaks the numbers"
        return Check("passes", False, detail, {**figures, "first": name}, findings)


def _device_checks(run: _Run, logits: Array) -> list[Check]:
    bundle, module = run.subject.bundle, run.imported.module
    traced = run.fed.tokens[:_TRACED]
    expected = Expected.of(module, run.store, traced)
    batch = bundle.program.max_batch
    checks = [check_traces(bundle, expected, traced, stepwise=True)]
    if batch > 1:
        checks.append(check_traces(bundle, expected, traced, stepwise=False))
    few = traced[: max(batch, 2)]
    short = Expected.of(module, run.store, few)
    checks.append(check_traces(bundle, short, few, stepwise=False, build="bounded"))
    checks.append(check_logits(bundle, logits, run.fed.tokens))
    return checks


def _drift_check(drift: Drift, control: str) -> Check:
    ours, other = drift.ours, drift.control
    figures: dict[str, Figure] = {
        "argmax_agreement": ours.agreement,
        "logits_rms": ours.rms,
        "bits_distance": ours.bits,
        "bits_per_token": ours.bits_per_token,
        "bits_per_token_onnxruntime": drift.reference_bits,
        "control": control,
    }
    if other is not None:
        figures |= {
            "control_argmax_agreement": other.agreement,
            "control_logits_rms": other.rms,
            "control_bits_distance": other.bits,
            "control_bits_per_token": other.bits_per_token,
        }
    bits = f"{ours.bits_per_token:.4f} bits per token, onnxruntime {drift.reference_bits:.4f}"
    notes = [f"ours: {ours.text()}", f"control ({control}): {other.text() if other is not None else 'fixed limits'}"]
    return Check("global", drift.passed, bits, figures, [*drift.exceeded, *notes])


__all__ = ["verify_bundle"]
