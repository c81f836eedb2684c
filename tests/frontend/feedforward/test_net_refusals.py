"""What is refused, and in which words: everything at once, by node, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checking import refusal
from graphs import QONNX, Graph, random_trits
from onnx import TensorProto

HINT = "docs/import.md lists what is recognised; rewrite these nodes in the model and export it again"


def floats(*shape: int) -> np.ndarray:
    return random_trits(*shape) * np.float32(0.1)


def dense(g: Graph, x: str, rows: int, columns: int) -> str:
    return g.add("Gemm", x, floats(rows, columns), transB=1)


def test_all_problems_at_once(tmp_path: Path) -> None:
    g = Graph()
    x = g.image(["N", 3, 8, 8])
    y = g.add("Relu", g.add("Conv", x, floats(8, 3, 3, 3)))
    y = g.add("HardSwish", g.add("Conv", y, floats(8, 8, 3, 3), pads=[1, 1, 1, 1]))
    y = g.add("Conv", g.quantised(y, 0.1, bits=4), np.linspace(-1, 1, 288, dtype=np.float32).reshape(4, 8, 3, 3))
    g.output(g.add("Hardmax", dense(g, g.add("Flatten", y), 5, 64)))
    error = refusal(g.model(), tmp_path)
    assert error.message == (
        "4 nodes are not supported:\n"
        "  Conv: its activations are float: no quantiser stands between it and the layer in front of it\n"
        "    'Conv_3' [N, 8, 6, 6]\n"
        "    instead: put a quantiser (Quant, or QuantizeLinear and DequantizeLinear) on its input when training,"
        " or quantise the exported model statically with calibration data\n"
        "  HardSwish: it is no rising function, or computed on floats only\n"
        "    'HardSwish_4' [N, 8, 6, 6]\n"
        "    instead: use Relu, Clip, LeakyRelu, Sigmoid or Tanh in front of a quantiser\n"
        "  Conv: tensor 'c8' (float, 4x8x3x3) is not ternary: 288 distinct values\n"
        "      histogram: -1 to 1 in 7 bins: 42 41 41 40 41 41 42\n"
        "      the nearest ternary tensor (scale 0.6272) is 34.8% rms away, 234 of 288 values by more than a tenth of"
        " the scale (the first, -1, at [0, 0])\n"
        "    'Conv_8' [N, 4, 4, 4]\n"
        "    instead: export the quantised weights (-1, 0, +1 and a scale), or masters with the absmean quantiser in"
        " the graph; or quantise them now, after training: --ternarise absmean (or twn)\n"
        "  Hardmax: it belongs behind the scores\n"
        "    'Hardmax_11' [N, 5]\n"
        "    instead: use ArgMax, TopK, Softmax, LogSoftmax or Sigmoid there, or compute it on the host"
    )
    assert error.hint == HINT


CASES: dict[str, tuple[Callable[[Graph], str], str, str, int, int]] = {}
"""What is built on an image [1, 2, 6, 6]; the node, and why it is refused; rank and type of the output."""


def case(
    node: str, reason: str, rank: int = 0, kind: int = TensorProto.FLOAT
) -> Callable[[Callable[[Graph], str]], None]:
    def keep(build: Callable[[Graph], str]) -> None:
        CASES[f"{node}: {reason}"] = (build, node, reason, rank, kind)

    return keep


def image(g: Graph, zero: int = 0) -> str:
    return g.image([1, 2, 6, 6], 1 / 255, zero)


@case("Conv", "it pads with 0, which is no 8-bit unsigned code of its operand")
def _(g: Graph) -> str:
    x = g.add("Add", image(g), np.float32(0.1))
    return g.add("Conv", x, floats(3, 2, 3, 3), pads=[1, 1, 1, 1])


@case("Conv", "it is a convolution over 3 axes")
def _(g: Graph) -> str:
    x = g.add("Reshape", image(g), np.array([1, 2, 2, 3, 6]))
    return g.add("Conv", x, floats(3, 2, 1, 1, 1))


@case("Conv", "its window 9 x 9 is larger than its operand 6 x 6")
def _(g: Graph) -> str:
    return g.add("Conv", image(g), floats(3, 2, 3, 3), dilations=[4, 4])


@case("MaxPool", "its kernel [2, 2], strides [0, 1], dilations [1, 1] or pads [0, 0, 0, 0] are not supported")
def _(g: Graph) -> str:
    x = g.add("Quant", image(g), np.float32(0.1), np.float32(0), np.float32(4), domain=QONNX)
    return g.add("MaxPool", x, kernel_shape=[2, 2], strides=[0, 1])


@case("Conv", "its activations have a scale for each channel")
def _(g: Graph) -> str:
    return g.add("Conv", g.add("Mul", image(g), np.float32([[[1]], [[2]]])), floats(3, 2, 3, 3))


@case("Conv", "its operand is no image of channels, rows and columns: it was reshaped or transposed")
def _(g: Graph) -> str:
    y = g.quantised(g.add("Conv", image(g), floats(3, 2, 3, 3)), 0.1)
    return g.add("Conv", g.add("Transpose", y, perm=[0, 1, 3, 2]), floats(3, 3, 1, 1))


@case("Gemm", "its operand A, the activations, is transposed")
def _(g: Graph) -> str:
    return g.add("Gemm", g.add("Reshape", image(g), np.array([1, 72])), floats(1, 3), transA=1)


@case("Reshape", "it mixes the frames of a batch with their elements")
def _(g: Graph) -> str:
    return g.add("Reshape", image(g), np.array([2, 36]))


@case("Squeeze", "it may remove the batch axis")
def _(g: Graph) -> str:
    return g.add("Squeeze", g.add("Flatten", image(g)))


@case("Mul", "both of its operands are computed at run time")
def _(g: Graph) -> str:
    x = image(g)
    return g.add("Mul", x, x)


@case("Mul", "its constant differs from pixel to pixel")
def _(g: Graph) -> str:
    return g.add("Conv", g.add("Mul", image(g), np.arange(1, 37, dtype=np.float32).reshape(6, 6)), floats(3, 2, 3, 3))


@case("Div", "it divides by 0")
def _(g: Graph) -> str:
    return g.add("Div", image(g), np.float32(0))


@case("Mul", "it multiplies what a rising function or a maximum gave by a number that is not above 0")
def _(g: Graph) -> str:
    y = g.add("Conv", image(g), floats(3, 2, 3, 3))
    return g.add("Mul", g.add("MaxPool", y, kernel_shape=[2, 2]), np.float32(-1))


@case("LeakyRelu", "its slope is negative, so that it falls and rises")
def _(g: Graph) -> str:
    return g.add("LeakyRelu", g.add("Conv", image(g), floats(3, 2, 3, 3)), alpha=-0.1)


@case("AveragePool", "its windows at the border divide by fewer pixels than the others")
def _(g: Graph) -> str:
    return g.add("AveragePool", image(g), kernel_shape=[3, 3], pads=[1, 1, 1, 1])


@case("AveragePool", "it pads with 0, which is not the code 0 of its operand")
def _(g: Graph) -> str:
    return g.add("AveragePool", image(g, zero=3), kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)


@case("ReduceMean", "it reduces the axes [1] of 4")
def _(g: Graph) -> str:
    return g.add("ReduceMean", image(g), np.array([1]))


@case("Concat", "it joins along another axis than the channels")
def _(g: Graph) -> str:
    x = image(g)
    return g.add("Concat", x, x, axis=2)


@case("Conv", "it takes a sum of tensors of different scales that no quantiser follows")
def _(g: Graph) -> str:
    x = image(g)
    y = g.quantised(g.add("Conv", x, floats(2, 2, 1, 1)), 0.1)
    return g.add("Conv", g.add("Add", x, y), floats(3, 2, 3, 3))


@case("BatchNormalization", "its variance is not positive")
def _(g: Graph) -> str:
    ones = np.ones(2, np.float32)
    return g.add("BatchNormalization", image(g), ones, ones, ones, -ones)


@case("QuantizeLinear", "its scale is not above 0")
def _(g: Graph) -> str:
    codes = g.add("QuantizeLinear", g.add("Conv", image(g), floats(3, 2, 3, 3)), np.float32(0), np.uint8(0))
    return g.add("DequantizeLinear", codes, np.float32(1), np.uint8(0))


@case("Quant", "its codes have 9 bits")
def _(g: Graph) -> str:
    settings = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
    return g.add("Quant", image(g), np.float32(1), np.float32(0), np.float32(9), domain=QONNX, **settings)


@case("MultiThreshold", "its thresholds do not ascend")
def _(g: Graph) -> str:
    return g.add("MultiThreshold", image(g), np.float32([[1, 0]]), domain=QONNX, out_dtype="UINT2")


@case("DynamicQuantizeLinear", "its scale is computed from each input: an integer net has static scales only")
def _(g: Graph) -> str:
    codes = g.add("DynamicQuantizeLinear", g.add("Flatten", image(g)), outputs=3)
    sums = g.add("MatMulInteger", codes, random_trits(72, 3), g.nodes[-1].output[2])
    return g.add("Cast", sums, to=TensorProto.FLOAT)


@case("MatMul", "both of its operands are computed at run time")
def _(g: Graph) -> str:
    x = image(g)
    return g.add("MatMul", x, x)


@case("Floor", "its codes, 0 to 1000, have more than 8 bits")
def _(g: Graph) -> str:
    y = g.add("Floor", g.add("Mul", image(g), np.float32(1000)))
    return g.add("Conv", y, floats(3, 2, 3, 3))


@case("LayerNormalization", "it normalises by statistics of each input")
def _(g: Graph) -> str:
    return g.add("LayerNormalization", image(g), np.ones(6, np.float32))


@case("GRU", "it has a state, and a feed-forward net has none")
def _(g: Graph) -> str:
    x = g.add("Reshape", image(g), np.array([1, 12, 6]))
    return g.add("GRU", x, np.zeros((1, 6, 6), np.float32), np.zeros((1, 6, 2), np.float32), hidden_size=2)


def scored(g: Graph, classes: int = 4) -> str:
    """Scores of the classes."""
    return g.add("Gemm", g.add("Flatten", image(g)), floats(classes, 72), transB=1)


@case("ArgMax", "its axis 0 is not that of the channels", 2, TensorProto.INT64)
def _(g: Graph) -> str:
    return g.add("ArgMax", scored(g))


@case("ArgMax", "its axis 9 is not that of the channels", 2, TensorProto.INT64)
def _(g: Graph) -> str:
    """Behind an operator that hides its rank from ONNX."""
    scores = g.add("Quant", scored(g), np.float32(0.1), np.float32(0), np.float32(8), domain=QONNX)
    return g.add("ArgMax", scores, axis=9)


@case("Softmax", "as an output: its scale or offset is beyond float32", 2)
def _(g: Graph) -> str:
    y = scored(g)
    for _ in range(2):
        y = g.add("Mul", y, np.float32(1e38))
    return g.add("Softmax", y)


@case("ArgMax", "its axis 2 is not that of the channels", 4, TensorProto.INT64)
def _(g: Graph) -> str:
    return g.add("ArgMax", g.add("Conv", image(g), floats(3, 2, 3, 3)), axis=2)


@case("ArgMax", "its axis 1 is not that of the channels", 2, TensorProto.INT64)
def _(g: Graph) -> str:
    """Over all pixels of several channels."""
    return g.add("ArgMax", g.add("Flatten", g.add("Conv", image(g), floats(3, 2, 3, 3))), axis=1)


@case(
    "ArgMax",
    "its activations are float: no quantiser stands between it and the layer in front of it",
    2,
    TensorProto.INT64,
)
def _(g: Graph) -> str:
    return g.add("ArgMax", g.add("Relu", scored(g)), axis=1)


@case("TopK", "it takes the best 0 of 4 channels", 2)
def _(g: Graph) -> str:
    return g.add("TopK", scored(g), np.array([0]), outputs=2)


@case("TopK", "its k is computed at run time", 2)
def _(g: Graph) -> str:
    scores = scored(g)
    k = g.add("ArgMax", scores, axis=1, keepdims=0)
    return g.add("TopK", scores, k, outputs=2)


@case("TopK", "its results are in no order: sorted is 0", 2)
def _(g: Graph) -> str:
    return g.add("TopK", scored(g), np.array([2]), outputs=2, sorted=0)


@case("TopK", "as an output: its activations are float: no quantiser stands between it and the layer in front of it", 2)
def _(g: Graph) -> str:
    """The indices would be the scores' own; the values are not."""
    return g.add("TopK", g.add("Tanh", scored(g)), np.array([2]), outputs=2)


