"""Checkpoint folders: the committed one in other types and shards, and damaged ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritloom.export.safetensors import read_header

Tensors = dict[str, NDArray[np.generic]]

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "export"
TOKENIZER = '{"version": "1.0"}\n'
_TYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int8": "I8"}


def tensors() -> Tensors:
    """The committed checkpoint, in float32; its values are bfloat16's."""
    return {name: tensor.read() for name, tensor in read_header(FIXTURE / "model.safetensors").items()}


def bfloat16(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The upper half of float32 values, as the writer below takes it for bfloat16."""
    return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def write_safetensors(path: Path, values: Mapping[str, NDArray[np.generic]]) -> None:
    """A safetensors file; uint16 stands for bfloat16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, array in values.items():
        header[name] = {
            "dtype": _TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in values.values():
            file.write(np.ascontiguousarray(array).data)


def config(**changes: Any) -> dict[str, Any]:
    """The committed config.json, with changes; None leaves an entry out."""
    entries = json.loads((FIXTURE / "config.json").read_text()) | changes
    return {key: value for key, value in entries.items() if value is not None}


def make_checkpoint(folder: Path, values: Mapping[str, NDArray[np.generic]] | None = None, **changes: Any) -> Path:
    """A checkpoint folder: the committed weights, or `values`; the committed configuration with changes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(**changes)))
    (folder / "tokenizer.json").write_text(TOKENIZER)
    if values is None:
        shutil.copyfile(FIXTURE / "model.safetensors", folder / "model.safetensors")
    else:
        write_safetensors(folder / "model.safetensors", values)
    return folder


def shard(folder: Path, parts: int) -> dict[str, str]:
    """Split a checkpoint's file into shards with an index, which is returned."""
    stored = read_header(folder / "model.safetensors")
    data = {name: np.concatenate(list(tensor.raw())).reshape(tensor.shape) for name, tensor in stored.items()}
    (folder / "model.safetensors").unlink()
    names, index = list(data), {}
    for part in range(parts):
        file = f"model-{part + 1:05d}-of-{parts:05d}.safetensors"
        chosen = names[part::parts]
        write_safetensors(folder / file, {name: data[name] for name in chosen})
        index |= dict.fromkeys(chosen, file)
    write_index(folder, index)
    return index


def write_index(folder: Path, index: Mapping[str, str]) -> None:
    content = {"metadata": {"total_size": 0}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
