"""What is verified: a bundle, the ONNX file it was compiled from, and the model compiled again in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..frontend import Imported
from ..ir.kernel import KernelLimits
from ..ir.mlir import ModuleOp
from ..ir.store import WeightStore
from ..passes import CompilerContext, PassObserver, default_passes, run_passes
from ..runtime import Bundle, TritloomRuntimeError
from ..targets import bundle_target
from .report import Check


@dataclass(frozen=True)
class Subject:
    """An open bundle with its manifest, and the ONNX file."""

    bundle: Bundle
    kernel: dict[str, Any]
    source: dict[str, Any]
    """The ONNX file when the bundle was compiled: its path and sha256."""
    model: Path

    @property
    def limits(self) -> KernelLimits:
        """Limits of the bundle's kernel."""
        return KernelLimits(**{key: value for key, value in self.kernel["limits"].items() if key != "slices"})

    def lower(self, imported: Imported, observers: Sequence[PassObserver]) -> None:
        """Compile an imported model for the bundle's kernel, in place."""
        self.lower_module(imported.module, imported.store, observers)

    def lower_module(self, module: ModuleOp, store: WeightStore, observers: Sequence[PassObserver] = ()) -> None:
        """Compile a module for the bundle's kernel, in place."""
        target = bundle_target(self.bundle.root)
        context = CompilerContext(store=store, target=target, overlay=self.limits)
        run_passes(module, default_passes(), context, observers)

    def check_source(self) -> Check:
        """Whether the ONNX file is the one that the bundle was compiled from."""
        stated = self.source.get("sha256", "")
        found = _sha256(self.model)
        figures = {"sha256": found}
        if found == stated:
            return Check("source", True, f"{self.model.name} is the file the bundle was compiled from", figures)
        return Check(
            "source",
            False,
            f"{self.model.name} is not the file the bundle was compiled from",
            figures,
            [f"sha256 {found[:16]}..., the manifest says {stated[:16] or 'nothing'}...: compile it again"],
        )


def open_bundle(path: Path) -> Bundle:
    """Open a bundle.

    Raises:
        InputError: it is not sound.
    """
    try:
        return Bundle.open(path)
    except TritloomRuntimeError as error:
        raise InputError(error.message, error.hint) from error


def open_subject(path: Path, model: Path | None) -> Subject:
    """Open a bundle and find its ONNX file.

    Raises:
        InputError: the bundle is not sound, or the ONNX file is not where it was.
    """
    bundle = open_bundle(path)
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    source = {**manifest["program"].get("source", {}), **manifest.get("source", {})}
    stated = source.get("file")
    if model is None and not isinstance(stated, str):
        raise InputError(f"{path} does not say which ONNX file it was compiled from", "Give it with --model.")
    file = model if model is not None else Path(str(stated))
    if not file.is_file():
        raise InputError(f"there is no ONNX file {file}", "If it has moved, give it with --model.")
    return Subject(bundle, manifest["kernel"], source, file)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