@case(
    "ArgMax", "its scales and offsets are too far apart: keys of 62 bits do not order all scores", 2, TensorProto.INT64
)
def _(g: Graph) -> str:
    return g.add("ArgMax", g.add("Mul", scored(g), np.float32([1, 1e-9, 1, 1])), axis=1)


@case("Add", "it computes with what stands behind the scores", 2)
def _(g: Graph) -> str:
    return g.add("Add", g.add("Softmax", scored(g)), np.float32(1))


@case("Gemm", "it computes with what stands behind the scores", 2)
def _(g: Graph) -> str:
    return g.add("Gemm", g.add("LogSoftmax", scored(g)), floats(3, 4), transB=1)


@case("ArgMax", "it computes with what stands behind the scores", 2, TensorProto.INT64)
def _(g: Graph) -> str:
    return g.add("ArgMax", g.add("TopK", scored(g), np.array([2]), outputs=2), axis=1)


@case("Cast", "it computes with what stands behind the scores", 2)
def _(g: Graph) -> str:
    return g.add("Cast", g.add("ArgMax", scored(g), axis=1), to=TensorProto.FLOAT)


@case("Cast", "INT8 does not hold indices of 200 channels", 2, TensorProto.INT8)
def _(g: Graph) -> str:
    return g.add("Cast", g.add("ArgMax", scored(g, 200), axis=1), to=TensorProto.INT8)


