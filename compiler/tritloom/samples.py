"""Samples of a feed-forward net: frames and their classes, in an .npz file beside the model or in another one."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .runtime.net_manifest import NetPort

Array = NDArray[Any]

HELD_OUT: Final = "heldout.npz"
SAMPLES_KEY: Final = "tritloom.samples"
"""Metadata of an ONNX file: the .npz beside it that holds samples, if not heldout.npz."""
_LABELS: Final = ("labels", "y")
_SCALE: Final = "scale"
"""Array of one number: what a byte's 1 is worth, where images are stored as bytes and the input is float32."""
_BUNDLED, _BUNDLED_BYTES = 64, 1 << 20


@dataclass(frozen=True)
class Samples:
    """Frames [n, ...] in the model's layout and dtype, and their classes where they are known."""

    values: Array
    labels: Array | None
    source: str
    """Name of the file."""

    def first(self, count: int | None) -> Samples:
        """The first ones."""
        return Samples(self.values[:count], None if self.labels is None else self.labels[:count], self.source)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file.

    Raises:
        InputError: it is none.
    """
    try:
        loaded = np.load(path)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InputError(f"{path} holds one array without a name", "write it with numpy.savez(path, name=array)")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "give an .npz file") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not an .npz file: {error}", "write it with numpy.savez") from error


def samples_of(path: Path, port: NetPort) -> Samples:
    """The samples of a file.

    Raises:
        InputError: it holds none for the input.
    """
    arrays = read_arrays(path)
    values = _fitting(arrays, port)
    if values is None:
        raise InputError(_no_frames(path, arrays, port), f"write it with numpy.savez(..., {port.name}=array)")
    return Samples(values, _labels(arrays, len(values)), path.name)


def file_beside(model: Path, metadata: Mapping[str, str]) -> Path:
    """Where samples lie beside a model, if there are any."""
    return model.parent / Path(metadata.get(SAMPLES_KEY, HELD_OUT)).name


def samples_beside(model: Path, metadata: Mapping[str, str], port: NetPort) -> Samples | None:
    """Samples that lie beside a model; None where there are none, or they do not fit its input.

    Raises:
        InputError: the file is no .npz file.
    """
    path = file_beside(model, metadata)
    if not path.is_file():
        return None
    arrays = read_arrays(path)
    values = _fitting(arrays, port)
    return None if values is None else Samples(values, _labels(arrays, len(values)), path.name)


def bundled(samples: Samples, port: NetPort) -> bytes:
    """An .npz file of the first samples, under the input's name, with `labels`: what a bundle's notebook shows."""
    frame = max(1, samples.values[0].nbytes)
    few = samples.first(max(1, min(_BUNDLED, _BUNDLED_BYTES // frame)))
    stream = io.BytesIO()
    labels = {} if few.labels is None else {"labels": few.labels}
    np.savez_compressed(stream, **{port.name: few.values}, **labels)
    return stream.getvalue()


def _fitting(arrays: Mapping[str, Array], port: NetPort) -> Array | None:
    """The array under the input's name, if it has the input's shape and dtype, no NaN, and a frame at least."""
    values = arrays.get(port.name)
    if values is None or values.ndim == 0 or values.shape[1:] != port.shape or not len(values):
        return None
    scale = arrays.get(_SCALE)
    if port.dtype == "float32" and values.dtype == np.uint8 and scale is not None and scale.size == 1:
        return values.astype(np.float32) * np.float32(scale.reshape(())[()])
    if values.dtype != np.dtype(port.dtype) or (values.dtype.kind == "f" and np.isnan(values).any()):
        return None
    return values


def _no_frames(path: Path, arrays: Mapping[str, Array], port: NetPort) -> str:
    wanted = f"{port.dtype} {['frames', *port.shape]}"
    if port.name not in arrays:
        return f"{path} has no array '{port.name}' (it has {', '.join(arrays) or 'none'}): {wanted} is needed"
    values = arrays[port.name]
    nan = " with NaN" if values.dtype.kind == "f" and np.isnan(values).any() else ""
    return f"'{port.name}' in {path} is {values.dtype} {list(values.shape)}{nan}, not {wanted}"


def _labels(arrays: Mapping[str, Array], frames: int) -> Array | None:
    for name in _LABELS:
        values = arrays.get(name)
        if values is not None and values.shape == (frames,) and values.dtype.kind in "iu":
            return values
    return None
