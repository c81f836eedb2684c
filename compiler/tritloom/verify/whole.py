"""A model of a whole sequence in onnxruntime, all positions at once: what the step that it was made into must equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import InputError
from ..ir.interpreter import Fed
from .doubled import doubled
from .drift import distance
from .reference import DTYPES, LARGEST, REFUSALS, Interface, Reference, open_saved, refusal, zeros
from .report import Check, Figure

Array = NDArray[Any]

_POSITIONS: Final = 16
"""How many are fed where their number is free."""
_RECURRENT: Final = ("Scan", "Loop", "GRU")
_WIDE: Final = 1e-6
"""Largest distance (rms, relative) in float64, where hardly a code lies as near a tie."""
_SINGLE: Final = 0.05
"""The same in float32, where a few do."""


def check_whole(reference: Reference, fed: Fed, following: Sequence[int]) -> Check | None:
    """Compare the sequence with its steps, both in onnxruntime, states from zero; None where the file is a step, or
    too large to be run twice.

    Raises:
        InputError: onnxruntime refuses the sequence.
    """
    graph = onnx.load(reference.path, load_external_data=False).graph
    count = _positions(graph, reference.interface)
    if count is None or reference.weight_bytes > LARGEST:
        return None
    given: Array = np.asarray(fed)
    rows = given[np.arange(count) % len(given)]
    try:
        wide = Reference(reference.path, reference.interface, double=True)
        steps, whole, limit = _steps(wide, rows), _whole(reference, rows, double=True), _WIDE
    except InputError:
        steps, whole, limit = _steps(reference, rows), _whole(reference, rows, double=False), _SINGLE
    steps = steps[-len(whole) :]
    found = distance(whole, steps, list(following)[: len(whole)])
    kind = "float64" if limit == _WIDE else "float32"
    figures: dict[str, Figure] = {"positions": count, "rms": found.rms, "limit": limit, "arithmetic": kind}
    detail = f"{count} positions at once and one by one are the same in onnxruntime ({kind}): {found.rms:.1e} rms"
    if len(whole) == len(steps) and found.rms <= limit:
        return Check("sequence", True, f"{detail} (limit {limit:g})", figures)
    differ = f"the steps are not the sequence: {found.rms:.1e} rms in onnxruntime ({kind}), the limit is {limit:g}"
    return Check("sequence", False, differ, figures)


def _positions(graph: onnx.GraphProto, interface: Interface) -> int | None:
    """How many positions to feed a sequence; None of a step."""
    (source,) = (value for value in graph.input if value.name == interface.source)
    shape = [int(dim.dim_value) for dim in source.type.tensor_type.shape.dim]
    if source.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
        shape = shape[:-1]
    if fixed := [size for size in shape if size > 1]:
        return fixed[0]
    recurrent = any(not node.domain and node.op_type in _RECURRENT for node in graph.node)
    return _POSITIONS if recurrent and shape.count(0) == 1 else None


def _steps(reference: Reference, fed: Array) -> Array:
    return reference.run(fed).values[reference.interface.output]


def _whole(reference: Reference, fed: Array, double: bool) -> Array:
    """The output's rows [T, n]; one, where the sequence gives only that of its last position."""
    path, interface = Path(reference.path), reference.interface
    model = onnx.load(path)
    try:
        session = open_saved(doubled(model) if double else model)
        inputs = {arg.name: arg for arg in session.get_inputs()}
        source = inputs.pop(interface.source)
        shape = [dim if isinstance(dim, int) else -1 for dim in source.shape]
        feeds = {name: zeros(arg) for name, arg in inputs.items()}
        feeds[source.name] = fed.astype(DTYPES[source.type]).reshape(shape)
        (rows,) = session.run([interface.output], feeds)
    except REFUSALS as error:
        raise refusal(path, error) from error
    return np.asarray(rows).reshape(-1, rows.shape[-1])
