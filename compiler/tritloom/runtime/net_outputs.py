"""The outputs of a net, from what its kernel has written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import FUNCTIONS
from .net_manifest import NetOutput, NetPort, NetProgram, Rank

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]


def outputs_of(program: NetProgram, words: npt.NDArray[np.int32]) -> list[npt.NDArray[Any]]:
    """Every output [frames, ...] in the model's layout and type, of the kernel's words [frames, words a frame]."""
    vectors = words.reshape(len(words), program.vectors, -1)
    return [_in_model_layout(_value(program, output, vectors), output.port) for output in program.outputs]


def _value(program: NetProgram, output: NetOutput, vectors: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """An output [frames, vectors, elements of a vector]."""
    if program.kept is None:
        sums, indices = vectors, None if output.rank is None else _ranked(vectors, output.rank)
    else:
        each = 2 if program.kept.sums else 1
        sums, indices = vectors[..., each - 1 :: each], vectors[..., ::each].astype(np.int64)
    if output.value == "indices" and indices is not None:
        return indices
    if program.kept is not None and indices is not None:
        return _scores(output, sums, indices)
    scores = _scores(output, sums, np.arange(program.channels))
    return scores if indices is None else np.take_along_axis(scores, indices, axis=-1)


def _ranked(sums: npt.NDArray[np.int32], rank: Rank) -> I64:
    """Indices of the largest keys, the largest first, as the fabric ranks (docs/numerics.md)."""
    keys = sums.astype(np.int64) * np.array(rank.multiplier, np.int64) + np.array(rank.bias, np.int64)
    in_order = keys[..., ::-1] if rank.last else keys
    found = np.argsort(-in_order, axis=-1, kind="stable")[..., : rank.k]
    return keys.shape[-1] - 1 - found if rank.last else found


def _scores(output: NetOutput, sums: npt.NDArray[np.int32], channels: I64) -> F32:
    """Scores of sums of these channels, and the function of them."""
    scale, offset = (np.array(row, np.float32)[channels] for row in (output.scale, output.offset))
    values: F32 = sums.astype(np.float32) * scale + offset
    return values if output.function is None else FUNCTIONS[output.function](values)


def _in_model_layout(values: npt.NDArray[Any], port: NetPort) -> npt.NDArray[Any]:
    """[frames, *shape] of frames in channels-last order."""
    frames = values.astype(port.dtype).reshape(len(values), *(port.shape[axis] for axis in port.axes))
    return frames.transpose(0, *(port.axes.index(axis) + 1 for axis in range(len(port.axes))))
