"""The constants of an imported module: ternary weights with their zeros and scales, vectors, tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..ir import tern
from ..ir.encoding import SLICE_BYTES, slices_of
from ..ir.locations import onnx_names
from ..ir.mlir import ModuleOp, Operation, SymbolRefAttr
from ..ir.store import WeightStore

_TABLE_BYTES: Final = {"f32": 4, "f16": 2, "bf16": 2}
_BLOCK: Final = 1 << 18


@dataclass(frozen=True)
class Weight:
    """A ternary matrix: how many trits are -1, 0 and +1, its scale or the range of its rows' scales, and its users."""

    name: str
    rows: int
    cols: int
    minus: int
    zeros: int
    plus: int
    scales: tuple[float, float]
    per_row: bool
    onnx: list[str]

    @property
    def count(self) -> int:
        return self.rows * self.cols

    @property
    def packed_bytes(self) -> int:
        """Bytes in memory: five trits a byte, rows padded to whole slices; no padding for the ports of a board."""
        return self.rows * slices_of(self.cols) * SLICE_BYTES


@dataclass(frozen=True)
class Table:
    """An embedding table."""

    name: str
    rows: int
    cols: int
    format: str

    @property
    def row_bytes(self) -> int:
        return self.cols * _TABLE_BYTES[self.format]


def _users(operations: Iterable[Operation], name: str) -> list[Operation]:
    """Operations that name a symbol."""
    return [
        op
        for op in operations
        if any(isinstance(p, SymbolRefAttr) and p.root_reference.data == name for p in op.properties.values())
    ]


def _row_scales(op: Operation) -> str | None:
    """The vector that a product's values are multiplied by, behind a rescale by 1."""
    for use in (use for result in op.results for use in result.uses):
        user = use.operation
        if isinstance(user, tern.DequantizeOp):
            return _row_scales(user)
        if isinstance(user, tern.MulOp):
            for operand in user.operands:
                if isinstance(operand.owner, tern.LoadOp):
                    return operand.owner.vector.root_reference.data
    return None


def _signs(trits: NDArray[np.int8]) -> tuple[int, int]:
    """How many are +1 and -1, counted in blocks that stay in the cache."""
    flat, plus, minus = trits.reshape(-1), 0, 0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        plus += int(np.count_nonzero(block > 0))
        minus += int(np.count_nonzero(block < 0))
    return plus, minus


def weights(module: ModuleOp, store: WeightStore) -> list[Weight]:
    """Every ternary matrix of a module, read in threads."""
    found = [op for op in module.ops if isinstance(op, tern.WeightOp) and not op.part_names()]
    operations = [op for op in module.walk() if op.properties and not isinstance(op, tern.WeightOp)]

    def read(op: tern.WeightOp) -> Weight:
        name = op.sym_name.data
        trits = store.trits(name)
        plus, minus = _signs(trits)
        users = _users(operations, name)
        scale = op.scale.value.data
        vector = _row_scales(users[0]) if users and scale == 1.0 else None
        scales = (scale, scale)
        if vector is not None:
            rows = store.vector(module, vector)
            scales = (float(rows.min()), float(rows.max()))
        rows_, cols = op.rows.value.data, op.cols.value.data
        zeros = rows_ * cols - plus - minus
        nodes = list(dict.fromkeys(node for user in users for node in onnx_names(user)))
        return Weight(name, rows_, cols, minus, zeros, plus, scales, vector is not None, nodes)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, found))


def tables(module: ModuleOp) -> list[Table]:
    """Every embedding table."""
    found = [op for op in module.ops if isinstance(op, tern.TableOp)]
    return [Table(op.sym_name.data, op.rows.value.data, op.cols.value.data, op.format.data) for op in found]


def vector_floats(module: ModuleOp) -> int:
    """Floats of the constant vectors: gains, bounds, scales."""
    return sum(op.length.value.data for op in module.ops if isinstance(op, tern.VectorOp))


def entropy(weight: Weight) -> float:
    """Bits a trit carries."""
    shares = [count / weight.count for count in (weight.minus, weight.zeros, weight.plus)]
    return -sum(share * math.log2(share) for share in shares if share)
