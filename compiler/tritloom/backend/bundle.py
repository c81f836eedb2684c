"""Compose a bundle: HLS and Vivado sources, images, IR dumps, report, manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..analysis import Estimate, Label, check_fits, estimate
from ..errors import InputError
from ..ir import engine
from ..ir.kernel import KernelLimits
from ..ir.locations import onnx_names
from ..ir.mlir import ModuleOp
from ..ir.text import op_text
from ..targets import BOARD_FILE, Target, board_toml
from .hls import HlsTarget, ListedInstruction, render_hls
from .images import Images
from .manifest import kernel_manifest, manifest, max_batch, program_manifest, takes_vectors
from .plan import BuildPlan, is_hashed
from .vivado import render_vivado


@dataclass(frozen=True)
class Source:
    """The model file, its metadata, and a tokenizer that the user named."""

    model: Path
    metadata: Mapping[str, str]
    tokenizer: Path | None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tokenizer_file(source: Source) -> Path | None:
    """The tokenizer: the one the user named, the one the model names, or tokenizer.json beside the model."""
    if source.tokenizer is not None:
        if not source.tokenizer.is_file():
            raise InputError(f"there is no tokenizer file {source.tokenizer}", "Give a tokenizer.json.")
        return source.tokenizer
    named = source.metadata.get("tritloom.tokenizer", "tokenizer.json")
    beside = source.model.parent / Path(named).name
    return beside if beside.is_file() else None


def _tokenizer(source: Source, plan: BuildPlan) -> dict[str, Any] | None:
    """Add the tokenizer to the bundle; its entry of the manifest."""
    file = _tokenizer_file(source)
    if file is None:
        return None
    content = file.read_bytes()
    try:
        json.loads(content)
    except ValueError as error:
        raise InputError(f"{file} is no tokenizer.json: {error}", "Give the file that `tokenizers` writes.") from error
    plan.add("tokenizer.json", content)

    def token(name: str) -> int | None:
        value = source.metadata.get(f"tritloom.{name}_token_id")
        return int(value) if value is not None and value.isdigit() else None

    return {"file": "tokenizer.json", "sha256": _sha256(content), "bos": token("bos"), "eos": token("eos")}


def listing(module: ModuleOp) -> list[ListedInstruction]:
    """The program for people: each instruction with its IR op and its ONNX nodes."""
    return [
        ListedInstruction(entry.instruction.words(), op_text(entry.op), tuple(onnx_names(entry.op)))
        for entry in engine.assemble(module)
    ]


def estimate_program(module: ModuleOp, images: Images, limits: KernelLimits, target: Target) -> Estimate:
    """Cycles, resources and memory of a scheduled module on a board.

    Raises:
        InputError: it does not fit.
    """
    entries = engine.assemble(module)
    labels = [Label(op_text(entry.op), ", ".join(onnx_names(entry.op))) for entry in entries]
    sizes = {name: len(data) for name, data in images.data.items()}
    program = [entry.instruction for entry in entries]
    found = estimate(program, limits, target, labels=labels, images=sizes, max_batch=max_batch(module, limits))
    check_fits(found, target)
    return found


def compose_bundle(
    module: ModuleOp,
    images: Images,
    limits: KernelLimits,
    target: Target,
    source: Source,
    found: Estimate,
    documents: Mapping[str, str],
    dumps: Mapping[str, str],
    kernel: dict[str, Any] | None = None,
) -> BuildPlan:
    """Every file of a bundle.

    Args:
        module: the scheduled module.
        images: what its kernel reads from memory.
        limits: the kernel.
        target: the board.
        found: the estimate that the manifest quotes.
        source: where the model came from.
        documents: further text files by path: README and report.
        dumps: IR text after each pass, by file name.
        kernel: manifest of an existing kernel that the program is for.

    Raises:
        InputError: the tokenizer is unusable.
    """
    plan = BuildPlan()
    kernel = kernel or kernel_manifest(limits, target)
    digest = _sha256(source.model.read_bytes())
    extra = {
        "name": source.model.stem,
        "source": {"sha256": digest},
        "contiguous_bytes": found.memory.contiguous,
        "tokenizer": None if takes_vectors(module) else _tokenizer(source, plan),
        "estimate": {
            "cycles_per_token": round(found.cycles_per_token),
            "tokens_per_second": round(found.tokens_per_second, 3),
            "label": found.label,
        },
    }
    program = program_manifest(module, images, limits, kernel["hash"], extra)
    plan.add_all("hls", render_hls(limits, HlsTarget.of(target), listing(module)))
    for path, text in {**render_vivado(limits, target, __version__), **documents}.items():
        plan.add(path, text)
    plan.add(BOARD_FILE, board_toml(target))
    for name, data in images.data.items():
        plan.add(f"weights/{name}.bin", data)
    hashed = {path: value for path, value in plan.digests().items() if is_hashed(path)}
    plan.add_all("ir", dumps)
    origin = {"file": str(source.model.resolve()), "sha256": digest}
    plan.add("manifest.json", manifest(kernel, program, origin, hashed))
    return plan
