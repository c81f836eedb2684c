"""One MLP and one CNN, their weights in every spelling: the same trits, the same IR but for scales."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import check, import_model
from graphs import Graph, random_bytes, random_trits
from spellings import EVERY, PLAIN, Spelling, Weight, weight
from tritloom.ir.tern import StepsOp, WeightOp

Structure = tuple[tuple[str, ...], ...]


def mlp(spelling: Spelling, per_channel: bool) -> onnx.ModelProto:
    """12 - 10 - 8 - 4: a bias, batch norm, a zero point."""
    g = Graph()
    x = g.image([1, 12])
    for index, (rows, columns) in enumerate([(10, 12), (8, 10), (4, 8)]):
        w = weight(random_trits(rows, columns, seed=index), per_channel, seed=index)
        x = g.add("Gemm", x, spelling(g, w), np.linspace(-0.3, 0.3, rows, dtype=np.float32), transB=1)
        if index == 0:
            gain = np.linspace(-1, 2, rows, dtype=np.float32)
            x = g.add("BatchNormalization", x, gain, gain / 3, gain / 7, np.abs(gain) + 1, epsilon=1e-3)
        x = x if index == 2 else g.quantised(g.add("Relu", x), 0.019, zero=3 if index else 0)
    return g.output(x).model()


def cnn(spelling: Spelling, per_channel: bool) -> onnx.ModelProto:
    """Padded, depthwise and pointwise convolutions with a residual, pooling, dense."""
    g = Graph()
    x = g.image([1, 3, 8, 8])

    def conv(x: str, seed: int, *shape: int, **attributes: object) -> str:
        return g.add("Conv", x, spelling(g, weight(random_trits(*shape, seed=seed), per_channel, seed)), **attributes)

    y = g.quantised(g.add("Relu", conv(x, 0, 6, 3, 3, 3, pads=[1, 1, 1, 1])), 0.021, bits=4)
    z = g.quantised(conv(y, 1, 6, 1, 3, 3, pads=[1, 1, 1, 1], group=6), 0.017, bits=4, signed=True)
    y = g.quantised(g.add("Relu", g.add("Add", conv(z, 2, 6, 6, 1, 1), y)), 0.023, bits=4)
    y = g.add("Flatten", g.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]))
    return g.output(
        g.add("Gemm", y, spelling(g, weight(random_trits(5, 96, seed=3), per_channel, 3)), transB=1)
    ).model()


NETS = {"mlp": mlp, "cnn": cnn}
FRAMES = {"mlp": (12,), "cnn": (3, 8, 8)}


def structure(model: onnx.ModelProto, folder: Path) -> Structure:
    """Trits, step functions without their numbers, operations with types and attributes."""
    module = import_model(model, folder).module
    trits = tuple(op.hash.data for op in module.ops if isinstance(op, WeightOp))
    steps = tuple(
        f"{op.channels.value} {op.operands_.value} {op.low.value} {op.levels.value}"
        for op in module.ops
        if isinstance(op, StepsOp)
    )
    body = tuple(
        " ".join([
            op.name,
            *(str(value.type) for value in (*op.operands, *op.results)),
            *(str(op.properties[key]) for key in ("strides", "pads", "groups", "pad_code") if key in op.properties),
        ])
        for op in module.walk()
        if op.results
    )  # fmt: skip
    return trits, steps, body


@cache
def baseline(net: str, per_channel: bool, folder: Path) -> Structure:
    return structure(NETS[net](PLAIN["stored"], per_channel), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nets")


@pytest.mark.parametrize(("net", "per_channel"), [("mlp", True), ("cnn", False)])
@pytest.mark.parametrize("spelling", EVERY)
def test_the_same_ir(spelling: str, net: str, per_channel: bool, folder: Path) -> None:
    found = structure(NETS[net](EVERY[spelling], per_channel), folder)
    assert found == baseline(net, per_channel, folder)


@pytest.mark.parametrize("net", NETS)
def test_their_codes(net: str, tmp_path: Path) -> None:
    check(NETS[net](PLAIN["QCDQ of masters"], True), random_bytes(32, *FRAMES[net]), tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_scales_to_the_last_bit(seed: int, tmp_path: Path) -> None:
    """w + (q - w) is q, not what float32 makes of it; the mean of the masters is rounded once."""
    random = np.random.default_rng(seed)
    masters = (random.normal(0, 1, (8, 500)) * random.uniform(0, 1, (8, 500)) ** 3).astype(np.float32)
    scale = np.abs(masters).mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    w = Weight(np.clip(np.rint(masters / scale), -1, 1).astype(np.int8), masters, per_channel=True)
    numbers = set()
    for spelling in ("stored", "masters, dynamo", "straight-through"):
        g = Graph()
        y = g.add("Gemm", g.image([1, 500]), PLAIN[spelling](g, w), transB=1)
        imported = import_model(g.output(g.quantised(y, 0.3, signed=True)).model(), tmp_path)
        numbers.add(tuple(op.hash.data for op in imported.module.ops if isinstance(op, StepsOp)))
    assert len(numbers) == 1
