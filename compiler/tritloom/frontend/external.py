"""External data: found, contained in the model's folder, checked for length, and mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import InputError


def _allowed_folders(model: Path) -> set[Path]:
    """The model's folder, and that of the file it links to (the Hugging Face cache links both into `blobs`)."""
    return {model.parent.resolve(), model.resolve().parent}


def _data_path(model: Path, tensor: ir.ExternalTensor) -> Path:
    location = Path(str(tensor.location))
    data = (model.parent / location).resolve()
    outside = location.is_absolute() or ".." in location.parts
    if outside or not any(data.is_relative_to(folder) for folder in _allowed_folders(model)):
        raise InputError(
            f"tensor '{tensor.name}' points outside the model's folder: '{location}'",
            "external data must lie beside the model: re-save it with a relative location",
        )
    return data


def expected_bytes(tensor: ir.ExternalTensor) -> int:
    """Bytes that shape and type ask for."""
    count = int(np.prod(tensor.shape.numpy(), dtype=np.int64))
    return -(-count * tensor.dtype.bitwidth // 8)


def check_external(model: Path, tensor: ir.ExternalTensor) -> None:
    """Check that the data of a tensor is there, inside the model's folder, and long enough.

    Raises:
        InputError: naming the file and the tensor.
    """
    data = _data_path(model, tensor)
    if not data.is_file():
        raise InputError(
            f"external data file '{tensor.location}' of tensor '{tensor.name}' is missing (looked in {model.parent})",
            "copy the .data file that was exported with the model into the same folder",
        )
    offset, needed = tensor.offset or 0, expected_bytes(tensor)
    if tensor.length is not None and tensor.length != needed:
        raise InputError(
            f"tensor '{tensor.name}' claims {tensor.length:,} bytes in '{tensor.location}',"
            f" but its shape and type need {needed:,}",
            "the model file is damaged: export it again",
        )
    size = data.stat().st_size
    if offset < 0 or offset + needed > size:
        raise InputError(
            f"external data file '{tensor.location}' is too short: tensor '{tensor.name}'"
            f" needs bytes {offset:,} to {offset + needed:,}, the file has {size:,}",
            "the copy was cut off, or the file belongs to another export: copy it again",
        )


def map_external(tensor: ir.ExternalTensor) -> NDArray[np.generic]:
    """Values of a checked tensor, mapped read-only; the mapping lives as long as the array."""
    shape = tuple(int(dim) for dim in tensor.shape.numpy())
    if tensor.dtype.bitwidth < 8 or 0 in shape:
        return np.asarray(tensor.numpy())
    path = Path(tensor.base_dir) / str(tensor.location)
    dtype = tensor.dtype.numpy()
    return np.memmap(path, dtype=dtype, mode="r", offset=tensor.offset or 0, shape=shape)
