"""Matrices in a file are read where they are: none is copied as a whole."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import Net
from tritloom.frontend import import_onnx
from tritloom.ir.store import trits_hash

ROWS, COLS = 4096, 4096


@pytest.mark.parametrize("columns", [False, True])
def test_memory(columns: bool, tmp_path: Path) -> None:
    trits = np.random.default_rng(0).integers(-1, 2, (ROWS, COLS), np.int8)
    net = Net()
    codes, step = net.quantize(net.token(table=np.ones((16, COLS), np.float16).astype(np.float32)))
    stored = net.trits("w", np.ascontiguousarray(trits.T) if columns else trits)
    net.output("y", net.add("Div", net.add("Gemm", codes, stored, transB=int(not columns)), step), (1, ROWS))
    path = tmp_path / "net.onnx"
    onnx.save(net.model(), str(path), save_as_external_data=True, location="net.data")
    import_onnx(path)  # modules that are imported when they are needed
    tracemalloc.start()
    imported = import_onnx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < ROWS * COLS // 2
    assert trits_hash(imported.store.trits("w")) == trits_hash(trits)
    (weight,) = (op for op in imported.module.ops if op.name == "tern.weight")
    assert weight.properties["hash"].data == trits_hash(trits)
