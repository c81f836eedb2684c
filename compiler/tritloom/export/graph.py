"""An ONNX graph under construction: nodes with known shapes, and initialisers whose values come later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Chunks = Callable[[], Iterable[NDArray[np.generic]]]


@dataclass(frozen=True, eq=False)
class Initializer:
    """A constant of the graph; `chunks` yields its values, flat, when it is written."""

    value: ir.Value
    dtype: ir.DataType
    shape: tuple[int, ...]
    chunks: Chunks

    @property
    def name(self) -> str:
        return str(self.value.name)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.bitwidth // 8


class GraphBuilder:
    """Adds nodes one after another; every value has its type and shape."""

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []
        self.initializers: dict[str, Initializer] = {}

    def input(self, name: str, shape: Sequence[int], dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
        return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(list(shape)))

    def initializer(self, name: str, shape: Sequence[int], dtype: ir.DataType, chunks: Chunks) -> ir.Value:
        """A constant that is read when it is written."""
        value = self.input(name, shape, dtype)
        self.initializers[name] = Initializer(value, dtype, tuple(shape), chunks)
        return value

    def constant(self, name: str, values: NDArray[np.generic] | float) -> ir.Value:
        """A constant that is at hand; of one name there is one. Numbers are float32."""
        if name in self.initializers:
            return self.initializers[name].value
        array = np.asarray(values) if isinstance(values, np.ndarray) else np.asarray(values, np.float32)
        return self.initializer(name, array.shape, ir.DataType.from_numpy(array.dtype), lambda: [array.reshape(-1)])

    def node(
        self,
        kind: str,
        inputs: Sequence[ir.Value],
        shapes: Sequence[Sequence[int]],
        attributes: dict[str, int] | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
    ) -> list[ir.Value]:
        """Outputs of a new node."""
        number = len(self.nodes)
        suffixes = [""] if len(shapes) == 1 else [f".{index}" for index in range(len(shapes))]
        outputs = [
            self.input(f"{kind.lower()}_{number}{suffix}", shape, dtype)
            for suffix, shape in zip(suffixes, shapes, strict=True)
        ]
        self.nodes.append(ir.node(kind, inputs, attributes, outputs=outputs, name=f"node_{kind}_{number}"))
        return outputs

    def elementwise(self, kind: str, *inputs: ir.Value) -> ir.Value:
        """A node whose output has the shape to which its inputs broadcast."""
        shape = np.broadcast_shapes(*(_shape(value) for value in inputs))
        return self.node(kind, inputs, [shape])[0]

    def reduce_last(self, kind: str, value: ir.Value) -> ir.Value:
        """A reduction over the last axis, which stays as 1."""
        axes = self.constant("axes.last", np.array([-1], np.int64))
        return self.node(kind, [value, axes], [(*_shape(value)[:-1], 1)], {"keepdims": 1})[0]


def _shape(value: ir.Value) -> tuple[int, ...]:
    return tuple(int(dim) for dim in value.shape.numpy()) if value.shape is not None else ()


def width(value: ir.Value) -> int:
    """The last dimension."""
    return _shape(value)[-1]
