"""Safetensors files, single or sharded: only headers are read at once, values in blocks of whole rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

F32 = NDArray[np.float32]

WIDTHS: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""Types that are read, and their bytes a value."""
OTHER_WIDTHS: Final = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "I32": 4,
    "U32": 4,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Types that a header may hold; a checkpoint of such tensors is refused by what checks its layout."""

BLOCK: Final = 1 << 20
"""Values of a block, about."""
_LARGEST_HEADER: Final = 100_000_000
_FETCH_AGAIN: Final = "the download or copy was cut off, or Git LFS left a pointer: fetch the file again"
_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file: where its values are."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def raw(self) -> Iterator[NDArray[np.generic]]:
        """The values as they are stored, flat, block by block; BF16 as uint16.

        Raises:
            InputError: some are NaN or infinite, or the file became shorter.
        """
        stored = np.dtype({"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[self.dtype])
        with self.file.open("rb") as file:
            file.seek(self.offset)
            for start in range(0, self.size, BLOCK):
                count = min(BLOCK, self.size - start)
                values = np.fromfile(file, stored, count)
                if values.size != count:
                    raise InputError(f"{self.file} became shorter while it was read", _FETCH_AGAIN)
                self._check_finite(values, start)
                yield values

    def blocks(self) -> Iterator[F32]:
        """The values as float32, flat, block by block.

        Raises:
            InputError: some are NaN or infinite, or the file became shorter.
        """
        for values in self.raw():
            yield widened(values)

    def read(self) -> F32:
        """All values as float32, in the tensor's shape; for small tensors."""
        values: F32 = np.concatenate([np.empty(0, np.float32), *self.blocks()]).reshape(self.shape)
        return values

    def _check_finite(self, values: NDArray[np.generic], start: int) -> None:
        finite = np.isfinite(widened(values))
        if finite.all():
            return
        first = int(np.argmin(finite))
        raise InputError(
            f"tensor '{self.name}' of {self.file} holds values that are NaN or infinite"
            f" (the first, {widened(values)[first]}, at element {start + first:,} of {self.size:,})",
            "the training diverged or the file is damaged: use an earlier checkpoint, or fetch it again",
        )


def widened(values: NDArray[np.generic]) -> F32:
    """Stored values as float32, exactly."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float32, copy=False)


def open_checkpoint(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a checkpoint folder by name, from one file or from the shards that its index names.

    Raises:
        InputError: there is none, or one of the files is damaged.
    """
    single, index = folder / _SINGLE, folder / _INDEX
    if single.is_file():
        return read_header(single)
    if index.is_file():
        return _sharded(folder, index)
    converted = any(folder.glob("pytorch_model*.bin"))
    raise InputError(
        f"{folder} holds neither {_SINGLE} nor {_INDEX}",
        "save it as safetensors: model.save_pretrained(folder, safe_serialization=True)"
        if converted
        else "give the folder of a checkpoint, with config.json beside the weights",
    )


def _sharded(folder: Path, index: Path) -> dict[str, StoredTensor]:
    shards = _weight_map(index)
    headers = {}
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard or shard in ("", ".", ".."):
            raise InputError(
                f"{index} names a shard outside its folder: '{shard}'", "shards lie beside the index: fetch it again"
            )
        if not (folder / shard).is_file():
            raise InputError(f"shard {shard} of {index} is missing", "fetch all files of the checkpoint")
        headers[shard] = read_header(folder / shard)
    absent = [f"{name} ({shard})" for name, shard in shards.items() if name not in headers[shard]]
    if absent:
        raise InputError(
            f"{index} names tensors that their shards do not hold:\n  " + "\n  ".join(absent),
            "index and shards belong to different checkpoints: fetch all files again",
        )
    return {name: headers[shard][name] for name, shard in shards.items()}


def _weight_map(index: Path) -> dict[str, str]:
    try:
        found = json.loads(index.read_bytes())
    except ValueError as error:
        raise InputError(f"{index} is no JSON: {error}", _FETCH_AGAIN) from error
    shards = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise InputError(f"{index} has no 'weight_map' of tensors to files", "fetch the file again")
    return shards


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one file.

    Raises:
        InputError: it is no safetensors file, or truncated.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) == 8 and length <= min(_LARGEST_HEADER, size - 8):
            text = file.read(length)
        elif 0 < length <= _LARGEST_HEADER and not start.startswith(b"version"):
            raise InputError(f"{path} is truncated: it has {size:,} bytes of at least {8 + length:,}", _FETCH_AGAIN)
        else:
            raise InputError(f"{path} is no safetensors file", _FETCH_AGAIN)
    try:
        header = json.loads(text)
        tensors = {
            name: _stored(name, path, entry, 8 + length) for name, entry in header.items() if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no safetensors file: its header is damaged", _FETCH_AGAIN) from error
    _check_extent(path, header, 8 + length, size)
    return tensors


def _stored(name: str, path: Path, entry: dict[str, Any], data: int) -> StoredTensor:
    """A tensor of a header; what does not fit together raises ValueError, TypeError or KeyError."""
    dtype, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(name)
    width = (WIDTHS | OTHER_WIDTHS).get(dtype)
    if end < begin or (width is not None and end - begin != math.prod(shape) * width):
        raise ValueError(name)
    return StoredTensor(name, path, dtype, shape, data + begin)


def _check_extent(path: Path, header: dict[str, Any], data: int, size: int) -> None:
    """Check that the tensors lie one behind another and fill the file, as the format demands."""
    end = 0
    for begin, after in sorted(entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"):
        if begin != end:
            raise InputError(f"{path} is damaged: its tensors overlap, or leave gaps", _FETCH_AGAIN)
        end = after
    if data + end > size:
        raise InputError(f"{path} is truncated: it has {size:,} bytes of {data + end:,}", _FETCH_AGAIN)
    if data + end < size:
        raise InputError(f"{path} is damaged: {size - data - end:,} bytes follow its last tensor", _FETCH_AGAIN)
