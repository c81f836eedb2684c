"""`verify_bundle`: every check of a bundle, in the order in which a failure says most."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from ..errors import InputError, TritloomError
from ..frontend import Imported, import_onnx
from ..ir import tern
from ..ir.interpreter import Interpreter
from ..ir.mlir import ModuleOp, VerifyException
from ..runtime import Bundle, TritloomRuntimeError
from .device import Expected, check_logits, check_traces
from .drift import Drift, measure
from .images import Program, check_images
from .local import RELATIVE
from .net import verify_net
from .probe import probe_tokens, write_probe
from .reference import Interface, Reference
from .report import Check, Figure, VerifyReport
from .subject import Subject, open_subject
from .text import Fed, Positions, fed_tokens, fed_vectors
from .variants import LocalTest, local_test, small_gains
from .vectors import unit_of
from .weights import CachedStore, WeightsResult, check_weights
from .whole import check_whole

Array = NDArray[Any]

_LOCAL: Final = 16
"""Positions of the local test."""
_SMALL: Final = 4
"""Positions of the local test with small gains."""
_TRACED: Final = 32
"""Positions whose every tensor is compared on the device."""
_EACH_PASS: Final = 128
"""Positions over which the drift after each pass is taken."""


@dataclass
class _Run:
    """One verification under way."""

    subject: Subject
    fed: Fed
    reference: Reference
    weights: WeightsResult
    as_is: LocalTest
    small: LocalTest | None
    store: CachedStore
    """The store of the imported model, as the bundle was compiled from it."""

    @property
    def imported(self) -> Imported:
        """The imported model, which the passes change."""
        return self.as_is.imported

    @property
    def tests(self) -> list[LocalTest]:
        """The models of the local test."""
        return [self.as_is, *([self.small] if self.small is not None else [])]

    def logits(self, tokens: Positions) -> Array:
        """The interpreter's logits of the module as it now is."""
        (logits,) = Interpreter(self.imported.module, self.store).run(tokens).outputs.values()
        return logits


def verify_bundle(
    bundle: Path,
    *,
    model: Path | None = None,
    text: Path | None = None,
    tokens: int | None = None,
    inputs: Path | None = None,
    frames: int | None = None,
    after_each_pass: bool = False,
    control: Path | None = None,
) -> VerifyReport:
    """Compare a bundle with onnxruntime and with the interpreter (docs/verification.md).

    Args:
        bundle: the folder that `tritloom compile` wrote.
        model: the ONNX file, if it has moved.
        text: of a language model: text to feed; otherwise heldout.txt beside the model, or random tokens.
        tokens: of a step: tokens or vectors to feed, 512 if not given.
        inputs: of a net: .npz with frames under the input's name; see `verify_net`. Of a step fed with vectors: these.
        frames: of a net: how many to feed.
        after_each_pass: test the IR after every pass, and name the first pass that breaks the numbers.
        control: of a step: another export; otherwise the control is a float64 evaluation.

    Raises:
        InputError: the bundle, the model or what is fed is at fault, or an option is for the other kind of model.
    """
    subject = open_subject(bundle, model)
    if subject.bundle.net is not None:
        _refuse("a feed-forward net", "--inputs FILE.npz and --frames N", tokens=tokens, text=text, control=control)
        return verify_net(subject, inputs=inputs, frames=frames, after_each_pass=after_each_pass)
    if subject.bundle.program.vector is not None:
        _refuse("a step fed with vectors", "--inputs FILE.npz and --tokens N", text=text, frames=frames)
    else:
        _refuse("a language model", "--text FILE and --tokens N", inputs=inputs, frames=frames)
    return _verify_step(subject, text or inputs, 512 if tokens is None else tokens, after_each_pass, control)


