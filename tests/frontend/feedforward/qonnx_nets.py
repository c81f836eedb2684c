"""Nets of QONNX's and FINN's own operators, and what qonnx's executor says of them.

python tests/frontend/feedforward/qonnx_nets.py     # with qonnx: writes qonnx_scores.npz beside this file
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from graphs import QONNX, Array, Graph, random_trits

STORED = Path(__file__).with_name("qonnx_scores.npz")
BREVITAS, FINN = "onnx.brevitas", "finn.custom_op.general"
SAMPLES = 24
ROUNDINGS = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
Build = Callable[[Graph], str]
NETS: dict[str, tuple[tuple[int, ...], Build]] = {}


def net(name: str, *frame: int) -> Callable[[Build], Build]:
    def keep(build: Build) -> Build:
        NETS[name] = (frame, build)
        return build

    return keep


def quant(
    g: Graph, x: str, scale: float | Array, bits: float, signed: int = 0, narrow: int = 0, zero: float = 0,
    mode: str = "ROUND", op: str = "Quant", domain: str = QONNX,
) -> str:  # fmt: skip
    settings = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
    return g.add(op, x, np.float32(scale), np.float32(zero), np.float32(bits), domain=domain, **settings)


def ternary(g: Graph, *shape: int, scale: float = 0.125) -> str:
    masters = random_trits(*shape, seed=sum(shape)) * np.float32(scale * 1.2)
    return quant(g, g.const(masters), scale, 2, signed=1, narrow=1)


def dense(g: Graph, x: str, rows: int, columns: int) -> str:
    return g.add("Gemm", x, ternary(g, rows, columns), transB=1)


def image(g: Graph, *frame: int) -> str:
    return quant(g, g.input([1, *frame]), 1 / 64, 8, signed=1)


for _mode in ROUNDINGS:

    @net(f"rounding {_mode}", 12)
    def _(g: Graph, mode: str = _mode) -> str:
        """Powers of two: many values lie between two codes."""
        y = quant(g, dense(g, image(g, 12), 8, 12), 1 / 4, 5, signed=1, mode=mode)
        return dense(g, y, 4, 8)


@net("narrow, unsigned", 12)
def _(g: Graph) -> str:
    y = quant(g, dense(g, image(g, 12), 8, 12), 1 / 16, 3, narrow=1, op="IntQuant")
    return dense(g, y, 4, 8)


@net("narrow, signed, zero point", 12)
def _(g: Graph) -> str:
    y = quant(g, dense(g, image(g, 12), 8, 12), 0.07, 4, signed=1, narrow=1, zero=3)
    return dense(g, y, 4, 8)


@net("a zero point between two codes", 12)
def _(g: Graph) -> str:
    y = quant(g, dense(g, image(g, 12), 8, 12), 0.071, 4, zero=2.5)
    return dense(g, y, 4, 8)


@net("one bit, signed", 12)
def _(g: Graph) -> str:
    y = quant(g, dense(g, image(g, 12), 8, 12), 0.5, 1, signed=1)
    return dense(g, y, 4, 8)


@net("one bit weights, narrow", 12)
def _(g: Graph) -> str:
    y = quant(g, dense(g, image(g, 12), 8, 12), 0.5, 3, signed=1)
    weight = quant(g, g.const(np.linspace(-1, 1, 32).reshape(4, 8)), 0.25, 1, signed=1, narrow=1)
    return g.add("Gemm", y, weight, transB=1)


@net("BipolarQuant", 12)
def _(g: Graph) -> str:
    y = g.add("BipolarQuant", dense(g, image(g, 12), 8, 12), np.float32(0.3), domain=QONNX)
    weight = g.add("BipolarQuant", g.const(np.linspace(-1, 1, 32).reshape(4, 8)), np.float32(0.2), domain=QONNX)
    return g.add("Gemm", y, weight, transB=1)


@net("Trunc behind an average", 4, 6, 6)
def _(g: Graph) -> str:
    y = g.add("Conv", image(g, 4, 6, 6), ternary(g, 4, 4, 3, 3))
    y = quant(g, g.add("Relu", y), 1 / 8, 4)
    y = g.add("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = g.add("Mul", y, np.float32(4))
    y = g.add(
        "Trunc", y, np.float32(1 / 8), np.float32(0), np.float32(6), np.float32(4), domain=QONNX, rounding_mode="FLOOR"
    )
    return dense(g, g.add("Flatten", g.add("Mul", y, np.float32(1))), 5, 16)


@net("MultiThreshold", 4, 5, 5)
def _(g: Graph) -> str:
    y = g.add("Conv", image(g, 4, 5, 5), ternary(g, 6, 4, 3, 3))
    table = np.sort(np.random.default_rng(2).normal(0, 0.5, (6, 7)), axis=1).astype(np.float32)
    y = g.add("MultiThreshold", y, table, domain=QONNX, out_dtype="UINT3", data_layout="NCHW")
    y = g.add("Conv", y, ternary(g, 3, 6, 1, 1))
    table = np.sort(np.random.default_rng(3).normal(0, 0.9, (1, 15)), axis=1).astype(np.float32)
    settings = {"out_scale": 0.25, "out_bias": -2.0, "out_dtype": "FLOAT32", "data_layout": "NCHW"}
    y = g.add("MultiThreshold", y, table, domain=QONNX, **settings)
    return dense(g, g.add("Flatten", y), 4, 27)


@net("MultiThreshold, bipolar", 12)
def _(g: Graph) -> str:
    settings = {"out_scale": 2.0, "out_bias": -1.0, "out_dtype": "BIPOLAR", "data_layout": "NC"}
    table = np.linspace(-0.5, 0.5, 8, dtype=np.float32)[:, None]
    y = g.add("MultiThreshold", dense(g, image(g, 12), 8, 12), table, domain=QONNX, **settings)
    return dense(g, y, 4, 8)


@net("scales by channel", 3, 6, 6)
def _(g: Graph) -> str:
    scale = np.array([0.1, 0.12, 0.3, 0.05], np.float32).reshape(1, 4, 1, 1)
    y = quant(g, g.add("Conv", image(g, 3, 6, 6), ternary(g, 4, 3, 3, 3)), scale, 4, signed=1)
    y = quant(g, g.add("GlobalAveragePool", y), 0.0173, 8, signed=1)
    return dense(g, g.add("Flatten", y), 3, 4)


def layers(g: Graph, x: str, last: bool) -> str:
    """Convolution, batch norm, thresholds and pooling on [N, H, W, C], or on [N, C, H, W]."""
    domain = "qonnx.custom_op.channels_last" if last else ""
    settings = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": 1}
    masters = random_trits(4, 3, 3, 3) * np.float32(0.3)
    weight = quant(g, g.const(np.moveaxis(masters, 1, -1) if last else masters), 0.25, 2, signed=1, narrow=1)
    y = g.add("Conv", x, weight, domain=domain, **settings)
    gain = np.linspace(0.5, 2, 4, dtype=np.float32)
    y = g.add("BatchNormalization", y, gain, gain / 4, gain / 5, gain, domain=domain, epsilon=1e-5)
    table = np.sort(np.random.default_rng(4).normal(0, 1, (4, 7)), axis=1).astype(np.float32)
    layout = "NHWC" if last else "NCHW"
    y = g.add("MultiThreshold", y, table, domain=QONNX, out_dtype="UINT3", data_layout=layout)
    return g.add("MaxPool", y, domain=domain, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])


@net("channels first", 6, 5, 3)
def _(g: Graph) -> str:
    y = layers(g, g.add("Transpose", image(g, 6, 5, 3), perm=[0, 3, 1, 2]), last=False)
    return dense(g, g.add("Flatten", g.add("Transpose", y, perm=[0, 2, 3, 1])), 4, 24)


def channels_last() -> onnx.ModelProto:
    """The net "channels first" in QONNX's channels-last operators."""
    g = Graph(opset=13)
    return g.output(dense(g, g.add("Flatten", layers(g, image(g, 6, 5, 3), last=True)), 4, 24)).model()


def model(name: str, domain: str = QONNX) -> onnx.ModelProto:
    """A net, its own operators in `domain`."""
    g = Graph(opset=13)
    g.output(NETS[name][1](g))
    for node in g.nodes:
        node.domain = domain if node.domain else ""
    return g.model()


def inputs(name: str) -> Array:
    values = np.random.default_rng(sum(map(ord, name))).normal(0, 0.8, (SAMPLES, *NETS[name][0]))
    return values.astype(np.float32)


def executed(name: str) -> Array:
    """Scores by qonnx's executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    wrapped = ModelWrapper(model(name)).transform(InferShapes())
    return np.concatenate([execute_onnx(wrapped, {"x": x[None]})["y"] for x in inputs(name)])


if __name__ == "__main__":
    np.savez_compressed(STORED, **{name: executed(name) for name in NETS})