@case("Softmax", "its axis 3 is not that of the channels")
def _(g: Graph) -> str:
    return g.add("Softmax", g.add("Conv", image(g), floats(3, 2, 3, 3)))


@case("Softmax", "its activations are float: no quantiser stands between it and the layer in front of it", 2)
def _(g: Graph) -> str:
    return g.add("Softmax", g.add("Sigmoid", scored(g)))


RANKS = {"Gemm": 2, "Reshape": 2, "Squeeze": 1, "DynamicQuantizeLinear": 2, "Conv: it is a convolution over 3 axes": 5}


@pytest.mark.parametrize("name", CASES)
def test_one_node(name: str, tmp_path: Path) -> None:
    build, node, reason, rank, kind = CASES[name]
    g = Graph(opset=20)
    value = build(g)
    g.output(value, kind=kind, rank=rank or RANKS.get(name, RANKS.get(node, 4)))
    lines = refusal(g.model(), tmp_path).message.splitlines()
    assert lines[0] == "1 node is not supported:"
    assert lines[1].split("::")[-1].strip() == f"{node}: {reason}"
    assert lines[2].strip().startswith(f"'{node}")
    assert lines[3].strip().startswith("instead: ")


def test_several_inputs(tmp_path: Path) -> None:
    g = Graph()
    x, z = g.input([1, 8]), g.input([1, 4], name="z")
    g.output(g.add("Gemm", g.add("Concat", x, z, axis=1), floats(3, 12), transB=1))
    error = refusal(g.model(), tmp_path)
    assert error.message == "a feed-forward net has one input, this model has 2: 'x' [1, 8], 'z' [1, 4]"
    assert error.hint == "join the inputs in front of the model, or store constant ones as initializers"