def _refuse(kind: str, instead: str, **options: object) -> None:
    """Refuse options that are for the other kind of model."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name} has no meaning here: the bundle holds {kind}", f"Use {instead}.")


def _verify_step(
    subject: Subject, data: Path | None, tokens: int, after_each_pass: bool, control: Path | None
) -> VerifyReport:
    """Verify the bundle of a decoding step, fed from `data`: a text, or an .npz file of vectors."""
    start = time.perf_counter()
    if tokens < 1:
        raise InputError("at least one token must be fed", "Give --tokens.")
    checks = [subject.check_source()]
    try:
        if subject.bundle.program.vector is not None:
            fed = fed_vectors(subject.bundle, data, tokens)
        else:
            fed = fed_tokens(subject.bundle, subject.model, data, tokens)
    except TritloomRuntimeError as error:
        raise InputError(error.message, error.hint) from error
    if checks[0].passed:
        checks += _verify(_begin(subject, fed), after_each_pass, control)
    seconds = time.perf_counter() - start
    return VerifyReport(
        str(subject.bundle.root),
        subject.model.name,
        fed.source,
        len(fed.tokens),
        tuple(checks),
        seconds,
        unit_of(fed.tokens),
    )


def _begin(subject: Subject, fed: Fed) -> _Run:
    imported = import_onnx(subject.model)
    module = imported.module
    reference = Reference(subject.model, Interface.of(next(op for op in module.ops if isinstance(op, tern.ModelOp))))
    store = CachedStore(imported.store)
    weights = check_weights(module, store, reference)
    small = small_gains(module, reference, weights, fed.tokens[:_SMALL])
    as_is = local_test("as it is", imported, reference, weights, fed.tokens[:_LOCAL])
    return _Run(subject, fed, reference, weights, as_is, small, store)


def _verify(run: _Run, after_each_pass: bool, control: Path | None) -> list[Check]:
    whole = check_whole(run.reference, run.fed.tokens, run.fed.following)
    checks = [] if whole is None else [whole]
    checks += [_weights_check(run.weights), *_local_checks("import", run.tests)]
    judged = _Judged.of(run, control)
    watchers = [_PassWatcher(test) for test in run.tests] if after_each_pass else []
    if watchers:
        watchers[0].judged, watchers[0].run = judged, run
    failed = _compile(run, watchers)
    if watchers:
        checks.append(_passes_check(watchers))
    if failed is not None:
        return [*checks, failed]
    checks += _local_checks("compiled", run.tests)
    program = Program(run.imported.module, run.store, run.subject.limits, run.subject.bundle)
    checks += check_images(program)
    logits = run.logits(run.fed.tokens)
    checks += _device_checks(run, logits)
    checks.append(_drift_check(judged.drift(logits), judged.control_name))
    return checks


def _compile(run: _Run, watchers: Sequence[_PassWatcher]) -> Check | None:
    """Compile every model of the local test for the bundle's kernel; a failed check where that is impossible."""
    try:
        for at, test in enumerate(run.tests):
            run.subject.lower(test.imported, [watchers[at]] if watchers else [])
    except (TritloomError, VerifyException) as error:
        return Check("compile", False, "the model does not compile for the bundle's kernel", findings=[str(error)])
    return None


def _weights_check(result: WeightsResult) -> Check:
    ties = sum(result.ties.values())
    figures: dict[str, Figure] = {"weights": result.compared, "trits": result.trits, "ties": ties}
    if result.findings:
        detail = f"{len(result.findings)} weights differ from onnxruntime's"
        return Check("weights", False, detail, figures, result.findings)
    detail = f"{result.trits:,} trits of {result.compared} weights are onnxruntime's"
    notes = [f"@{name}: {count} at a tie of its float masters" for name, count in result.ties.items()]
    return Check("weights", True, f"{detail}{f', {ties} ties apart' if ties else ''}", figures, notes)


def _local_checks(stage: str, tests: Sequence[LocalTest]) -> list[Check]:
    names = [f"local, {stage}" if at == 0 else f"local, {stage}, {test.name}" for at, test in enumerate(tests)]
    return [_local_check(name, test) for name, test in zip(names, tests, strict=True)]


def _local_check(name: str, test: LocalTest) -> Check:
    result, fed = test.check(), f"{len(test.tokens)} {unit_of(test.tokens)}"
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
        f"{result.compared} results over {fed}, {result.codes:,} codes ({result.ties} ties differ), "
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
            others = _control_logits(run, control)
            if others.shape != logits.shape:
                raise _no_control(control, f"its logits have {others.shape[-1]} elements, not {logits.shape[-1]}")
            return _Judged(logits, others, control.name, run.fed.following)
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


