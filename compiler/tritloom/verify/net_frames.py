"""Frames to feed a net: of a file, of held-out samples beside the model, or random ones."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..frontend import Imported
from ..ir import tern
from ..ir.interpreter.net import net_of
from ..runtime.net_manifest import NetPort

Array = NDArray[Any]

HELD_OUT: Final = "heldout.npz"
SAMPLES_KEY: Final = "tritloom.samples"
"""Metadata of an ONNX file: the .npz beside it that holds samples, if not heldout.npz."""
_LABELS: Final = ("labels", "y")
_SEED: Final = 20240604
_MOST: Final = 1000
_FEWEST: Final = 16
_PRODUCTS: Final = 1 << 32
"""Products of trits and codes that the frames may take together."""
_BEYOND: Final = 0.25
"""How far random floats reach beyond what the input's quantiser covers, as a share of that."""


@dataclass(frozen=True)
class Frames:
    """Frames [n, ...] in the model's layout and dtype, and where they come from."""

    values: Array
    labels: Array | None
    """Classes of the first frames, where the samples have them."""
    source: str


def products_a_frame(imported: Imported) -> int:
    """Products of trits and codes in a frame, at least 1."""
    net = net_of(imported.module)
    total = 0
    for op in net.body.block.ops if net is not None else ():
        if isinstance(op, tern.Conv2dOp | tern.DenseOp):
            weight = tern.weight(op, op.weight)
            pixels = int(np.prod(tern.shape_of(op.result)[:-1], dtype=np.int64))
            total += pixels * weight.rows.value.data * weight.cols.value.data
    return max(total, 1)


def frames_for(imported: Imported, port: NetPort, model: Path, inputs: Path | None, count: int | None) -> Frames:
    """`count` frames, or as many as a budget of products allows: samples, then random ones if there are too few.

    Raises:
        InputError: the file that was given holds no frames for the input.
    """
    wanted = count or int(np.clip(_PRODUCTS // products_a_frame(imported), _FEWEST, _MOST))
    if inputs is not None:
        arrays = read_arrays(inputs)
        values = fitting(arrays, port)
        if values is None:
            raise InputError(_no_frames(inputs, arrays, port), f"write it with numpy.savez(..., {port.name}=array)")
        chosen = values[:count]
        return Frames(chosen, _labels(arrays, len(values), count), inputs.name)
    beside = model.parent / Path(imported.metadata.get(SAMPLES_KEY, HELD_OUT)).name
    found = _beside(beside, port)
    if found is None:
        why = f"{beside.name} does not fit the input" if beside.is_file() else "no samples"
        return Frames(_random(imported, port, wanted), None, f"random values ({why}: seed {_SEED})")
    values, labels = found
    values, labels = values[:wanted], None if labels is None else labels[:wanted]
    missing = wanted - len(values)
    if not missing:
        return Frames(values, labels, beside.name)
    source = f"{beside.name} ({len(values)}) and random ({missing})"
    return Frames(np.concatenate([values, _random(imported, port, missing)]), labels, source)


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


def fitting(arrays: Mapping[str, Array], port: NetPort) -> Array | None:
    """The array under the input's name, if it has the input's shape and dtype, no NaN, and a frame at least."""
    values = arrays.get(port.name)
    if values is None or values.ndim == 0 or values.shape[1:] != port.shape or not len(values):
        return None
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


def _labels(arrays: Mapping[str, Array], frames: int, count: int | None) -> Array | None:
    for name in _LABELS:
        values = arrays.get(name)
        if values is not None and values.shape == (frames,) and values.dtype.kind in "iu":
            return values[:count]
    return None


def _beside(path: Path, port: NetPort) -> tuple[Array, Array | None] | None:
    """Samples that lie beside the model, if they are there and fit."""
    if not path.is_file():
        return None
    arrays = read_arrays(path)
    values = fitting(arrays, port)
    return None if values is None else (values, _labels(arrays, len(values), None))


def _random(imported: Imported, port: NetPort, count: int) -> Array:
    """Uniform over the input's type; of floats over what the input's quantiser covers, and beyond."""
    random = np.random.default_rng(_SEED)
    shape = (count, *port.shape)
    if port.dtype != "float32":
        limits = np.iinfo(port.dtype)
        return np.asarray(random.integers(limits.min, limits.max + 1, shape)).astype(port.dtype)
    low, high = _covered(imported)
    reach = _BEYOND * (high - low)
    return random.uniform(low - reach, high + reach, shape).astype(np.float32)


def _covered(imported: Imported) -> tuple[float, float]:
    """First and last boundary of the quantisers of the input; at least 1 apart."""
    ends: list[float] = []
    for op in imported.module.walk():
        if isinstance(op, tern.QuantizeOp):
            table, negative = imported.store.steps(imported.module, op.function.root_reference.data).float_thresholds
            signed = np.where(negative[:, np.newaxis], -table, table)
            ends += [float(value) for value in signed[np.isfinite(signed)]]
    low, high = (min(ends), max(ends)) if ends else (-1.0, 1.0)
    return (low, high) if high > low else (low - 1.0, high + 1.0)
