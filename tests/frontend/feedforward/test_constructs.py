"""One construct a net: every code and the scores against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checking import Array, check, import_model
from graphs import Graph, random_bytes, random_trits
from onnx import TensorProto
from tritloom.ir.tern import (
    ConcatOp,
    DenseOp,
    PoolOp,
    QuantizeOp,
    RequantizeOp,
    SumOp,
    element_of,
    integer_for,
)

RNG = np.random.default_rng(5)
Build = Callable[[Graph], str]
CASES: dict[str, tuple[tuple[int, ...], Build]] = {}
"""Shape of a frame of the uint8 input, and what makes the output of it."""


def case(name: str, *frame: int) -> Callable[[Build], Build]:
    def keep(build: Build) -> Build:
        CASES[name] = (frame, build)
        return build

    return keep


def image(g: Graph, *frame: int, zero: int = 0) -> str:
    return g.image([2, *frame], 1 / 255, zero)


def conv(g: Graph, x: str, filters: int, channels: int, size: int = 3, **attributes: object) -> str:
    attributes = {"pads": [size // 2] * 4} | attributes
    weight = random_trits(filters, channels, size, size, seed=len(g.nodes)) * np.float32(0.21)
    return g.add("Conv", x, weight, **attributes)


def dense(g: Graph, x: str, rows: int, columns: int, **attributes: object) -> str:
    weight = random_trits(rows, columns, seed=len(g.nodes)) * np.float32(0.13)
    return g.add("Gemm", x, weight, np.linspace(-1, 1, rows, dtype=np.float32), transB=1, **attributes)


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "Relu": lambda g, x: g.add("Relu", x),
    "Clip": lambda g, x: g.add("Clip", x, np.float32(-0.25), np.float32(0.7)),
    "Clip, one bound": lambda g, x: g.add("Clip", x, "", np.float32(0.7)),
    "Max and Min": lambda g, x: g.add("Min", g.add("Max", x, np.float32(-0.1)), np.float32([[0.9]])),
    "LeakyRelu": lambda g, x: g.add("LeakyRelu", x, alpha=0.125),
    "PRelu": lambda g, x: g.add("PRelu", x, np.float32([0.1, 0.2, 0.3, 0.4, 0.5])),
    "Sigmoid": lambda g, x: g.add("Mul", g.add("Sigmoid", x), np.float32(1.5)),
    "Tanh": lambda g, x: g.add("Tanh", x),
    "HardSigmoid": lambda g, x: g.add("HardSigmoid", x, alpha=0.3, beta=0.4),
    "Relu, Neg": lambda g, x: g.add("Neg", g.add("Relu", x)),
    "Clip, Mul of both signs": lambda g, x: g.add(
        "Mul", g.add("Clip", x, np.float32(-0.5), np.float32(0.9)), np.float32([1, -1, 0.5, -0.3, 2])
    ),
    "Neg": lambda g, x: g.add("Neg", x),
    "Sub from a constant": lambda g, x: g.add("Sub", np.float32(0.3), x),
    "Div": lambda g, x: g.add("Div", x, np.float32([0.5, -1.5, 2, 3, -0.7])),
    "Relu, Mul, Add": lambda g, x: g.add("Add", g.add("Mul", g.add("Relu", x), np.float32(0.7)), np.float32(-0.2)),
    "Identity, Dropout": lambda g, x: g.add("Dropout", g.add("Identity", x)),
}
for _name, _activation in ACTIVATIONS.items():

    @case(_name, 9)
    def _(g: Graph, act: Callable[[Graph, str], str] = _activation) -> str:
        y = dense(g, image(g, 9), 5, 9)
        return g.quantised(act(g, y), 0.05, bits=6, signed=True)


@case("Sign", 9)
def _(g: Graph) -> str:
    return dense(g, g.add("Sign", dense(g, image(g, 9), 6, 9)), 4, 6)


@case("Round, Clip, Mul", 9)
def _(g: Graph) -> str:
    y = g.add("Round", g.add("Div", dense(g, image(g, 9), 6, 9), np.float32(0.1)))
    y = g.add("Mul", g.add("Clip", y, np.float32(-8), np.float32(7)), np.float32(0.1))
    return dense(g, y, 4, 6)


@case("Floor of what a clamp bounds", 9)
def _(g: Graph) -> str:
    y = g.add("Mul", g.add("Clip", dense(g, image(g, 9), 6, 9), np.float32(0), np.float32(1)), np.float32(15))
    y = g.add("Floor", g.add("Add", y, np.float32(0.5)))
    return dense(g, g.add("Mul", y, np.float32(1 / 15)), 4, 6)


@case("Cast to int8 and back", 9)
def _(g: Graph) -> str:
    y = g.add("Clip", dense(g, image(g, 9), 6, 9), np.float32(-1), np.float32(1))
    y = g.add("Cast", g.add("Mul", y, np.float32(30)), to=TensorProto.INT8)
    return dense(g, g.add("Mul", g.add("Cast", y, to=TensorProto.FLOAT), np.float32(1 / 30)), 4, 6)


@case("a straight-through residue", 9)
def _(g: Graph) -> str:
    y = dense(g, image(g, 9), 6, 9)
    quantised = g.quantised(y, 0.07, bits=4, signed=True)
    return dense(g, g.add("Add", y, g.add("Sub", quantised, y)), 4, 6)


@case("zero point with padding", 2, 6, 6)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 6, 6, zero=7), 4, 2), 0.07, zero=100)
    return g.quantised(conv(g, y, 3, 4), 0.11, zero=-20, signed=True)


@case("negative gains in front of a maximum", 2, 8, 8)
def _(g: Graph) -> str:
    y = conv(g, image(g, 2, 8, 8), 4, 2)
    gain, rest = np.float32([1, -0.7, 0.4, -2]), np.float32([0.1, 0.2, -0.3, 0.4])
    y = g.add("BatchNormalization", y, gain, rest, rest * 2, np.float32([1, 2, 0.5, 0.1]), epsilon=0.01)
    y = g.add("MaxPool", g.add("Relu", y), kernel_shape=[2, 2], strides=[2, 2])
    return g.quantised(y, 0.2, bits=4)


@case("overlapping maximum with padding, signed", 2, 7, 7)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 7, 7), 4, 2), 0.07, signed=True)
    return g.add("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


@case("maximum, rounded up, twice", 2, 8, 8)
def _(g: Graph) -> str:
    y = conv(g, image(g, 2, 8, 8), 4, 2)
    y = g.add("MaxPool", y, kernel_shape=[3, 2], strides=[2, 3], ceil_mode=1)
    y = g.add("MaxPool", y, kernel_shape=[2, 2], dilations=[2, 1])
    return g.quantised(y, 0.04, signed=True)


@case("a window that would begin in the padding", 2, 5, 5)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 5, 5), 4, 2), 0.04, signed=True)
    return g.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)


@case("automatic padding", 2, 8, 7)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 8, 7), 4, 2, size=4, pads=[0] * 4), 0.05)
    weight = random_trits(3, 4, 2, 2) * np.float32(0.4)
    y = g.quantised(g.add("Conv", y, weight, auto_pad="SAME_LOWER", strides=[2, 1]), 0.07)
    weight = random_trits(3, 3, 2, 2, seed=4) * np.float32(0.4)
    return g.quantised(g.add("Conv", y, weight, auto_pad="SAME_UPPER"), 0.07)


@case("averages", 2, 8, 8)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 8, 8), 4, 2), 0.05)
    y = g.add("AveragePool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1)
    y = g.quantised(y, 0.03)
    y = g.quantised(g.add("AveragePool", y, kernel_shape=[2, 2]), 0.02)
    return g.add("Flatten", g.add("GlobalAveragePool", y))


@case("an average with an offset", 2, 8, 8)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 8, 8), 4, 2), 0.05, zero=60)
    return g.quantised(g.add("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.02, zero=-9, signed=True)


@case("means over axes", 2, 6, 6)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 6, 6), 4, 2), 0.05)
    mean = g.quantised(g.add("ReduceMean", y, np.array([2, 3]), keepdims=0), 0.03)
    return dense(g, mean, 3, 4)


@case("GlobalMaxPool", 2, 6, 6)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 6, 6), 4, 2), 0.05)
    return dense(g, g.add("Flatten", g.add("GlobalMaxPool", y)), 3, 4)


@case("a sum that is no quantiser's", 2, 6, 6)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 6, 6), 4, 2), 0.05)
    z = g.quantised(conv(g, y, 4, 4), 0.05)
    return conv(g, g.add("Add", y, z), 2, 4)


@case("a difference of scales", 2, 6, 6)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 6, 6), 4, 2), 0.05)
    z = g.quantised(conv(g, y, 4, 4), 0.07, bits=4)
    return g.quantised(g.add("Relu", g.add("Sub", y, z)), 0.041, bits=5)


@case("two layers into one sum", 9)
def _(g: Graph) -> str:
    x = image(g, 9)
    y, z = dense(g, x, 6, 9), dense(g, x, 6, 9, alpha=0.5, beta=2.0)
    return g.quantised(g.add("Add", y, z), 0.05, signed=True)


@case("twice the same", 9)
def _(g: Graph) -> str:
    y = g.quantised(dense(g, image(g, 9), 6, 9), 0.05)
    return g.quantised(g.add("Add", y, g.add("Mul", y, np.float32(0.3))), 0.071)


@case("concatenation of types", 2, 6, 6)
def _(g: Graph) -> str:
    x = image(g, 2, 6, 6)
    y, z = g.quantised(conv(g, x, 4, 2), 0.05, bits=4), g.quantised(conv(g, x, 3, 2, size=1), 0.05, bits=6, signed=True)
    return g.quantised(conv(g, g.add("Concat", y, z, axis=1), 3, 7), 0.2)


@case("concatenation of scales", 9)
def _(g: Graph) -> str:
    x = image(g, 9)
    y, z = g.quantised(dense(g, x, 4, 9), 0.05), g.quantised(dense(g, x, 3, 9), 0.03, zero=4)
    return g.quantised(g.add("Concat", y, z, axis=-1), 0.04)


@case("a Flatten of pixels", 2, 5, 4)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 5, 4), 3, 2), 0.05, bits=4)
    return dense(g, g.add("Flatten", y), 6, 60)


@case("a Reshape of transposed pixels", 2, 5, 4)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 5, 4), 3, 2), 0.05, bits=4)
    y = g.add("Transpose", y, perm=[0, 3, 2, 1])
    return dense(g, g.add("Reshape", y, np.array([0, -1])), 6, 60)


@case("channels last at the input", 5, 4, 2)
def _(g: Graph) -> str:
    y = conv(g, g.add("Transpose", image(g, 5, 4, 2), perm=[0, 3, 1, 2]), 3, 2)
    return g.add("Transpose", g.quantised(y, 0.05, bits=4), perm=[0, 2, 3, 1])


@case("a series from a vector", 24)
def _(g: Graph) -> str:
    x = g.add("Reshape", image(g, 24), np.array([0, 1, 24]))
    y = g.add("Conv", x, random_trits(4, 1, 3) * np.float32(0.2), strides=[2], pads=[1, 1], dilations=[1])
    y = g.add("MaxPool", g.quantised(g.add("Relu", y), 0.04, bits=4), kernel_shape=[2], strides=[2])
    return dense(g, g.add("Flatten", y), 3, 24)


@case("rows times a matrix", 6, 4)
def _(g: Graph) -> str:
    x = g.add("Transpose", image(g, 6, 4), perm=[0, 2, 1])
    y = g.add("Conv", x, random_trits(5, 4, 1) * np.float32(0.2))
    y = g.add("Transpose", g.quantised(g.add("Relu", y), 0.04, bits=4), perm=[0, 2, 1])
    y = g.add("MatMul", y, random_trits(5, 3) * np.float32(0.3))
    return g.quantised(g.add("Transpose", y, perm=[0, 2, 1]), 0.03, signed=True)


@case("one row times a matrix", 7)
def _(g: Graph) -> str:
    x = g.add("Unsqueeze", image(g, 7), np.array([1]))
    y = g.quantised(g.add("MatMul", x, random_trits(7, 5) * np.float32(0.2)), 0.04)
    return g.add("Squeeze", g.add("MatMul", y, random_trits(5, 3) * np.float32(0.2)), np.array([1]))


@case("a depthwise layer of scales by channel", 3, 6, 6)
def _(g: Graph) -> str:
    y = conv(g, image(g, 3, 6, 6), 4, 3)
    scale, zero = np.float32([0.03, 0.04, 0.05, 0.06]), np.zeros(4, np.uint8)
    y = g.add("DequantizeLinear", g.add("QuantizeLinear", y, scale, zero, axis=1), scale, zero, axis=1)
    return g.quantised(conv(g, y, 8, 1, group=4), 0.05)


@case("a shape that the graph computes", 2, 4, 4)
def _(g: Graph) -> str:
    y = g.quantised(conv(g, image(g, 2, 4, 4), 3, 2), 0.05, bits=4)
    batch = g.add("Gather", g.add("Shape", y), np.array(0), axis=0)
    shape = g.add("Concat", g.add("Unsqueeze", batch, np.array([0])), np.array([-1]), axis=0)
    return dense(g, g.add("Reshape", y, shape), 3, 48)


@pytest.mark.parametrize("name", CASES)
def test_every_code(name: str, tmp_path: Path) -> None:
    frame, build = CASES[name]
    g = Graph(opset=18)
    value = build(g)
    model = g.output(value, rank=OUTPUT_RANK.get(name, 2)).model()
    check(model, random_bytes(16, *frame, seed=7), tmp_path)


OUTPUT_RANK = {
    "zero point with padding": 4,
    "negative gains in front of a maximum": 4,
    "overlapping maximum with padding, signed": 4,
    "maximum, rounded up, twice": 4,
    "automatic padding": 4,
    "a window that would begin in the padding": 4,
    "an average with an offset": 4,
    "a sum that is no quantiser's": 4,
    "a difference of scales": 4,
    "concatenation of types": 4,
    "channels last at the input": 4,
    "rows times a matrix": 3,
    "a depthwise layer of scales by channel": 4,
}


def test_a_float_image_normalised_by_channel(tmp_path: Path) -> None:
    """(x / 255 - mean) / std in front of the quantiser goes into its steps."""
    g = Graph()
    x = g.input(["N", 3, 6, 6])
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    x = g.add("Sub", g.add("Div", x, np.float32(255)), mean.reshape(3, 1, 1))
    y = g.quantised(g.add("Div", x, std.reshape(1, 3, 1, 1)), 0.0186, signed=True)
    model = g.output(g.quantised(conv(g, y, 4, 3), 0.3, bits=5), rank=4).model()
    images = np.random.default_rng(3).uniform(0, 255, (32, 3, 6, 6)).astype(np.float32)
    found = check(model, images, tmp_path)
    names = [op.name for op in found.imported.module.walk() if isinstance(op, (QuantizeOp, RequantizeOp))]
    assert names == ["tern.quantize", "tern.requantize"]
    assert found.codes == 32 * (3 + 4) * 36


def count(g: Graph, folder: Path, op: type) -> int:
    return sum(isinstance(found, op) for found in import_model(g.model(), folder).module.walk())


def test_codes_that_are_there_already(tmp_path: Path) -> None:
    """Quantising again on the same scale, and a clamp at the ends of the codes, add no operation."""
    g = Graph()
    y = g.quantised(dense(g, image(g, 9), 6, 9), 0.05, bits=4)
    again = g.quantised(g.add("Relu", g.quantised(y, 0.05, bits=4)), 0.05, bits=4)
    g.output(dense(g, again, 3, 6))
    assert count(g, tmp_path, RequantizeOp) == 1
    check(g.model(), random_bytes(16, 9), tmp_path)


def test_operations_of_sums_and_pools(tmp_path: Path) -> None:
    g = Graph()
    x = image(g, 2, 6, 6)
    y = g.quantised(conv(g, x, 4, 2), 0.05, bits=4)
    y = g.add("MaxPool", g.add("Concat", y, y, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    g.output(conv(g, g.add("Add", y, y), 3, 8), rank=4)
    assert [count(g, tmp_path, op) for op in (ConcatOp, PoolOp, SumOp)] == [1, 1, 0]
    check(g.model(), random_bytes(16, 2, 6, 6), tmp_path)


def test_a_dead_branch_is_no_operation(tmp_path: Path) -> None:
    g = Graph()
    x = image(g, 9)
    g.add("Softmax", dense(g, x, 6, 9))
    g.output(dense(g, x, 6, 9))
    assert count(g, tmp_path, RequantizeOp) == 0


def test_inputs_of_both_signs_and_any_batch(tmp_path: Path) -> None:
    g = Graph()
    x = g.add("DequantizeLinear", g.input(["N", 9], TensorProto.INT8), np.float32(0.5), np.int8(-3))
    model = g.output(dense(g, x, 4, 9)).model()
    codes: Array = random_bytes(33, 9).view(np.int8)
    check(model, codes, tmp_path)


SUMS = [(TensorProto.INT8, -128, 127), (TensorProto.UINT8, 0, 255)]


@pytest.mark.parametrize(("kind", "low", "high"), SUMS)
@pytest.mark.parametrize("columns", [1, 2, 5, 40])
def test_the_type_of_sums_is_the_narrowest(kind: int, low: int, high: int, columns: int, tmp_path: Path) -> None:
    trits = random_trits(3, columns, seed=columns) * np.int8(-1 if columns == 2 else 1)
    g = Graph()
    x = g.input([1, columns], kind)
    g.output(g.add("MatMulInteger", x, trits.T.copy()), kind=TensorProto.INT32)
    (op,) = (op for op in import_model(g.model(), tmp_path).module.walk() if isinstance(op, DenseOp))
    largest = max(int(np.where(row > 0, row * high, row * low).sum()) for row in trits.astype(int))
    smallest = min(int(np.where(row > 0, row * low, row * high).sum()) for row in trits.astype(int))
    assert element_of(op.result) == integer_for(smallest, largest)


def test_the_sign_of_zero(tmp_path: Path) -> None:
    g = Graph()
    sums = g.add("MatMulInteger", g.input([8, 6], TensorProto.INT8), random_trits(6, 5))
    y = g.add("Sign", g.add("Cast", sums, to=TensorProto.FLOAT))
    g.output(g.add("MatMul", y, random_trits(5, 3).astype(np.float32)))
    codes = np.random.default_rng(1).integers(-1, 2, (64, 6)).astype(np.int8)
    check(g.model(), codes, tmp_path, exact=True)
