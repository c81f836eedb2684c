"""Import under test, and the structure of a module without its names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx_models import Net
from tritloom.errors import InputError
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.mlir import Attribute, SSAValue, StringAttr, SymbolRefAttr
from tritloom.ir.tern import ModelOp, StateType, TableOp, VectorOp, WeightOp

Row = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class Close:
    """A vector that equals others in all but the last places: exporters fold lower bounds in different orders."""

    values: NDArray[np.float32]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Close) and np.allclose(self.values, other.values, rtol=1e-6, atol=1e-6)

    __hash__ = None  # type: ignore[assignment]


def import_net(net: Net, folder: Path) -> Imported:
    return import_onnx(net.save(folder))


def import_model(model: onnx.ModelProto, folder: Path) -> Imported:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return import_onnx(path)


def refusal(path: Path) -> InputError:
    """The error that importing `path` ends in."""
    with pytest.raises(InputError) as caught:
        import_onnx(path)
    assert caught.value.hint
    return caught.value


def only_block(net: Net, folder: Path) -> list[str]:
    """What the error says of the one node that is not supported."""
    head, *lines = refusal(net.save(folder)).message.splitlines()
    assert head == "1 node is not supported:"
    assert len(lines) == 3
    return lines


def model_of(imported: Imported) -> ModelOp:
    return next(op for op in imported.module.ops if isinstance(op, ModelOp))


def op_counts(imported: Imported) -> dict[str, int]:
    return dict(Counter(op.name.removeprefix("tern.") for op in model_of(imported).body.block.ops))


def op_names(imported: Imported) -> list[str]:
    return [op.name.removeprefix("tern.") for op in model_of(imported).body.block.ops]


def weights(imported: Imported) -> list[WeightOp]:
    return [op for op in imported.module.ops if isinstance(op, WeightOp)]


def skeleton(imported: Imported) -> list[Row]:
    """Every operation with its operands by number and its symbols by what they hold."""
    symbols: dict[str, object] = {}
    for op in imported.module.ops:
        if isinstance(op, WeightOp):
            symbols[op.sym_name.data] = (op.hash.data, op.rows.value.data, op.cols.value.data)
        elif isinstance(op, VectorOp):
            symbols[op.sym_name.data] = Close(imported.store.root_vector(op.sym_name.data))
        elif isinstance(op, TableOp):
            symbols[op.sym_name.data] = (imported.store.table(op.sym_name.data).tobytes(), op.format.data)
    block = model_of(imported).body.block
    numbers: dict[SSAValue, int] = {arg: index for index, arg in enumerate(block.args)}
    rows: list[Row] = []
    for op in block.ops:
        properties = {key: _nameless(value, symbols) for key, value in op.properties.items() if key != "weight_scale"}
        operands = [numbers[operand] for operand in op.operands]
        rows.append((op.name, operands, properties))
        for result in op.results:
            numbers[result] = len(numbers)
    return rows


def scales(imported: Imported) -> list[float]:
    return [op.scale.value.data for op in weights(imported)]


def _nameless(value: Attribute, symbols: dict[str, object]) -> object:
    if isinstance(value, SymbolRefAttr):
        return symbols[value.root_reference.data]
    if isinstance(value, StringAttr | StateType):
        return None
    return str(value)
