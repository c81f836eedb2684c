"""Integer graphs equal onnxruntime to the last code, whatever their scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import check, import_model
from graphs import Graph, random_bytes, random_trits
from onnx import TensorProto
from tritloom.ir.tern import Conv2dOp, DenseOp, RequantizeOp

TYPES = {"uint8": (np.uint8, 128, TensorProto.UINT8), "int8": (np.int8, -7, TensorProto.INT8)}


def scales(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.002, 0.02, count).astype(np.float32)


@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("kind", TYPES)
def test_q_linear_conv(kind: str, per_channel: bool, tmp_path: Path) -> None:
    """Two layers: with zero points, bias and padding, then grouped and strided."""
    dtype, zero, element = TYPES[kind]
    g = Graph()
    x = g.input([1, 3, 8, 8], element)
    count = 6 if per_channel else 1
    w0, w1 = random_trits(6, 3, 3, 3), random_trits(6, 2, 3, 3, seed=1)
    s0, s1 = scales(count, 2), scales(count, 3)
    if not per_channel:
        s0, s1 = s0[0], s1[0]
    bias = np.random.default_rng(4).integers(-500, 500, 6).astype(np.int32)
    y = g.add(
        "QLinearConv", x, np.float32(0.017), dtype(3), w0, s0, np.zeros_like(s0, np.int8),
        np.float32(0.0211), dtype(zero), bias, pads=[1, 1, 1, 1],
    )  # fmt: skip
    y = g.add(
        "QLinearConv", y, np.float32(0.0211), dtype(zero), w1, s1, np.zeros_like(s1, np.int8),
        np.float32(0.00313), dtype(77), group=3, strides=[2, 2], pads=[1, 1, 0, 0],
    )  # fmt: skip
    model = g.output(y, kind=element, rank=4).model()
    found = check(model, random_bytes(24, 3, 8, 8).view(dtype), tmp_path, exact=True)
    assert found.codes > 10_000


@pytest.mark.parametrize("kind", TYPES)
def test_q_linear_mat_mul(kind: str, tmp_path: Path) -> None:
    dtype, zero, element = TYPES[kind]
    g = Graph()
    x = g.input(["N", 24], element)
    for index, (rows, cols) in enumerate([(24, 16), (16, 5)]):
        weight = random_trits(cols, rows, seed=index).T.copy()
        a_zero = dtype(9) if index == 0 else dtype(zero)
        y_zero = dtype(zero) if index == 0 else dtype(100)
        x = g.add(
            "QLinearMatMul", x, np.float32(0.031), a_zero, weight, np.float32(0.0123), np.int8(0),
            np.float32(0.0057 * (index + 1)), y_zero,
        )  # fmt: skip
    model = g.output(x, kind=element).model()
    assert check(model, random_bytes(512, 24).view(dtype), tmp_path, exact=True).codes > 1000


def test_mat_mul_integer(tmp_path: Path) -> None:
    """int32 sums out of the net."""
    g = Graph()
    x = g.input(["N", 24], TensorProto.UINT8)
    sums = g.add("MatMulInteger", x, random_trits(24, 5), np.uint8(131), np.int8(0))
    model = g.output(sums, kind=TensorProto.INT32).model()
    found = check(model, random_bytes(64, 24), tmp_path, exact=True)
    assert np.ptp(found.expected["y"]) > 500


def test_zero_points_of_weights(tmp_path: Path) -> None:
    """uint8 weights 127, 128, 129, one zero point; and the sums in Cast, Mul, Add, QuantizeLinear."""
    g = Graph()
    x = g.input(["N", 24], TensorProto.INT8)
    weight = (random_trits(24, 5).astype(np.int16) + 128).astype(np.uint8)
    sums = g.add("MatMulInteger", x, weight, np.int8(-3), np.uint8(128))
    y = g.add("Mul", g.add("Cast", sums, to=TensorProto.FLOAT), np.float32(2**-6))
    y = g.quantised(g.add("Add", y, np.float32([0, 1, 2, -1, 0.5])), 0.25, zero=-5, signed=True)
    model = g.output(y).model()
    codes = random_bytes(64, 24).view(np.int8)
    assert check(model, codes, tmp_path, exact=True).codes == 64 * 5


def test_conv_integer(tmp_path: Path) -> None:
    """Padding is the zero point."""
    g = Graph()
    x = g.input([2, 4, 9, 9], TensorProto.UINT8)
    sums = g.add("ConvInteger", x, random_trits(8, 4, 3, 3), np.uint8(100), np.int8(0), pads=[2, 1, 0, 1])
    codes = g.add("QuantizeLinear", g.add("Cast", sums, to=TensorProto.FLOAT), np.float32(8), np.uint8(128))
    sums = g.add("ConvInteger", codes, random_trits(3, 8, 1, 1), np.uint8(128))
    model = g.output(sums, kind=TensorProto.INT32, rank=4).model()
    assert check(model, random_bytes(8, 4, 9, 9), tmp_path, exact=True).codes > 4000


def test_what_becomes_of_the_nodes(tmp_path: Path) -> None:
    g = Graph()
    x = g.input(["N", 24], TensorProto.UINT8)
    sums = g.add("Cast", g.add("MatMulInteger", x, random_trits(24, 16)), to=TensorProto.FLOAT)
    codes = g.add("QuantizeLinear", g.add("Relu", sums), np.float32(32), np.uint8(0))
    g.output(g.add("MatMulInteger", codes, random_trits(16, 3)), kind=TensorProto.INT32)
    body = import_model(g.model(), tmp_path).module.walk()
    layers = [type(op) for op in body if isinstance(op, (Conv2dOp, DenseOp, RequantizeOp))]
    assert layers == [DenseOp, RequantizeOp, DenseOp]


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.7])
def test_products_that_round_to_a_tie(scale: float, tmp_path: Path) -> None:
    """5 * float32(0.1) lies above 1/2; as a float32 product it is 1/2, and rounds to 0."""
    g = Graph()
    x = g.input([2, 2, 8, 8], TensorProto.UINT8)
    y = g.add(
        "QLinearConv", x, np.float32(scale), np.uint8(0), random_trits(8, 2, 1, 1), np.float32(1), np.int8(0),
        np.float32(1), np.uint8(60),
    )  # fmt: skip
    flat = g.add("Reshape", y, np.array([2, 512]))
    y = g.add(
        "QLinearMatMul", flat, np.float32(scale), np.uint8(60), random_trits(512, 6), np.float32(1), np.int8(0),
        np.float32(1), np.uint8(128),
    )  # fmt: skip
    model = g.output(y, kind=TensorProto.UINT8).model()
    images = np.random.default_rng(0).integers(0, 160, (64, 2, 8, 8)).astype(np.uint8)
    check(model, images, tmp_path, exact=True)
