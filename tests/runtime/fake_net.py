"""A small, valid bundle of a feed-forward net around a stand-in kernel, and its numbers in numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tritloom.runtime import canonical_hash
from tritloom.runtime.kernel_manifest import NET_VLNV, NUMERICS, net_arguments

from .fake_bundle import sha256

SCALE, OFFSET = [0.5, 2.0, 1.0], [0.0, -1.0, 3.0]
SCORES: dict[str, Any] = {
    "name": "scores",
    "dtype": "float32",
    "shape": [2, 3],
    "axes": [0, 1],
    "value": "scores",
    "function": None,
    "rank": None,
    "scale": SCALE,
    "offset": OFFSET,
}
_MAKEFILE = "BUILD ?= build\nfast bounded:\n\tcc -O1 -shared -fPIC -o $(BUILD)/libtritloom_$@.so fake_net.c\n"


def write_net(root: Path, family: str = "zynqmp", outputs: list[dict[str, Any]] | None = None) -> Path:
    """Frames [2, 4] of int8, scores [2, 3], or other outputs of them; returns `root`."""
    contents = {
        "hls/Makefile": _MAKEFILE.encode(),
        "hls/fake_net.c": (Path(__file__).parent / "fake_net.c").read_bytes(),
    }
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    kernel = {
        "vlnv": NET_VLNV,
        "board": "kv260",
        "part": "xck26-sfvc784-2LV-c",
        "family": family,
        "clock_mhz": 200.0,
        "numerics": NUMERICS,
        "args": [{"name": arg.name, "kind": arg.kind, "bits": arg.bits} for arg in net_arguments()],
    }
    kernel["hash"] = canonical_hash(kernel)
    program = {
        "kernel": kernel["hash"],
        "kind": "net",
        "name": "fake-net",
        "input": {"name": "x", "dtype": "int8", "shape": [2, 4], "axes": [0, 1]},
        "outputs": outputs or [SCORES],
        "stages": ["load", "mvau0"],
        "vectors": 2,
        "channels": 3,
        "kept": None,
        "beat_bytes": 16,
        "input_bytes": 16,
        "output_bytes": 32,
        "contiguous_bytes": 12288,
        "estimate": {"cycles_per_frame": 20, "frames_per_second": 1e7, "label": "estimated"},
    }
    program["hash"] = canonical_hash(program)
    files = {name: sha256(data) for name, data in contents.items()}
    manifest = {"schema": 1, "generator": "test", "kernel": kernel, "program": program, "files": files}
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def scores(frames: np.ndarray) -> np.ndarray:
    """What the net gives: float32 [n, 2, 3]."""
    trits = np.array([[(i * o) % 3 - 1 for i in range(8)] for o in range(6)])
    sums = frames.reshape(len(frames), 8).astype(np.int32) @ trits.T
    values = sums.astype(np.float32).reshape(-1, 2, 3) * np.array(SCALE, np.float32) + np.array(OFFSET, np.float32)
    return values.astype(np.float32)
