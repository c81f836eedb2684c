"""External data: found, contained in the model's folder, checked for length, and mapped.

Another runtime may be kept from the files that a model names; here nothing but this module opens them. A file is opened
once, and it is that descriptor which is checked and mapped: what its name points to later is of no consequence.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import InputError

_FILE: Final = "tritloom.file"
_SAVE_AGAIN: Final = "external data must lie beside the model: re-save it with a relative location"
_DAMAGED: Final = "the model file is damaged: export it again"
_COPY: Final = "copy the .data file that was exported with the model into the same folder"
_LARGEST: Final = 2**62


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model: of its graphs, of attributes at any depth, and of functions."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(graph)


def check_entries(model: onnx.ModelProto) -> bool:
    """Check what the model file says of external data, before anything is looked up. Returns whether there are any.

    Raises:
        InputError: naming the tensor and the file.
    """
    external = [tensor for tensor in tensors_of(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in external:
        _check_entry(tensor)
    return bool(external)


def check_inline(model: onnx.ModelProto) -> None:
    """Check that a tensor inside of the model file may have as many bytes as its shape says: onnx's own shape inference
    takes its word for it, and is then busy for hours.

    Raises:
        InputError: naming the tensor.
    """
    for tensor in tensors_of(model):
        kind = ir.DataType(tensor.data_type) if tensor.data_type in set(ir.DataType) else ir.DataType.UNDEFINED
        if not tensor.HasField("raw_data") or kind in _NO_NUMBERS:
            continue
        wanted = math.ceil(math.prod(tensor.dims) * kind.itemsize)
        if wanted > tensor.ByteSize():
            raise InputError(
                f"tensor '{tensor.name}' {list(tensor.dims)} takes {wanted:,} bytes, which the file does not have",
                _DAMAGED,
            )


def _check_entry(tensor: onnx.TensorProto) -> None:
    keys = [entry.key for entry in tensor.external_data]
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    named = f"tensor '{tensor.name}' (external data in '{location[:80]}')"
    if len(entries) < len(keys):
        raise InputError(f"{named} has the same entry twice: {', '.join(keys)}", _DAMAGED)
    if not location or "\0" in location:
        raise InputError(f"{named} does not say in which file", _DAMAGED)
    for key in ("offset", "length"):
        value = entries.get(key, "0")
        if not re.fullmatch("[0-9]{1,19}", value) or int(value) > _LARGEST:
            raise InputError(f"{named} has the {key} '{value[:40]}', which is no number of bytes", _DAMAGED)
    if any(dim < 0 for dim in tensor.dims) or math.prod(tensor.dims) > _LARGEST:
        raise InputError(f"{named} has the shape {list(tensor.dims)}, which no file holds", _DAMAGED)
    if tensor.data_type not in set(ir.DataType) or ir.DataType(tensor.data_type) in _NO_NUMBERS:
        raise InputError(f"{named} has the type {tensor.data_type}, which has no numbers", _DAMAGED)
    if tensor.raw_data:
        raise InputError(f"{named} has data in the model file, too", _DAMAGED)


_NO_NUMBERS: Final = (ir.DataType.UNDEFINED, ir.DataType.STRING)


def _allowed_folders(model: Path) -> set[Path]:
    """The model's folder, and that of the file it links to (the Hugging Face cache links both into `blobs`)."""
    return {model.parent.resolve(), model.resolve().parent}


def _data_path(model: Path, tensor: ir.ExternalTensor) -> Path:
    location = Path(str(tensor.location))
    outside = location.is_absolute() or ".." in location.parts
    try:
        data = (model.parent / location).resolve(strict=False)
    except (OSError, RuntimeError):  # a name that is too long, links in a circle
        raise _missing(model, tensor) from None
    if outside or not any(data.is_relative_to(folder) for folder in _allowed_folders(model)):
        raise InputError(f"tensor '{tensor.name}' points outside the model's folder: '{tensor.location}'", _SAVE_AGAIN)
    return data


def _missing(model: Path, tensor: ir.ExternalTensor) -> InputError:
    location = str(tensor.location)
    shown = location if len(location) <= 80 else f"{location[:80]}..."
    return InputError(
        f"external data file '{shown}' of tensor '{tensor.name}' is missing (looked in {model.parent})", _COPY
    )


def expected_bytes(tensor: ir.ExternalTensor) -> int:
    """Bytes that shape and type ask for."""
    count = math.prod(int(dim) for dim in tensor.shape.numpy())
    return -(-count * tensor.dtype.bitwidth // 8)


class DataFiles:
    """The files of a model's external data, each opened once."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self._open: dict[Path, IO[bytes]] = {}

    def check(self, tensor: ir.ExternalTensor) -> None:
        """Check that the data of a tensor is there, inside the model's folder, and long enough; keep it open.

        Raises:
            InputError: naming the file and the tensor.
        """
        path = _data_path(self.model, tensor)
        if path not in self._open:
            self._open[path] = self._opened(path, tensor)
        _check_size(tensor, os.fstat(self._open[path].fileno()).st_size)
        tensor.meta[_FILE] = self._open[path]

    def _opened(self, path: Path, tensor: ir.ExternalTensor) -> IO[bytes]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise _missing(self.model, tensor) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise _missing(self.model, tensor)
        if found.st_nlink > 1:
            os.close(descriptor)
            raise InputError(
                f"external data file '{tensor.location}' of tensor '{tensor.name}' is a hard link:"
                " it may be a file of another folder",
                f"make it a file of its own: cp {path.name} {path.name}.copy && mv {path.name}.copy {path.name}",
            )
        return os.fdopen(descriptor, "rb", buffering=0)


def _check_size(tensor: ir.ExternalTensor, size: int) -> None:
    offset, needed = tensor.offset or 0, expected_bytes(tensor)
    if tensor.length is not None and tensor.length != needed:
        raise InputError(
            f"tensor '{tensor.name}' claims {tensor.length:,} bytes in '{tensor.location}',"
            f" but its shape and type need {needed:,}",
            _DAMAGED,
        )
    if offset < 0 or offset + needed > size:
        raise InputError(
            f"external data file '{tensor.location}' is too short: tensor '{tensor.name}'"
            f" needs bytes {offset:,} to {offset + needed:,}, the file has {size:,}",
            "the copy was cut off, or the file belongs to another export: copy it again",
        )


def map_external(tensor: ir.ExternalTensor) -> NDArray[np.generic]:
    """Values of a checked tensor, mapped read-only; the mapping lives as long as the array.

    Raises:
        InputError: the file has become shorter since it was checked.
    """
    file: IO[bytes] = tensor.meta[_FILE]
    _check_size(tensor, os.fstat(file.fileno()).st_size)
    shape, needed = tuple(int(dim) for dim in tensor.shape.numpy()), expected_bytes(tensor)
    if not needed:
        return np.zeros(shape, tensor.dtype.numpy())
    raw = np.memmap(file, np.uint8, "r", tensor.offset or 0, (needed,))
    if tensor.dtype.bitwidth < 8:
        packed = onnx.TensorProto(data_type=tensor.dtype.value, dims=shape, raw_data=raw.tobytes())
        return np.asarray(ir.serde.deserialize_tensor(packed).numpy())
    values: NDArray[np.generic] = raw.view(tensor.dtype.numpy()).reshape(shape)
    return values
