"""What the command line calls, for programs: compile a model, run passes on IR text."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import __version__
from .analysis import Estimate
from .analysis.net_estimate import NetEstimate, check_net_fits
from .backend.bundle import Source, compose_bundle, estimate_program, listing
from .backend.images import Images, build_images
from .backend.manifest import kernel_manifest, takes_vectors
from .backend.net_bundle import compose_net_bundle, input_port, net_estimate
from .backend.net_outputs import output_texts
from .backend.plan import BuildPlan, check_output
from .errors import InputError, TritloomError
from .frontend import Imported, import_onnx
from .ir import engine, tern
from .ir.interpreter.net import net_of
from .ir.kernel import KernelLimits
from .ir.mlir import ModuleOp, ModulePass
from .ir.store import UnknownSymbol
from .ir.text import IrSyntaxError, ir_text, parse_ir
from .passes import (
    CompilerContext,
    PassObserver,
    PassRecord,
    default_passes,
    net_passes,
    op_count,
    parse_passes,
    run_passes,
)
from .report import Image, NetReportData, PassRow, ReportData, net_report_files, report_files
from .samples import bundled, samples_beside
from .targets import BOARD_FILE, Target, load_target

__all__ = ["CompileResult", "PassObserver", "PassRecord", "compile_model", "ir_text", "lower", "optimise"]


@dataclass(frozen=True)
class CompileResult:
    """A written bundle and what led to it. With `stop_after` there is no bundle, only the module."""

    bundle: Path | None
    module: ModuleOp
    passes: list[PassRecord]
    estimate: Estimate | NetEstimate | None
    files: list[str]
    contiguous_bytes: int
    warnings: list[str]
    seconds: float


def _dumps(records: Sequence[PassRecord]) -> dict[str, str]:
    """The `ir` folder of a bundle: IR text after the import and after every pass."""
    texts = [record for record in records if record.text]
    return {f"{index:02d}-{record.name}.mlir": record.text for index, record in enumerate(texts)}


def _overlay_limits(folder: Path, target: Target) -> tuple[KernelLimits, dict[str, Any]]:
    """Limits and kernel manifest of an existing bundle, checked by the runtime's own reader."""
    from .runtime.bundle import Bundle
    from .runtime.errors import TritloomRuntimeError

    try:
        Bundle.open(folder)
    except TritloomRuntimeError as error:
        raise InputError(f"--overlay {folder}: {error.message}", error.hint) from error
    kernel = json.loads((folder / "manifest.json").read_text())["kernel"]
    if "limits" not in kernel:
        raise InputError(
            f"--overlay {folder} is the kernel of one feed-forward net, which runs no other model",
            "Give the bundle of a language model or another decoding step.",
        )
    for field, wanted in (("board", target.name), ("part", target.part), ("clock_mhz", target.clock_mhz)):
        if kernel[field] != wanted:
            raise InputError(
                f"--overlay {folder} is a kernel for {kernel[field]}, not for {wanted}",
                f"Compile with --board {folder / BOARD_FILE}.",
            )
    limits = KernelLimits(**{key: value for key, value in kernel["limits"].items() if key != "slices"})
    if kernel.get("sources") != kernel_manifest(limits, target)["sources"]:
        raise InputError(
            f"--overlay {folder} is a kernel of other HLS sources than this tritloom writes",
            "Compile and build it anew, or use the tritloom that wrote it.",
        )
    return limits, kernel


def _built_overlay(folder: Path, warnings: list[str]) -> dict[str, bytes]:
    """The files of the overlay that the bundle of an existing kernel was built to; none where it was not built."""
    from .runtime.bundle import Bundle
    from .runtime.errors import DeviceError
    from .runtime.overlay_file import check_overlay

    if not (folder / "overlay").is_dir():
        return {}
    try:
        check_overlay(Bundle.open(folder))
    except DeviceError as error:
        warnings.append(f"the overlay of {folder} is not taken over: {error.message}")
        return {}
    record = json.loads((folder / "overlay" / "overlay.json").read_text())
    return {f"overlay/{name}": (folder / "overlay" / name).read_bytes() for name in ("overlay.json", *record["files"])}


def _check_options(limits: KernelLimits, lanes: int | None, batch: int | None) -> None:
    """Refuse options that an existing kernel contradicts."""
    for name, asked, given in (("lanes", lanes, limits.lanes), ("batch", batch, limits.batch)):
        if asked is not None and asked != given:
            raise InputError(
                f"--{name} {asked}, but the kernel of --overlay has {name} {given}",
                f"Leave --{name} out, or compile a kernel of its own without --overlay.",
            )