def _control_logits(run: _Run, control: Path) -> Array:
    """The logits of another export of the model."""
    interface = run.reference.interface
    other = Reference(control, interface)
    inputs, outputs = ({value.name for value in values} for values in (other.graph.input, other.graph.output))
    for name in (interface.source, *(state for state, _ in interface.states)):
        if name not in inputs:
            raise _no_control(control, f"it has no input '{name}'")
    for name in (interface.output, *(state for _, state in interface.states)):
        if name not in outputs:
            raise _no_control(control, f"it has no output '{name}'")
    return other.run(run.fed.tokens).values[interface.output]


def _no_control(control: Path, why: str) -> InputError:
    return InputError(
        f"{control.name} is no control: {why}",
        "Give another export of the same model, with the same names and sizes of inputs and outputs.",
    )


class _PassWatcher:
    """Tests a module after every pass."""

    def __init__(self, test: LocalTest) -> None:
        self._test = test
        self.run: _Run | None = None
        self.judged: _Judged | None = None
        """Where they are given, the global test is run too."""
        self.passes: list[str] = []
        self.first: tuple[int, str, list[str]] | None = None

    def before(self, pass_name: str, module: ModuleOp) -> None:
        """Nothing."""

    def after(self, pass_name: str, module: ModuleOp, changed: bool) -> None:
        """Run the local test, and the global one over fewer tokens."""
        self.passes.append(pass_name)
        if self.first is not None or not changed:
            return
        findings = list(self._test.check().findings)
        if self.run is not None and self.judged is not None:
            drift = self.judged.drift(self.run.logits(self.run.fed.tokens[:_EACH_PASS]))
            findings += [f"global test: {text}" for text in drift.exceeded]
        if findings:
            self.first = (len(self.passes), pass_name, findings)


def _passes_check(watchers: Sequence[_PassWatcher]) -> Check:
    """The first pass that broke the numbers, or none."""
    count = len(watchers[0].passes)
    found = [watcher.first for watcher in watchers if watcher.first is not None]
    if not found:
        return Check("passes", True, f"none of {count} passes breaks the numbers", {"passes": count})
    _, name, findings = min(found)
    figures: dict[str, Figure] = {"passes": count, "first": name}
    return Check("passes", False, f"pass '{name}' is the first that breaks the numbers", figures, findings)


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
    checks.append(_probe_check(run.subject))
    return checks


def _probe_check(subject: Subject) -> Check:
    """The probe on the bundle's kernel."""
    tokens = probe_tokens(subject.limits)
    with tempfile.TemporaryDirectory(prefix="tritloom-verify-") as folder:
        written, module, store = write_probe(subject, Path(folder) / "probe")
        expected = Expected.of(module, store, tokens)
        found = check_traces(Bundle.open(written), expected, tokens, stepwise=False)
    name = "device, rounding and zero vectors"
    return dataclasses.replace(found, name=name)


def _drift_check(drift: Drift, control: str) -> Check:
    ours, other = drift.ours, drift.control
    figures: dict[str, Figure] = {
        "argmax_agreement": ours.agreement,
        "logits_rms": ours.rms,
        "bits_distance": ours.bits,
        "bits_per_token": ours.bits_per_token,
        "bits_per_token_onnxruntime": drift.reference_bits,
        "control": control,
        "coarse": drift.coarse,
        **{f"limit_{name}": limit for name, limit in drift.limits.items()},
    }
    if other is not None:
        figures |= {
            "control_argmax_agreement": other.agreement,
            "control_logits_rms": other.rms,
            "control_bits_distance": other.bits,
            "control_bits_per_token": other.bits_per_token,
        }
    if drift.following:
        bits = f"{ours.bits_per_token:.4f} bits per token, onnxruntime {drift.reference_bits:.4f}"
    else:
        bits = f"outputs {ours.rms:.1e} rms off, the largest the same at {ours.agreement:.2%}"
    if drift.coarse:
        bits += f"; coarse limits: {drift.coarse}"
    limits = drift.limits
    most = f", {limits['bits']:.1e} bits" if drift.following else ""
    notes = [
        f"ours: {ours.text(drift.following)}",
        f"control ({control}){f': {other.text(drift.following)}' if other is not None else ''}",
        f"limits: {limits['disagreements']:.0f} differ, {limits['rms']:.1e} rms{most}",
    ]
    return Check("global", drift.passed, bits, figures, [*drift.exceeded, *notes])


__all__ = ["verify_bundle"]
