"""`verify_net`: every check of the bundle of a feed-forward net (docs/verification.md)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..analysis.stage_cost import work_of
from ..analysis.stage_traits import kernel_of
from ..errors import InputError
from ..frontend import Imported, import_onnx
from ..ir import flow, tern
from ..ir.interpreter.net import NetInterpreter, net_of
from ..ir.mlir import ModuleOp, VerifyException
from ..ir.store import UnknownSymbol
from ..ir.text import IrSyntaxError, parse_ir
from ..runtime.net_manifest import NetProgram
from ..samples import Samples
from .net_adders import read_adders
from .net_codes import CodeCheck, LayerCodes
from .net_device import check_cycles, check_net_device
from .net_frames import frames_for, products_a_frame
from .net_kernel import KernelStage, check_requantisers, check_weights_text
from .net_outputs import Outputs, output_checks, ranked_tensors
from .net_ranking import check_rankings
from .net_reference import NetReference, has_integer_layers, net_reference
from .net_sources import check_sources
from .net_tables import StageTables, read_tables
from .reference import read_graph
from .report import Check, Figure, VerifyReport
from .subject import Subject

Array = NDArray[Any]

_CHUNK_PRODUCTS: Final = 1 << 29
"""Products of trits and codes that the interpreter makes at once."""
_CHUNK: Final = 256
_BOUNDED: Final = 4
"""Frames in the bounded build."""
_EACH_PASS: Final = 64
"""Frames after each pass."""


@dataclass(frozen=True)
class _Net:
    """What is verified: the net imported again, and as the bundle holds it after every pass."""

    subject: Subject
    program: NetProgram
    imported: Imported
    dumps: list[tuple[str, ModuleOp]]
    """IR after the import and after each pass."""

    @property
    def compiled(self) -> ModuleOp:
        """The module that the kernel was rendered from."""
        return self.dumps[-1][1]

    @property
    def stages(self) -> list[flow.Stage]:
        """Stages of the compiled module, in order."""
        net = net_of(self.compiled)
        return [op for op in net.body.block.ops if isinstance(op, flow.Stage)] if net is not None else []

    def outputs(self, module: ModuleOp, values: Array) -> Outputs:
        """The interpreter's outputs of a module, chunk by chunk."""
        interpreter = NetInterpreter(module, self.imported.store)
        parts = [interpreter.run({self.program.input.name: part}) for part in self.chunks(values)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def chunks(self, values: Array) -> list[Array]:
        """Frames in portions that fit into memory."""
        size = int(np.clip(_CHUNK_PRODUCTS // products_a_frame(self.imported), 1, _CHUNK))
        return [values[at : at + size] for at in range(0, len(values), size)]


def verify_net(
    subject: Subject, *, inputs: Path | None = None, frames: int | None = None, after_each_pass: bool = False
) -> VerifyReport:
    """Compare the bundle of a net with onnxruntime, the exact step functions and the interpreter.

    Args:
        subject: the bundle, and its ONNX file.
        inputs: .npz with frames under the input's name; otherwise samples beside the model, or random frames.
        frames: how many to feed; otherwise 1,000, or as many as a budget of products allows.
        after_each_pass: evaluate the IR after every pass, and name the first pass that breaks the numbers.

    Raises:
        InputError: the bundle, the model or the frames are at fault.
    """
    start = time.perf_counter()
    if frames is not None and frames < 1:
        raise InputError("at least one frame must be fed", "Give --frames.")
    program = subject.bundle.net
    if program is None:
        raise InputError(f"{subject.bundle.root} holds a language model, no net", "Use --tokens and --text.")
    checks, fed, count = [subject.check_source()], "nothing", 0
    if checks[0].passed:
        imported = import_onnx(subject.model)
        chosen = frames_for(imported, program.input, subject.model, inputs, frames)
        fed, count = chosen.source, len(chosen.values)
        checks += _checks(subject, program, imported, chosen, after_each_pass)
    seconds = time.perf_counter() - start
    return VerifyReport(str(subject.bundle.root), subject.model.name, fed, count, tuple(checks), seconds, "frames")


def _checks(
    subject: Subject, program: NetProgram, imported: Imported, fed: Samples, after_each_pass: bool
) -> list[Check]:
    wanted, checks = _against_reference(subject, program, imported, fed)
    try:
        net = _Net(subject, program, imported, _dumps(subject))
        checks += [_passes_check(net, fed.values)] if after_each_pass else []
        compiled = net.outputs(net.compiled, fed.values)
    except (VerifyException, UnknownSymbol, ValueError) as error:
        text = str(error).splitlines()[0]
        return [*checks, Check("compiled", False, "the bundle's IR does not fit the ONNX file", findings=[text])]
    checks.append(_same_outputs(wanted, compiled, len(fed.values)))
    checks += _kernel_checks(net)
    fast = check_net_device(subject.bundle, program.input.name, fed.values, wanted, "fast")
    few = fed.values[:_BOUNDED]
    some = {name: array[: len(few)] for name, array in wanted.items()}
    bounded = check_net_device(subject.bundle, program.input.name, few, some, "bounded")
    checks += [fast.check, bounded.check]
    if fast.initiations:
        works = [work_of(stage) for stage in net.stages]
        estimated = max(work.frame for work in works)
        checks.append(check_cycles(fast, [work.of(fast.frames) for work in works], program.cycles_per_frame, estimated))
    return checks


# --- the reference -----------------------------------------------------------------------------------------------


def _against_reference(
    subject: Subject, program: NetProgram, imported: Imported, fed: Samples
) -> tuple[Outputs, list[Check]]:
    """Our outputs of all frames, and the checks against the reference."""
    net = _Net(subject, program, imported, [("import", imported.module)])
    ours = net.outputs(imported.module, fed.values)
    reference, why = net_reference(subject.model)
    codes = CodeCheck(imported, has_integer_layers(read_graph(subject.model)))
    outputs = output_checks(imported.module, fed.labels)
    if reference is None:
        missing = Check("codes", True, f"not compared: {why}", {"compared": 0}, skipped=True)
        return ours, [missing, *(output.uncompared(ours, why) for output in outputs)]
    first = 0
    for part in net.chunks(fed.values[: reference.most]):
        truth = reference.run(part, list(dict.fromkeys([*codes.tensors, *ranked_tensors(outputs)])))
        local, differing = codes.run(part, truth, first)
        here = {name: values[first : first + len(part)] for name, values in ours.items()}
        for output in outputs:
            output.add(here, local, truth, differing)
        first += len(part)
    return ours, [_codes_check(codes, reference, first), *(output.check(ours, reference.name) for output in outputs)]


def _codes_check(codes: CodeCheck, reference: NetReference, frames: int) -> Check:
    layers = list(codes.layers.values())
    compared, ties = sum(layer.compared for layer in layers), sum(layer.tie_count for layer in layers)
    wrong = [layer for layer in layers if layer.fault_count]
    exact = sum(layer.exact for layer in layers)
    figures: dict[str, Figure] = {
        "layers": len(layers),
        "compared": compared,
        "ties": ties,
        "exact_layers": exact,
        "wrong": sum(layer.fault_count for layer in layers),
        "frames": frames,
    }
    notes = [note for layer in layers for note in _layer_notes(layer)]
    notes += [f"no tensor holds the codes of {label}: compared through the next layer" for label in codes.unbound]
    if wrong:
        detail = f"{len(wrong)} of {len(layers)} quantisers differ from {reference.name}"
        return Check("codes", False, detail, figures, [_fault(layer) for layer in wrong] + notes)
    detail = (
        f"{compared:,} codes of {len(layers)} quantisers over {frames:,} frames are {reference.name}'s"
        f"{f', {ties:,} differ at a tie' if ties else ''}; {exact} quantisers must be exact"
    )
    return Check("codes", True, detail, figures, notes)


def _fault(layer: LayerCodes) -> str:
    return f"{layer.label}: {layer.fault_count:,} of {layer.compared:,} codes differ\n  " + "\n  ".join(layer.faults)


def _layer_notes(layer: LayerCodes) -> list[str]:
    if not layer.tie_count:
        return []
    return [f"{layer.label}: {layer.tie_count:,} of {layer.compared:,} at a tie\n  " + "\n  ".join(layer.ties)]


# --- the bundle --------------------------------------------------------------------------------------------------


def _dumps(subject: Subject) -> list[tuple[str, ModuleOp]]:
    """The IR of the bundle after the import and after each pass.

    Raises:
        InputError: it is missing or damaged.
    """
    files = sorted((subject.bundle.root / "ir").glob("*.mlir"))
    found = []
    for file in files:
        try:
            found.append((file.stem.partition("-")[2], parse_ir(file.read_text(encoding="utf-8"), file.name)))
        except (IrSyntaxError, UnicodeDecodeError, OSError) as error:
            raise InputError(f"ir/{file.name} is no valid IR: {error}", "Compile the model again.") from error
    if len(found) < 2 or not any(isinstance(op, flow.Stage) for op in found[-1][1].walk()):
        raise InputError(f"{subject.bundle.root} lacks the IR after each pass", "Compile the model again.")
    return found


def _passes_check(net: _Net, values: Array) -> Check:
    """The first pass whose result gives other outputs than the import."""
    few = values[:_EACH_PASS]
    wanted = net.outputs(net.imported.module, few)
    for name, module in net.dumps:
        try:
            module.verify()
            text = _difference(wanted, net.outputs(module, few))
        except (VerifyException, UnknownSymbol, ValueError) as error:
            text = str(error).splitlines()[0]
        if text:
            detail = f"pass '{name}' is the first that breaks the numbers"
            return Check("passes", False, detail, {"passes": len(net.dumps), "first": name}, [text])
    detail = f"none of {len(net.dumps)} passes breaks the numbers, over {len(few)} frames"
    return Check("passes", True, detail, {"passes": len(net.dumps), "frames": len(few)})


def _difference(wanted: Outputs, found: Outputs) -> str:
    """The first output that differs."""
    for name, array in wanted.items():
        if name not in found or found[name].shape != array.shape or found[name].dtype != array.dtype:
            return f"'{name}' is {_kind(found.get(name))}, not {_kind(array)}"
        frames = np.flatnonzero((found[name] != array).reshape(len(array), -1).any(axis=1))
        if len(frames):
            return f"'{name}': {len(frames)} of {len(array)} frames differ, the first is frame {frames[0]}"
    return ""


def _kind(array: Array | None) -> str:
    return "missing" if array is None else f"{array.dtype} {list(array.shape)}"


def _same_outputs(wanted: Outputs, found: Outputs, frames: int) -> Check:
    text = _difference(wanted, found)
    figures: dict[str, Figure] = {"frames": frames}
    if text:
        return Check("compiled", False, "the compiled IR gives other outputs than the imported net", figures, [text])
    return Check("compiled", True, f"the compiled IR gives the imported net's outputs, {frames:,} frames", figures)


def _struct(name: str) -> str:
    """Name of a stage's traits struct."""
    return "".join(part.capitalize() for part in name.split("_"))


def _add_hard_wired(file: Path, net: _Net, tables: dict[str, StageTables]) -> None:
    """The matrices of hard-wired layers, as their adders say them."""
    named = zip(net.program.stages, net.stages, strict=False)
    inputs = {
        _struct(name): (flow.stream_of(stage.operand).lanes.data, *tern.range_of(flow.stream_element(stage.operand)))
        for name, stage in named
        if isinstance(stage, flow.MvauOp) and kernel_of(stage) == "hard_wired"
    }
    if not inputs:
        return
    for struct, matrix in read_adders(file.read_text(encoding="utf-8"), inputs).items():
        if struct in tables:
            tables[struct].arrays["adders"] = matrix


def _kernel_checks(net: _Net) -> list[Check]:
    """The C++ of the kernel: its text, its weights, its requantisers."""
    root, store = net.subject.bundle.root, net.imported.store
    checks = [check_sources(net.subject, net.compiled, store)]
    tables = read_tables(*((root / "hls" / name).read_text(encoding="utf-8") for name in ("config.h", "weights.h")))
    _add_hard_wired(root / "hls" / "adders.h", net, tables)
    stages: list[KernelStage] = []
    for name, stage in zip(net.program.stages, net.stages, strict=False):
        struct = _struct(name)
        if struct in tables:
            stages.append(KernelStage(name, stage, tables[struct]))
    if len(stages) != len(net.stages) or len(net.program.stages) != len(net.stages):
        detail = f"hls/config.h has {len(stages)} of the {len(net.stages)} stages of the IR"
        return [*checks, Check("weights", False, detail)]
    ordered: Sequence[KernelStage] = stages
    checks += [check_weights_text(ordered, net.compiled, store), check_requantisers(ordered, net.compiled, store)]
    return checks + check_rankings(ordered, store)
