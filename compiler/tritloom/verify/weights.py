"""The imported trits against those that onnxruntime multiplies with, and a store that holds the latter."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir import tern
from ..ir.bindings import bound_tensor
from ..ir.mlir import ModuleOp, Operation
from ..ir.store import Loader, WeightStore
from .reference import Factor, Reference

Array = NDArray[Any]

TIE: Final = 1e-5
"""Trits of float masters may differ where W/beta lies this near to a tie: the two sum mean|W| differently."""
_CACHE_BYTES: Final = 512 << 20
_BATCH_BYTES: Final = 256 << 20


@dataclass
class WeightsResult:
    """Weights compared with the graph's own."""

    findings: list[str] = field(default_factory=list)
    compared: int = 0
    trits: int = 0
    ties: dict[str, int] = field(default_factory=dict)
    """Trits that differ at a tie, by weight."""
    judged: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    """onnxruntime's trits of the weights that differ."""


def check_weights(module: ModuleOp, store: WeightStore, reference: Reference) -> WeightsResult:
    """Compare every ternary matrix of an imported module with the matrix in onnxruntime's product."""
    result = WeightsResult()
    batch: dict[str, Factor] = {}
    pending = 0
    for name, size, found in _matrices(module, reference):
        if pending and pending + size > _BATCH_BYTES:
            _compare_batch(result, batch, store, reference)
            batch, pending = {}, 0
        batch[name] = found
        pending += size
    _compare_batch(result, batch, store, reference)
    return result


def _matrices(module: ModuleOp, reference: Reference) -> Iterator[tuple[str, int, Factor]]:
    """Each weight, its bytes in float32, and its matrix in the graph."""
    done: set[str] = set()
    model = next(op for op in module.ops if isinstance(op, tern.ModelOp))
    for op in model.body.block.ops:
        if isinstance(op, tern.DotOp | tern.LinearOp):
            name = op.weight.root_reference.data
            tensor = bound_tensor(op.result) or _rescaled(op)
            found = reference.matrix(tensor) if tensor is not None else None
            if name not in done and found is not None:
                done.add(name)
                declared = tern.weight(op, op.weight)
                yield name, 4 * declared.rows.value.data * declared.cols.value.data, found


def _rescaled(op: Operation, depth: int = 3) -> str | None:
    """The tensor of what is made of an operation's result by its rescale, scales and bias."""
    users = [result for use in op.results[0].uses for result in use.operation.results] if depth else []
    for value in users:
        if isinstance(value.op, tern.DequantizeOp | tern.MulOp | tern.AddOp):
            return bound_tensor(value) or _rescaled(value.op, depth - 1)
    return None


def _compare_batch(result: WeightsResult, batch: dict[str, Factor], store: WeightStore, reference: Reference) -> None:
    if not batch:
        return
    wanted = [tensor for found in batch.values() for tensor in (found.tensor, found.zero) if tensor is not None]
    tensors = reference.matrices(list(dict.fromkeys(wanted)))
    for name, found in batch.items():
        matrix = tensors[found.tensor]
        if found.zero is not None:
            matrix = matrix.astype(np.int16) - tensors[found.zero].astype(np.int16)
        _compare(result, name, store.trits(name), found, matrix, reference)


def _compare(
    result: WeightsResult,
    name: str,
    ours: NDArray[np.int8],
    found: Factor,
    matrix: Array,
    reference: Reference,
) -> None:
    trits = np.sign(matrix.T if found.transposed else matrix).astype(np.int8)
    result.compared += 1
    result.trits += trits.size
    if trits.shape != ours.shape:
        result.findings.append(f"@{name}: {list(ours.shape)}, in onnxruntime {list(trits.shape)}")
        return
    differs = trits != ours
    if not differs.any():
        return
    distance = _distance(reference, found, trits.shape)
    far = differs & (distance > TIE)
    if tied := int(np.count_nonzero(differs & ~far)):
        result.ties[name] = tied
    result.judged[name] = trits
    if far.any():
        row, column = (int(index[0]) for index in np.nonzero(far))
        result.findings.append(
            f"@{name} (ONNX tensor '{found.tensor}') differs in {np.count_nonzero(far)} of {trits.size} trits; "
            f"row {row}, column {column}: {int(ours[row, column])}, onnxruntime {int(trits[row, column])}"
        )


def _distance(reference: Reference, found: Factor, shape: tuple[int, ...]) -> Array:
    """How far each value before the rounding of a matrix lies from a tie."""
    before = reference.rounded(found.tensor)
    if before is None:
        return np.full(shape, np.inf)
    values = reference.matrices([before])[before].astype(np.float64)
    wide = (values.T if found.transposed and values.shape != shape else values).reshape(shape)
    return np.asarray(np.abs(wide - np.floor(wide) - 0.5))


class CachedStore(WeightStore):
    """A store that keeps what it loaded last, and may hold other values for some names."""

    def __init__(self, store: WeightStore, replaced: dict[str, NDArray[np.int8]] | None = None) -> None:
        super().__init__(dict(store.loaders))
        self._kept: OrderedDict[str, Array] = OrderedDict()
        for name, values in (replaced or {}).items():
            self.loaders[name] = constant(values)

    def _load(self, name: str) -> Array:
        if name not in self._kept:
            self._kept[name] = super()._load(name)
            while sum(array.nbytes for array in self._kept.values()) > _CACHE_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name]


def constant(values: Array) -> Loader:
    """A loader of values at hand."""
    return lambda: values
