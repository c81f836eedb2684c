"""The manifest of a bundle (docs/bundle.md): what the kernel is, what the program is, a hash of each."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .. import __version__
from ..ir import engine, tern
from ..ir.encoding import ENCODING_NAME, ENCODING_VERSION, table_hash
from ..ir.kernel import KernelLimits
from ..ir.mlir import ModuleOp
from ..ir.numerics import NUMERICS_VERSION
from ..runtime.kernel_manifest import VLNV, canonical_hash
from ..runtime.manifest import SCHEMA
from ..targets import Target
from .images import Images

_POINTERS = ("program", "embedding", "state", "tokens", "tokens_out", "logits", "topk", "ctl")
_SCALARS = ("mode", "T", "B", "N", "stop_token", "instructions", "port_beats", "gain_beats")
_COUNTERS = ("cycles", "busy", "starved", "waiting")


def _hashed(value: dict[str, Any]) -> dict[str, Any]:
    return {"hash": canonical_hash(value), **value}


def kernel_arguments(ports: int) -> list[dict[str, Any]]:
    """Arguments of the kernel in order (docs/kernel.md)."""
    pointers = [f"port{index}" for index in range(ports)] + ["gains", "ctl_governor", *_POINTERS]
    return [
        *({"name": name, "kind": "pointer", "bits": 64} for name in pointers),
        *({"name": name, "kind": "in", "bits": 32} for name in _SCALARS),
        *({"name": name, "kind": "out", "bits": 32} for name in ("status", "count")),
        *({"name": name, "kind": "out", "bits": 64} for name in _COUNTERS),
    ]


def kernel_manifest(limits: KernelLimits, target: Target) -> dict[str, Any]:
    """What a bitstream is."""
    return _hashed(
        {
            "vlnv": VLNV,
            "board": target.name,
            "part": target.part,
            "family": target.family,
            "clock_mhz": target.clock_mhz,
            "numerics": NUMERICS_VERSION,
            "encoding": {"name": ENCODING_NAME, "version": ENCODING_VERSION, "sha256": table_hash()},
            "limits": limits.as_dict(),
            "args": kernel_arguments(limits.ports),
        }
    )


def _states(module: ModuleOp, model: tern.ModelOp) -> list[dict[str, Any]]:
    offset = 0
    states = []
    for state in model.states:
        states.append(
            {
                "input": state.input.data,
                "output": state.output.data,
                "shape": [1, state.size.data],
                "offset": offset,
                "initial": "zeros",
            }
        )
        offset += -(-state.size.data // 16) * 16
    return states


def max_batch(module: ModuleOp, limits: KernelLimits) -> int:
    """Positions that can share a pass: one, where the program updates a state outside *hgrn*."""
    serial = (engine.LoadStateOp, engine.StoreStateOp)
    return 1 if any(isinstance(op, serial) for op in engine.instruction_ops(module)) else limits.batch


def program_manifest(
    module: ModuleOp,
    images: Images,
    limits: KernelLimits,
    kernel_hash: str,
    extra: dict[str, Any],
) -> dict[str, Any]:
    """What a program is: model, images, instructions. `extra` adds name, source, tokenizer and the like."""
    model = next(op for op in module.ops if isinstance(op, tern.ModelOp))
    linears = [op for op in engine.instruction_ops(module) if isinstance(op, engine.LinearOp)]
    weights = [tern.weight(op, op.weight) for op in linears]
    vocabulary = weights[-1].rows.value.data
    states = _states(module, model)
    state_words = sum(-(-state["shape"][1] // 16) * 16 for state in states)
    hidden = next(op for op in module.ops if isinstance(op, tern.TableOp)).cols.value.data
    return _hashed(
        {
            "kernel": kernel_hash,
            "kind": "lm",
            "vocab": vocabulary,
            "hidden": hidden,
            "layers": len(states),
            "ternary_weights": sum(op.rows.value.data * op.cols.value.data for op in weights),
            "inputs": [{"name": model.token.data, "dtype": "int64", "shape": [1]}],
            "outputs": [{"name": name, "dtype": "float32", "shape": [1, vocabulary]} for name in model.output_names],
            "states": states,
            "state_words": state_words,
            "instructions": engine.instruction_count(module),
            "port_beats": images.port_beats,
            "gain_beats": images.gain_beats,
            "embedding": {
                "dtype": images.embedding_format,
                "rows": images.embedding_rows,
                "row_bytes": images.embedding_row_bytes,
            },
            "logits_stride": -(-vocabulary // 4) * 4,
            "images": [
                {
                    "name": name,
                    "file": f"weights/{name}.bin",
                    "bytes": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
                for name, data in images.data.items()
            ],
            "max_batch": max_batch(module, limits),
            **extra,
        }
    )


def manifest(kernel: dict[str, Any], program: dict[str, Any], source: dict[str, str], files: dict[str, str]) -> str:
    """Text of manifest.json. `source` is where the model was: no part of a hash, so a bundle does not depend on it."""
    content = {
        "schema": SCHEMA,
        "generator": f"tritloom {__version__}",
        "kernel": kernel,
        "program": program,
        "source": source,
        "files": files,
    }
    return json.dumps(content, indent=2) + "\n"
