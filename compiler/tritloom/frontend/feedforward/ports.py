"""The input: its batch axis, and which of its axes are rows, columns and channels.

The first layer with windows decides: the input lies in memory so that the layer finds it as [H, W, C].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
import onnx_ir as ir

from ...errors import InputError
from ..graph import Graph
from ..problems import shape_text
from .constants import CHANNELS_LAST, Constants
from .context import LARGEST, Refused
from .forms import Index
from .movement import MOVES

_IMAGES: Final = frozenset(
    {"Conv", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
_DTYPES: Final = (ir.DataType.FLOAT, ir.DataType.UINT8, ir.DataType.INT8)


@dataclass(frozen=True)
class Port:
    """The input of a net."""

    batch: int
    frame: tuple[int, ...]
    """Its ONNX shape without the batch axis."""
    axes: list[int]
    """Axes of the frame in the order of the tensor."""
    shape: tuple[int, ...]
    """Of the tensor: [H, W, C] or [K]."""
    index: Index
    is_float: bool


def input_port(graph: Graph, source: ir.Value, constants: Constants) -> Port:
    """The input's layout.

    Raises:
        InputError: its type or its shape is not supported.
    """
    if source.dtype not in _DTYPES:
        name = source.dtype.name if source.dtype is not None else "unknown"
        raise InputError(
            f"input '{source.name}' is {name}", "images are float32, uint8 or int8: cast them in front of the model"
        )
    dims = list(source.shape) if source.shape is not None else []
    if len(dims) < 2 or any(not isinstance(dim, int) or dim < 1 for dim in dims[1:]):
        raise InputError(
            f"input '{source.name}' has shape {shape_text(source)}",
            "it needs a batch axis and fixed sizes behind it: [N, K], [N, C, L] or [N, C, H, W]",
        )
    if math.prod(dim for dim in dims[1:] if isinstance(dim, int)) > LARGEST:
        raise InputError(
            f"input '{source.name}' {shape_text(source)} has more than {LARGEST:,} elements a frame",
            "no board takes images of that size: check the exported shape",
        )
    batch = int(dims[0]) if isinstance(dims[0], int) and dims[0] > 0 else 1
    frame = tuple(int(dim) for dim in dims[1:] if isinstance(dim, int))
    axes, shape = _layout(graph, source, constants, batch, frame)
    index = np.empty(frame, np.int64)
    index.transpose(axes)[...] = np.arange(index.size).reshape([frame[axis] for axis in axes])
    return Port(batch, frame, axes, shape, index, source.dtype == ir.DataType.FLOAT)


def _layout(
    graph: Graph, source: ir.Value, constants: Constants, batch: int, frame: tuple[int, ...]
) -> tuple[list[int], tuple[int, ...]]:
    """Order of the axes, and the shape of the tensor."""
    wanted = _first_image(graph, source, constants, batch, frame)
    whole = list(range(len(frame)))
    if wanted is None:
        return whole, (int(np.prod(frame)),)
    image = wanted if wanted.ndim == 3 else wanted[:, np.newaxis]
    places = image.transpose(1, 2, 0)
    for order in permutations(whole):
        if np.array_equal(np.arange(image.size).reshape(frame).transpose(order).reshape(-1), places.reshape(-1)):
            return list(order), places.shape
    raise InputError(
        f"input '{source.name}' {shape_text(source)} is rearranged in front of the first layer",
        "give the model its images as [N, C, H, W] or [N, H, W, C]",
    )


def _first_image(
    graph: Graph, source: ir.Value, constants: Constants, batch: int, frame: tuple[int, ...]
) -> Index | None:
    """Places of the input's elements at the first layer with windows, as [C, H, W] or [C, L]; None without one."""
    moved: dict[ir.Value, Index] = {source: np.arange(np.prod(frame)).reshape(frame)}
    for node in graph.model.graph:
        value = next((moved[v] for v in node.inputs if v is not None and v in moved), None)
        if value is None:
            continue
        if node.op_type in _IMAGES and value.ndim in (2, 3):
            return np.moveaxis(value, -1, 0) if node.domain == CHANNELS_LAST else value
        if node.op_type in ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"):
            return None
        move = MOVES.get(node.op_type)
        try:
            moved[node.outputs[0]] = value if move is None else move(node, value, batch, constants)
        except (Refused, ValueError):
            continue
    return None
