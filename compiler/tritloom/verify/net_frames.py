"""Frames to feed a net: of a file, of held-out samples beside the model, or random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..frontend import Imported
from ..ir import tern
from ..ir.interpreter.net import net_of
from ..runtime.net_manifest import NetPort
from ..samples import Samples, file_beside, samples_beside, samples_of

Array = NDArray[Any]

_SEED: Final = 20240604
_MOST: Final = 1000
_FEWEST: Final = 16
_PRODUCTS: Final = 1 << 32
"""Products of trits and codes that the frames may take together."""
_BEYOND: Final = 0.25
"""How far random floats reach beyond what the input's quantiser covers, as a share of that."""


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


def frames_for(imported: Imported, port: NetPort, model: Path, inputs: Path | None, count: int | None) -> Samples:
    """`count` frames, or as many as a budget of products allows: samples, then random ones if there are too few.

    Raises:
        InputError: the file that was given holds no frames for the input.
    """
    wanted = count or int(np.clip(_PRODUCTS // products_a_frame(imported), _FEWEST, _MOST))
    if inputs is not None:
        return samples_of(inputs, port).first(count)
    found = samples_beside(model, imported.metadata, port)
    if found is None:
        beside = file_beside(model, imported.metadata)
        why = f"{beside.name} does not fit the input" if beside.is_file() else "no samples"
        return Samples(_random(imported, port, wanted), None, f"random values ({why}: seed {_SEED})")
    chosen = found.first(wanted)
    missing = wanted - len(chosen.values)
    if not missing:
        return chosen
    source = f"{found.source} ({len(chosen.values)}) and random ({missing})"
    return Samples(np.concatenate([chosen.values, _random(imported, port, missing)]), chosen.labels, source)


def _random(imported: Imported, port: NetPort, count: int) -> Array:
    """Uniform over the input's type, or the codes that it holds; of floats over what the input's quantiser covers, and
    beyond."""
    random = np.random.default_rng(_SEED)
    shape = (count, *port.shape)
    if port.dtype != "float32":
        limits = np.iinfo(port.dtype)
        return np.asarray(random.integers(limits.min, limits.max + 1, shape)).astype(port.dtype)
    if (codes := imported.codes) is not None:
        chosen = random.integers(0, (codes.high - codes.low) // codes.step + 1, shape)
        return np.asarray(codes.low + codes.step * chosen, np.float32)
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