def _import_records(imported: Imported) -> list[PassRecord]:
    records = [PassRecord(stage.name, stage.before, stage.after, stage.seconds, True) for stage in imported.stages]
    return [*records[:-1], replace(records[-1], ops_after=op_count(imported.module), text=ir_text(imported.module))]


def _until(passes: Sequence[ModulePass], stop_after: str | None) -> Sequence[ModulePass]:
    """The passes up to one of them."""
    if stop_after is None:
        return passes
    names = [current.name for current in passes]
    if stop_after == "import":
        return []
    if stop_after not in names:
        raise InputError(f"this model has no pass '{stop_after}'", f"Its passes: import, {', '.join(names)}.")
    return passes[: names.index(stop_after) + 1]


def passes_for(
    module: ModuleOp, lanes: int | None = None, batch: int | None = None, fps: int | None = None
) -> list[ModulePass]:
    """The passes of a module: those of a decoding step, or those of a feed-forward net.

    Raises:
        InputError: an option that this kind of model has no use for.
    """
    if net_of(module) is None:
        if fps is not None:
            raise InputError("--target-fps is for feed-forward nets, this model is a decoding step", "Leave it out.")
        return default_passes(lanes, batch)
    for name, value in (("lanes", lanes), ("batch", batch)):
        if value is not None:
            raise InputError(f"--{name} is for decoding steps, this model is a feed-forward net", "Use --target-fps.")
    return net_passes(fps)


def lower(
    imported: Imported,
    context: CompilerContext,
    observers: Sequence[PassObserver] = (),
    stop_after: str | None = None,
    lanes: int | None = None,
    batch: int | None = None,
    fps: int | None = None,
) -> list[PassRecord]:
    """Run the pipeline on an imported model, in place."""
    passes = _until(passes_for(imported.module, lanes, batch, fps), stop_after)
    for observer in observers:
        observer.after("import", imported.module, True)
    return _import_records(imported) + run_passes(imported.module, passes, context, observers)


def _pass_rows(records: Sequence[PassRecord]) -> list[PassRow]:
    return [PassRow(record.name, record.ops_before, record.ops_after, record.seconds) for record in records]


def _trits(module: ModuleOp) -> int:
    """Ternary weights of a module, each counted once."""
    weights = [op for op in module.ops if isinstance(op, tern.WeightOp)]
    return sum(op.rows.value.data * op.cols.value.data for op in weights if not op.part_names())


def _report(
    imported: Imported, figures: Estimate, records: Sequence[PassRecord], images: Images, model: Path
) -> ReportData:
    return ReportData(
        model=model.stem,
        board=figures.board_title,
        passes=_pass_rows(records),
        estimate=figures,
        images=[
            Image(name, f"weights/{name}.bin", len(data), hashlib.sha256(data).hexdigest())
            for name, data in images.data.items()
        ],
        program=[line.text for line in listing(imported.module)],
        version=__version__,
        facts={
            "ternary weights": f"{_trits(imported.module):,}",
            "instructions": str(engine.instruction_count(imported.module)),
        },
    )


def compile_model(
    model: Path,
    board: str | Target,
    output: Path,
    *,
    force: bool = False,
    overlay: Path | None = None,
    tokenizer: Path | None = None,
    batch: int | None = None,
    lanes: int | None = None,
    fps: int | None = None,
    observer: PassObserver | None = None,
    stop_after: str | None = None,
) -> CompileResult:
    """Compile an ONNX file to a bundle folder.

    Raises:
        InputError: the model, the board or the output folder is at fault; nothing has been written.
    """
    start = time.perf_counter()
    target = board if isinstance(board, Target) else load_target(board)
    if stop_after is None:
        check_output(output, force)
    limits, kernel = _overlay_limits(overlay, target) if overlay is not None else (None, None)
    if limits is not None:
        _check_options(limits, lanes, batch)
    imported = import_onnx(model)
    context = CompilerContext(store=imported.store, target=target, overlay=limits)
    records = lower(imported, context, [observer] if observer is not None else [], stop_after, lanes, batch, fps)
    if stop_after is not None:
        return CompileResult(None, imported.module, records, None, [], 0, context.warnings, time.perf_counter() - start)
    if (net := net_of(imported.module)) is not None:
        if overlay is not None or tokenizer is not None:
            raise InputError(
                "a feed-forward net has a kernel of its own and no tokenizer", "Leave --overlay and --tokenizer out."
            )
        found_net, plan = _net_bundle(imported, net, target, model, records, context.warnings)
        plan.write(output, force)
        return _result(output, imported, records, found_net, plan, found_net.contiguous_bytes, context.warnings, start)
    found = engine.kernel_of(imported.module)
    if found is None:
        raise TritloomError("the pipeline chose no kernel", "Report this with the model.")
    vectors = takes_vectors(imported.module)
    if vectors and tokenizer is not None:
        raise InputError("a step that is fed with vectors has no tokenizer", "Leave --tokenizer out.")
    images = build_images(imported.module, imported.store, found.kernel_limits())
    source = Source(model, imported.metadata, tokenizer)
    figures = estimate_program(imported.module, images, found.kernel_limits(), target)
    report = _report(imported, figures, records, images, model)
    documents = report_files(report, target, "vectors" if vectors else "tokens")
    plan = compose_bundle(
        imported.module, images, found.kernel_limits(), target, source, figures, documents, _dumps(records), kernel
    )
    if "tokenizer.json" not in plan.files and not vectors:
        named = imported.metadata.get("tritloom.tokenizer", "tokenizer.json")
        context.warnings.append(f"no {named} beside the model: the bundle takes token ids only (--tokenizer FILE)")
    if overlay is not None:
        plan.files |= _built_overlay(overlay, context.warnings)
    plan.write(output, force)
    warnings = [*context.warnings, *figures.warnings]
    return _result(output, imported, records, figures, plan, figures.memory.contiguous, warnings, start)


