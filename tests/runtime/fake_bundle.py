"""Builds a small, valid bundle around the fake kernel, and changes it again for tests of bad input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tritloom.runtime.bpe import BYTE_CHARACTERS
from tritloom.runtime.kernel_manifest import ENCODING, NUMERICS, canonical_hash, kernel_arguments

VOCAB = 64
STATE_WORDS = 20
WEIGHT = 3
ROWS, LENGTH = 48, 3
"""Rows of memory (those from 60 on misbehave in the fake kernel), and floats of a vector: a row is a whole beat."""
_HERE = Path(__file__).parent
_MAKEFILE = """\
BUILD ?= build
fast bounded:
\tcc -O1 -shared -fPIC -o $(BUILD)/libtritloom_$@.so fake_kernel.c
"""
_BOARDS = {"zynqmp": "kv260", "zynq": "pynq-z2", "alveo": "alveo-u280"}
_LIMITS = {
    "ports": 2,
    "port_bits": 128,
    "slices": 2,
    "lanes": 8,
    "k_max": 80,
    "code_slots": 3,
    "vector_words": 256,
    "state_words": 64,
    "program_max": 16,
    "topk": 8,
    "port_fifo": 16,
    "gain_fifo": 16,
}
LETTERS = "abcdefghijklmnopqrstuvwxyz .,'\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tokenizer_document() -> dict[str, Any]:
    """Byte-level, with BOS 0, a few letters, merges, and the three bytes of U+20AC on their own."""
    vocab = {"<s>": 0}
    for byte in LETTERS.encode() + "€".encode():
        vocab.setdefault(BYTE_CHARACTERS[byte], len(vocab))
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    added = {"id": 0, "content": "<s>", "special": True, "normalized": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": vocab, "merges": [list(merge) for merge in merges]}
    options = {"dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False}
    return {
        "version": "1.0",
        "added_tokens": [added | flags],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": model | options,
    }


def write_bundle(root: Path, family: str = "zynqmp", batch: int = 4, clock_mhz: float = 250.0) -> Path:
    """A bundle with two ports, a vocabulary of 64 and 20 floats of state; returns `root`."""
    contents = _contents()
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    kernel = _kernel(family, batch, clock_mhz)
    manifest = {
        "schema": 1,
        "generator": "test",
        "kernel": kernel,
        "program": _program(kernel["hash"], batch, contents),
        "files": {name: sha256(data) for name, data in contents.items()},
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def _contents() -> dict[str, bytes]:
    """Every file but the manifest."""
    embedding = np.zeros((VOCAB, 4), np.float32)
    embedding[:, 0] = np.arange(VOCAB)
    program = np.zeros((3, 16), np.uint32)
    program[0, :3] = 1, 4, VOCAB
    program[1, 0], program[1, 2] = 3 | 3 << 8, STATE_WORDS
    program[2, 0], program[2, 5] = 3 | 4 << 8, 64
    return {
        "weights/port0.bin": bytes([WEIGHT]) * 4096,
        "weights/port1.bin": bytes([108]) * 4096,
        "weights/gains.bin": np.full(1024, 0.25, np.float32).tobytes(),
        "weights/embedding.bin": embedding.tobytes(),
        "weights/program.bin": program.tobytes().ljust(4096, b"\0"),
        "tokenizer.json": json.dumps(tokenizer_document()).encode(),
        "hls/Makefile": _MAKEFILE.encode(),
        "hls/fake_kernel.c": (_HERE / "fake_kernel.c").read_bytes(),
    }


def _kernel(family: str, batch: int, clock_mhz: float) -> dict[str, Any]:
    kernel = {
        "vlnv": "xilinx.com:hls:tritloom:1.0",
        "board": _BOARDS[family],
        "part": "xck26-sfvc784-2LV-c",
        "family": family,
        "clock_mhz": clock_mhz,
        "numerics": NUMERICS,
        "encoding": dict(zip(("name", "version", "sha256"), ENCODING, strict=True)),
        "limits": _LIMITS | {"batch": batch},
        "args": [{"name": a.name, "kind": a.kind, "bits": a.bits} for a in kernel_arguments(2)],
    }
    return kernel | {"hash": canonical_hash(kernel)}


def _program(kernel: str, batch: int, contents: dict[str, bytes]) -> dict[str, Any]:
    images = [
        {"name": name, "file": file, "bytes": len(contents[file]), "sha256": sha256(contents[file])}
        for name in ("port0", "port1", "gains", "embedding", "program")
        for file in [f"weights/{name}.bin"]
    ]
    states = [
        {"input": name, "output": name.replace(".", "_out."), "shape": shape, "offset": offset, "initial": "zeros"}
        for name, offset, shape in (("state.0", 0, [1, 12]), ("state.1", 12, [1, 8]))
    ]
    tokenizer = {"file": "tokenizer.json", "sha256": sha256(contents["tokenizer.json"]), "bos": 0, "eos": None}
    program = {
        "kernel": kernel,
        "kind": "lm",
        "name": "fake",
        "vocab": VOCAB,
        "hidden": 4,
        "layers": 2,
        "ternary_weights": 0,
        "inputs": [{"name": "input_ids", "dtype": "int64", "shape": [1]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, VOCAB]}],
        "states": states,
        "state_words": STATE_WORDS,
        "instructions": 3,
        "port_beats": 200,
        "gain_beats": 100,
        "embedding": {"dtype": "f32", "rows": VOCAB, "row_bytes": 16},
        "logits_stride": 64,
        "images": images,
        "max_batch": batch,
        "contiguous_bytes": 100_000,
        "tokenizer": tokenizer,
        "estimate": {"cycles_per_token": 1000, "tokens_per_second": 1.0, "label": "estimated"},
    }
    return program | {"hash": canonical_hash(program)}


def write_overlay(root: Path, files: dict[str, bytes]) -> None:
    """The folder overlay/ of a built bundle, as `tritloom build` leaves it."""
    folder = root / "overlay"
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    record = {
        "schema": 1,
        "generator": "test",
        "kernel_hash": json.loads((root / "manifest.json").read_text())["kernel"]["hash"],
        "files": {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()},
        "label": "implemented",
    }
    (folder / "overlay.json").write_text(json.dumps(record))


def edit(root: Path, change: Callable[[dict[str, Any]], None], rehash: bool = True) -> None:
    """Change the manifest; `rehash` makes its hashes right again, the link to the kernel apart."""
    path = root / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    if rehash:
        for part in ("kernel", "program"):
            if isinstance(manifest.get(part), dict):
                manifest[part]["hash"] = canonical_hash(manifest[part])
    path.write_text(json.dumps(manifest))


def fed_with_vectors(manifest: dict[str, Any]) -> None:
    """A change of the manifest (see `edit`): the model is fed with vectors."""
    manifest["program"].update(
        kind="vectors",
        inputs=[{"name": "x", "dtype": "float32", "shape": [LENGTH]}],
        embedding={"dtype": "f32", "rows": ROWS, "row_bytes": 16},
        hidden=LENGTH,
        tokenizer=None,
    )


class Reference:
    """The fake kernel in numpy: float32 throughout, the same order of operations."""

    def __init__(self) -> None:
        self.state = np.zeros(STATE_WORDS, np.float32)

    def step(self, token: int) -> np.ndarray:
        index = np.arange(STATE_WORDS)
        added = ((token * token * (index + 3) + WEIGHT * index) % 17).astype(np.float32) * np.float32(0.25)
        self.state = self.state * np.float32(0.25) + added
        logits = np.zeros(VOCAB, np.float32)
        tokens = np.arange(VOCAB)
        for i in index:
            factor = ((tokens * 7 + i * 3 + tokens * tokens * i) % 11 - 5).astype(np.float32)
            logits = logits + self.state[i] * factor
        logits[60:] = np.float32(-1e9)
        return logits