def test_float_input_without_a_quantiser(tmp_path: Path) -> None:
    g = Graph()
    g.output(dense(g, g.input(["N", 8]), 3, 8))
    message = refusal(g.model(), tmp_path).message
    assert "Gemm: its activations are float: the input is not quantised" in message


def test_the_type_and_shape_of_the_input(tmp_path: Path) -> None:
    g = Graph()
    g.output(dense(g, g.add("Cast", g.input([1, 8], TensorProto.FLOAT16), to=1), 3, 8))
    assert refusal(g.model(), tmp_path).message == "input 'x' is FLOAT16"
    g = Graph()
    g.output(dense(g, g.add("Reshape", g.image([1, "H"]), np.array([0, -1])), 3, 8))
    error = refusal(g.model(), tmp_path)
    assert (error.message, error.hint) == (
        "input 'x' has shape [1, H]",
        "it needs a batch axis and fixed sizes behind it: [N, K], [N, C, L] or [N, C, H, W]",
    )


def test_an_input_that_is_rearranged(tmp_path: Path) -> None:
    g = Graph()
    x = g.add("Reshape", g.image([1, 24]), np.array([1, 3, 8]))
    g.output(g.add("Conv", x, floats(4, 3, 3)), rank=3)
    assert refusal(g.model(), tmp_path).message == "input 'x' [1, 24] is rearranged in front of the first layer"


def test_constant_outputs(tmp_path: Path) -> None:
    g = Graph()
    g.input([1, 8])
    g.output(g.add("Identity", np.ones((1, 3), np.float32)))
    assert refusal(g.model(), tmp_path).message == "output 'y' is constant, or the input itself"
