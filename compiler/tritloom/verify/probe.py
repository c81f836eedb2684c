"""A small program for the bundle's own kernel, of values that a text hardly ever holds: exact ties, zero vectors.

A text of 500 tokens holds about one code that lies exactly between two integers, so that a kernel which rounds them
the wrong way may pass every other test.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..backend.images import build_images
from ..backend.manifest import manifest, program_manifest
from ..ir import tern
from ..ir.mlir import ModuleOp, Operation, SSAValue
from ..ir.store import WeightStore, trits_hash
from .subject import Subject

F32 = NDArray[np.float32]

LENGTH: Final = 64
_SEED: Final = 7
_SCALE: Final = 0.5


def probe_rows() -> F32:
    """Vectors [rows, LENGTH] for the quantiser, from hard to ordinary."""
    random = np.random.default_rng(_SEED)
    halves = np.arange(-126.5, 127.0, 1.0, dtype=np.float32)  # with A = 127 the step is 1: each is a tie
    ties = np.resize(halves, (-(-len(halves) // (LENGTH - 1)), LENGTH - 1))
    rows = [np.concatenate([np.array([127.0], np.float32), row]) for row in ties]
    ordinary = random.standard_normal((3, LENGTH)).astype(np.float32)
    tiny = np.float32(2.0) ** -61
    rows += [
        np.zeros(LENGTH, np.float32),
        np.full(LENGTH, tiny),  # a zero vector: A < 2^-60
        np.full(LENGTH, np.float32(2.0) ** -59),
        -np.abs(ordinary[0]),
        *(ordinary * np.float32(scale) for scale in (1.0, 2.0**-30, 2.0**30)),
    ]
    return np.vstack(rows).astype(np.float32)


def probe_module() -> tuple[ModuleOp, WeightStore]:
    """Embedding, absmax quantiser, ternary product: every row of the table goes through a quantiser."""
    table = probe_rows()
    trits = np.random.default_rng(_SEED).integers(-1, 2, (len(table), LENGTH)).astype(np.int8)
    store = WeightStore()
    store.add("rows", lambda: table)
    store.add("weight", lambda: trits)
    model = tern.ModelOp("probe", "token", ["logits"], [])
    block = model.body.block

    def add(op: Operation) -> SSAValue:
        block.add_op(op)
        return op.results[0]

    row = add(tern.EmbeddingOp(block.args[0], "rows", LENGTH))
    quantizer = tern.QuantizeAbsmaxOp(row)
    codes = add(quantizer)
    sums = add(tern.DotOp(codes, "weight", len(table)))
    logits = add(tern.DequantizeOp(sums, quantizer.scale, _SCALE))
    block.add_op(tern.ReturnOp([logits]))
    module = ModuleOp(
        [
            tern.TableOp("rows", len(table), LENGTH, "f32"),
            tern.WeightOp("weight", len(table), LENGTH, _SCALE, trits_hash(trits)),
            model,
        ]
    )
    module.verify()
    return module, store


def probe_tokens() -> list[int]:
    """Every row once."""
    return list(range(len(probe_rows())))


def write_probe(subject: Subject, folder: Path) -> tuple[Path, ModuleOp, WeightStore]:
    """A bundle of the probe for the subject's kernel, from the subject's own C++: (bundle, compiled module, store)."""
    module, store = probe_module()
    subject.lower_module(module, store)
    images = build_images(module, store, subject.limits)
    (folder / "weights").mkdir(parents=True)
    for name, data in images.data.items():
        (folder / "weights" / f"{name}.bin").write_bytes(data)
    sources = {name: digest for name, digest in subject.bundle.manifest.files.items() if name.startswith("hls/")}
    for name in sources:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(subject.bundle.path(name), folder / name)
    extra: dict[str, Any] = {
        "name": "probe",
        "contiguous_bytes": sum(map(len, images.data.values())),
        "tokenizer": None,
        "estimate": {"cycles_per_token": 0, "tokens_per_second": 0.0, "label": "estimated"},
    }
    program = program_manifest(module, images, subject.limits, subject.kernel["hash"], extra)
    files = {**sources, **_weights_digests(folder, images.data)}
    (folder / "manifest.json").write_text(manifest(subject.kernel, program, {}, files))
    return folder, module, store


def _weights_digests(folder: Path, names: Sequence[str] | dict[str, bytes]) -> dict[str, str]:
    files = [f"weights/{name}.bin" for name in names]
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
