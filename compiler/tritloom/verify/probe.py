"""A small program for the bundle's own kernel, of values that a text hardly ever holds: exact ties, zero vectors,
largest sums.

A text of 500 tokens holds about one code that lies exactly between two integers, so that a kernel which rounds them
the wrong way may pass every other test. And the sums of a text are small: an accumulator that is too narrow for the
largest that the kernel can meet, k_max times 127, would not show.
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
from ..ir.kernel import KernelLimits
from ..ir.mlir import ModuleOp, Operation, SSAValue
from ..ir.store import WeightStore, trits_hash
from .subject import Subject

F32 = NDArray[np.float32]

LENGTH: Final = 64
"""Of a vector, where the kernel's largest sum is not worth a probe."""
_NARROW: Final = 1 << 17
"""Sums that an accumulator of 18 bits holds."""
_SEED: Final = 7
_SCALE: Final = 0.5


def probe_length(limits: KernelLimits) -> int:
    """Elements of a vector: as many as the kernel takes, where these make large sums."""
    longest = min(limits.k_max, limits.vector_words)
    return longest if longest * 127 > _NARROW else LENGTH


def probe_rows(length: int) -> F32:
    """Vectors [rows, length] for the quantiser, from hard to ordinary."""
    random = np.random.default_rng(_SEED)
    halves = np.arange(-126.5, 127.0, 1.0, dtype=np.float32)  # with A = 127 the step is 1: each is a tie
    ties = np.resize(halves, (-(-len(halves) // (length - 1)), length - 1))
    rows = [np.concatenate([np.array([127.0], np.float32), row]) for row in ties]
    ordinary = random.standard_normal((3, length)).astype(np.float32)
    tiny = np.float32(2.0) ** -61
    rows += [
        np.zeros(length, np.float32),
        np.full(length, tiny),  # a zero vector: A < 2^-60
        np.full(length, np.float32(2.0) ** -59),
        -np.abs(ordinary[0]),
        *(ordinary * np.float32(scale) for scale in (1.0, 2.0**-30, 2.0**30)),
    ]
    if length > LENGTH:  # codes 127 and -127 alone: with trits of one sign, the largest sums
        rows += [np.full(length, np.float32(1)), np.full(length, np.float32(-1))]
    return np.vstack(rows).astype(np.float32)


def probe_module(limits: KernelLimits) -> tuple[ModuleOp, WeightStore]:
    """Embedding, absmax quantiser, ternary product: every row of the table goes through a quantiser."""
    length = probe_length(limits)
    table = probe_rows(length)
    trits = np.random.default_rng(_SEED).integers(-1, 2, (len(table), length)).astype(np.int8)
    trits[0], trits[1] = 1, -1
    store = WeightStore()
    store.add("rows", lambda: table)
    store.add("weight", lambda: trits)
    model = tern.ModelOp("probe", "token", ["logits"], [])
    block = model.body.block

    def add(op: Operation) -> SSAValue:
        block.add_op(op)
        return op.results[0]

    row = add(tern.EmbeddingOp(block.args[0], "rows", length))
    quantizer = tern.QuantizeAbsmaxOp(row)
    codes = add(quantizer)
    sums = add(tern.DotOp(codes, "weight", len(table)))
    logits = add(tern.DequantizeOp(sums, quantizer.scale, _SCALE))
    block.add_op(tern.ReturnOp([logits]))
    module = ModuleOp(
        [
            tern.TableOp("rows", len(table), length, "f32"),
            tern.WeightOp("weight", len(table), length, _SCALE, trits_hash(trits)),
            model,
        ]
    )
    module.verify()
    return module, store


def probe_tokens(limits: KernelLimits) -> list[int]:
    """Every row once."""
    return list(range(len(probe_rows(probe_length(limits)))))


def write_probe(subject: Subject, folder: Path) -> tuple[Path, ModuleOp, WeightStore]:
    """A bundle of the probe for the subject's kernel, from the subject's own C++: (bundle, compiled module, store)."""
    module, store = probe_module(subject.limits)
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