def _result(
    output: Path,
    imported: Imported,
    records: list[PassRecord],
    figures: Estimate | NetEstimate,
    plan: BuildPlan,
    contiguous: int,
    warnings: list[str],
    start: float,
) -> CompileResult:
    seconds = time.perf_counter() - start
    files = sorted(plan.files)
    return CompileResult(output, imported.module, records, figures, files, contiguous, warnings, seconds)


def _net_bundle(
    imported: Imported,
    net: tern.NetOp,
    target: Target,
    model: Path,
    records: Sequence[PassRecord],
    warnings: list[str],
) -> tuple[NetEstimate, BuildPlan]:
    """The estimate and the files of a lowered net."""
    found = net_estimate(imported.module, imported.store, net, target)
    check_net_fits(found, target)
    outputs = output_texts(imported.module, imported.store, net)
    report = NetReportData(
        model=model.stem,
        board=target.title,
        passes=_pass_rows(records),
        estimate=found,
        input=net.input_ports[0].tensor.data,
        outputs=[port.tensor.data for port in net.output_ports],
        version=__version__,
        facts={
            "ternary weights": f"{_trits(imported.module):,}",
            "stages": str(len(found.stages)),
            "outputs": ", ".join(outputs),
        },
    )
    documents: dict[str, str | bytes] = dict(net_report_files(report, target))
    documents |= _samples(imported, net, model, warnings)
    plan = compose_net_bundle(imported.module, imported.store, net, target, model, found, documents, _dumps(records))
    return found, plan


def _samples(imported: Imported, net: tern.NetOp, model: Path, warnings: list[str]) -> dict[str, bytes]:
    """Samples beside the model, for the bundle's notebook; a file that is none is a warning."""
    port = input_port(net)
    try:
        found = samples_beside(model, imported.metadata, port)
    except InputError as error:
        warnings.append(f"no samples for the notebook: {error.message}")
        return {}
    return {} if found is None else {"samples.npz": bundled(found, port)}


def _model_of_bundle(file: Path) -> Path | None:
    """The ONNX file of the bundle that an IR dump lies in, where it is still there and unchanged."""
    manifest = file.parent.parent / "manifest.json"
    if file.parent.name != "ir" or not manifest.is_file():
        return None
    try:
        source = json.loads(manifest.read_text())["source"]
        model, digest = Path(source["file"]), source["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    unchanged = model.is_file() and hashlib.sha256(model.read_bytes()).hexdigest() == digest
    return model if unchanged else None


def optimise(
    file: Path,
    pipeline: str,
    *,
    model: Path | None = None,
    board: str | None = None,
    observer: PassObserver | None = None,
) -> ModuleOp:
    """Run passes on IR text. Passes that read weights need the ONNX file, those that size the kernel a board.

    The ONNX file of a dump inside a bundle is found through the bundle's manifest.

    Raises:
        InputError: the file or the pipeline is at fault, or a pass lacks what it needs.
    """
    passes = parse_passes(pipeline)
    try:
        module = parse_ir(file.read_text(), str(file))
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror}", "Give a .mlir file of a bundle's ir folder."
        ) from error
    except (IrSyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no valid IR: {error}", "Bundles hold IR text in their ir folder.") from error
    context = CompilerContext(target=load_target(board) if board is not None else None)
    origin = model if model is not None else _model_of_bundle(file)
    if origin is not None:
        context.store = import_onnx(origin).store
    try:
        run_passes(module, passes, context, [observer] if observer is not None else [])
    except UnknownSymbol as error:
        raise InputError(str(error), "Give the model with --model.") from error
    return module
