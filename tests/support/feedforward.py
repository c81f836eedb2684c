"""Feed-forward nets with random weights in plain ONNX, in the shapes that classifiers have.

Ternary weights, about 40 % of them zero; activations quantised by QuantizeLinear, Clip and DequantizeLinear with
scales taken from what the layers give for random images, so that codes are neither all zero nor saturated.
Nothing is trained: the scores mean nothing, the shapes and the numbers do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.generic]

OPSET = 20
ZEROS = 0.4
"""Share of zero weights."""

KEPT = {2: 95.0, 3: 98.0, 4: 99.5}
"""Percentile of the values that stays below the largest code, by bits."""


@dataclass(frozen=True)
class Style:
    """How a net is written.

    Attributes:
        weights: "int8" trits behind a DequantizeLinear, or "float" initialisers of {-s, 0, s}.
        per_channel: A weight scale for each output channel, not one a tensor.
        power_of_two: Every scale a power of two, biases instead of batch norms: float32 evaluation is exact, but
            for averages over other than 2^n values.
        activation_bits: Of hidden activations, 2 to 8.
    """

    weights: Literal["int8", "float"] = "int8"
    per_channel: bool = True
    power_of_two: bool = False
    activation_bits: int = 4


TWO_BITS = Style(activation_bits=2)
FOUR_BITS = Style(activation_bits=4)


@dataclass
class Net:
    """A graph under construction, with the values of its tensors for a few random images."""

    shape: tuple[int, ...]
    style: Style = field(default_factory=Style)
    seed: int = 0
    samples: int = 8

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.values: dict[str, Array] = {}
        self.steps: dict[str, float] = {}
        """Of a quantised tensor its scale; of an accumulator in a power-of-two net the step of its values."""

    def name(self, stem: str) -> str:
        return f"{stem}_{len(self.nodes) + len(self.constants)}"

    def constant(self, stem: str, value: Array) -> str:
        name = self.name(stem)
        self.constants[name] = value
        return name

    def emit(self, op: str, *inputs: str, **attributes: object) -> str:
        """Append a node and evaluate it; the name of its output."""
        output = self.name(op.lower())
        node = helper.make_node(op, inputs, [output], name=f"node_{output}", **attributes)
        self.values[output] = _evaluate(node, self.values, self.constants)
        self.nodes.append(node)
        return output

    def image(self) -> str:
        """The input `x`: bytes, and their values between 0 and 1."""
        self.values["x"] = images(self.shape, self.samples, self.seed)
        step = 1 / 256 if self.style.power_of_two else 1 / 255
        return self.dequantise("x", np.float32(step), np.uint8(0))

    def dequantise(self, x: str, step: Array, zero: Array, **attributes: int) -> str:
        """`x` times `step`."""
        output = self.emit(
            "DequantizeLinear", x, self.constant("scale", step), self.constant("zero", zero), **attributes
        )
        if step.ndim == 0:
            self.steps[output] = float(step)
        return output

    def quantise(self, x: str, bits: int, *, signed: bool = False, step: float | None = None) -> str:
        """`x` in codes of `bits` bits and back; `step` as calibrated unless given."""
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        low = -high - 1 if signed else 0
        if step is None:
            step = float(np.percentile(np.abs(self.values[x]), KEPT.get(bits, 100))) / high
            step = 2.0 ** np.round(np.log2(step)) if self.style.power_of_two else step
        kind = np.int8 if signed else np.uint8
        scale, zero = self.constant("scale", np.float32(step)), self.constant("zero", kind(0))
        codes = self.emit("QuantizeLinear", x, scale, zero)
        if bits < 8:
            codes = self.emit(
                "Clip", codes, self.constant("low", np.array(low, kind)), self.constant("high", np.array(high, kind))
            )
        output = self.emit("DequantizeLinear", codes, scale, zero)
        self.steps[output] = step
        return output

    def relu(self, x: str, bits: int | None = None) -> str:
        """ReLU and quantiser."""
        return self.quantise(self.emit("Relu", x), bits or self.style.activation_bits)

    def weight(self, shape: tuple[int, ...], x: str) -> tuple[str, float]:
        """A ternary weight [outputs, ...] as its float tensor, its size fit for `x`, and its smallest step."""
        energy = np.prod(shape[1:]) * (1 - ZEROS) * np.square(self.values[x]).mean()
        trits = self.rng.choice(np.array([-1, 0, 1], np.int8), shape, p=[(1 - ZEROS) / 2, ZEROS, (1 - ZEROS) / 2])
        count = shape[0] if self.style.per_channel else 1
        scales = np.exp(self.rng.normal(0, 0.3, count)) / np.sqrt(energy)
        scales = (2.0 ** np.round(np.log2(scales)) if self.style.power_of_two else scales).astype(np.float32)
        if self.style.weights == "float":
            spread = scales.reshape(-1, *[1] * (len(shape) - 1))
            return self.constant("weight", trits * spread), float(scales.min())
        step, zero = (scales, np.zeros(count, np.int8)) if self.style.per_channel else (scales[0], np.int8(0))
        name = self.constant("trits", trits)
        return self.dequantise(name, step, zero, **({"axis": 0} if self.style.per_channel else {})), float(scales.min())

    def product(self, op: str, x: str, shape: tuple[int, ...], bias: bool, **attributes: object) -> str:
        """A convolution or Gemm of a quantised `x` by a random weight of `shape`; a bias that centres it on request."""
        weight, weight_step = self.weight(shape, x)
        inputs = [x, weight]
        if bias:
            self.values["unbiased"] = _evaluate(
                helper.make_node(op, inputs, ["unbiased"], **attributes), self.values, self.constants
            )
            step = weight_step * self.steps[x]
            inputs.append(
                self.constant("bias", np.round(self._centre("unbiased") / step).astype(np.float32) * np.float32(step))
            )
        return self.emit(op, *inputs, **attributes)

    def _centre(self, x: str) -> Array:
        """What brings each channel's mean somewhere near zero, as float32 [C]."""
        values = self.values[x].astype(np.float64)
        axes = (0, *range(2, values.ndim))
        return self.rng.normal(0, 0.3, values.shape[1]) * values.std(axes) - values.mean(axes)

    def normalise(self, x: str) -> str:
        """Batch norm with the statistics that `x` has; one gain in eight is negative."""
        values = self.values[x].astype(np.float64)
        axes = (0, *range(2, values.ndim))
        channels = values.shape[1]
        gain = self.rng.uniform(0.5, 1.5, channels) * np.where(self.rng.random(channels) < 1 / 8, -1, 1)
        parts = (gain, self.rng.normal(0, 0.3, channels), values.mean(axes), values.var(axes) + 1e-3)
        names = (
            self.constant(stem, part.astype(np.float32))
            for stem, part in zip(("gain", "shift", "mean", "variance"), parts, strict=True)
        )
        return self.emit("BatchNormalization", x, *names, epsilon=1e-5)

    def _layer(self, op: str, x: str, shape: tuple[int, ...], **attributes: object) -> str:
        if self.style.power_of_two:
            return self.product(op, x, shape, bias=True, **attributes)
        return self.normalise(self.product(op, x, shape, bias=False, **attributes))

    def conv(self, x: str, outputs: int, size: int, *, stride: int = 1, pad: int = 0, groups: int = 1) -> str:
        """Convolution and batch norm, of as many dimensions as `x` has."""
        dimensions = self.values[x].ndim - 2
        return self._layer(
            "Conv",
            x,
            (outputs, self.values[x].shape[1] // groups, *[size] * dimensions),
            strides=[stride] * dimensions,
            pads=[pad] * (2 * dimensions),
            group=groups,
            kernel_shape=[size] * dimensions,
        )

    def dense(self, x: str, outputs: int) -> str:
        """Gemm and batch norm."""
        return self._layer("Gemm", x, (outputs, self.values[x].shape[1]), transB=1)

    def scores(self, x: str, classes: int) -> str:
        """The last Gemm, with a bias."""
        return self.product("Gemm", x, (classes, self.values[x].shape[1]), bias=True, transB=1)

    def pool(self, x: str, size: int) -> str:
        """Max pooling; the codes stay codes."""
        dimensions = self.values[x].ndim - 2
        output = self.emit("MaxPool", x, kernel_shape=[size] * dimensions, strides=[size] * dimensions)
        self.steps[output] = self.steps[x]
        return output

    def flatten(self, x: str) -> str:
        output = self.emit("Flatten", x)
        self.steps[output] = self.steps[x]
        return output

    def average(self, x: str) -> str:
        """Global average pooling in 8 bits, flat."""
        return self.flatten(self.quantise(self.emit("GlobalAveragePool", x), 8))

    def model(self, scores: str) -> onnx.ModelProto:
        """The graph, with the tensor `scores` as its output of that name, for one sample."""
        (last,) = (node for node in self.nodes if scores in node.output)
        last.output[0] = "scores"
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, *self.shape])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, self.values[scores].shape[1]])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _evaluate(node: onnx.NodeProto, values: dict[str, Array], constants: dict[str, Array]) -> Array:
    """The output of one node."""
    feeds = {name: values[name] for name in node.input if name in values}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    initialisers = [numpy_helper.from_array(np.asarray(constants[n]), n) for n in node.input if n in constants]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "node", inputs, outputs, initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return _session(model).run(None, feeds)[0]


def images(shape: tuple[int, ...], count: int, seed: int) -> NDArray[np.uint8]:
    """Random images [count, *shape]: smooth along the last axis, some brighter than others."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (count, *shape))
    smooth = noise + np.roll(noise, 1, -1) + np.roll(noise, 2, -1)
    brightness = rng.normal(110, 30, (count, *[1] * len(shape)))
    return np.clip(brightness + 40 * smooth, 0, 255).astype(np.uint8)


def answers(model: onnx.ModelProto, x: Array) -> NDArray[np.float32]:
    """Scores [N, classes] of the samples `x` by onnxruntime, its graph optimisations off."""
    session = _session(model)
    return np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])


def mlp(*sizes: int, style: Style = TWO_BITS, seed: int = 0) -> onnx.ModelProto:
    """Dense layers: `mlp(784, 256, 256, 10)` is the classic one for 28x28 images."""
    net = Net((sizes[0],), style, seed, samples=64)
    x = net.image()
    for size in sizes[1:-1]:
        x = net.relu(net.dense(x, size))
    return net.model(net.scores(x, sizes[-1]))


def cnv(style: Style = TWO_BITS, seed: int = 0, width: int = 64) -> onnx.ModelProto:
    """VGG-like, 32x32x3: valid 3x3 convolutions in three pairs, max pooling between them, dense 8w, 8w, 10."""
    net = Net((3, 32, 32), style, seed)
    x = net.image()
    for stage in range(3):
        for _ in range(2):
            x = net.relu(net.conv(x, width << stage, 3))
        x = net.pool(x, 2) if stage < 2 else net.flatten(x)
    for _ in range(2):
        x = net.relu(net.dense(x, 8 * width))
    return net.model(net.scores(x, 10))


MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Channels at width 1 and stride of each depthwise-separable layer of MobileNet v1 (arXiv 1704.04861, table 1)."""


def mobilenet(
    size: int = 96,
    width: float = 0.5,
    style: Style = FOUR_BITS,
    seed: int = 0,
    layers: tuple[tuple[int, int], ...] = MOBILENET,
) -> onnx.ModelProto:
    """Depthwise-separable convolutions, `size` x `size` x 3, 10 classes."""
    net = Net((3, size, size), style, seed, samples=2)
    x = net.relu(net.conv(net.image(), round(32 * width), 3, stride=2, pad=1))
    for channels, stride in layers:
        x = net.relu(net.conv(x, net.values[x].shape[1], 3, stride=stride, pad=1, groups=net.values[x].shape[1]))
        x = net.relu(net.conv(x, round(channels * width), 1))
    return net.model(net.scores(net.average(x), 10))


def _residual(net: Net, x: str, channels: int, stride: int, shared: bool) -> str:
    """A basic block; a strided one has a 1x1 convolution in its skip. Both branches have a sign and a bit for it."""
    bits = net.style.activation_bits + 1
    branch = net.conv(net.relu(net.conv(x, channels, 3, stride=stride, pad=1)), channels, 3, pad=1)
    branch = net.quantise(branch, bits, signed=True)
    if stride > 1 or net.values[x].shape[1] != channels:
        skip = net.conv(x, channels, 1, stride=stride)
        skip = net.quantise(skip, bits, signed=True, step=net.steps[branch] if shared else None)
    else:
        skip = net.quantise(x, bits, signed=True, step=net.steps[branch]) if shared else x
    return net.relu(net.emit("Add", branch, skip))


def resnet(
    size: int = 32,
    width: int = 16,
    blocks: int = 3,
    *,
    shared: bool = False,
    style: Style = FOUR_BITS,
    seed: int = 0,
) -> onnx.ModelProto:
    """Three stages of `blocks` basic blocks, `size` x `size` x 3 (arXiv 1512.03385, section 4.2; ResNet-20 by default).

    With `shared`, both branches of an add are quantised with one scale.
    """
    net = Net((3, size, size), style, seed)
    x = net.relu(net.conv(net.image(), width, 3, pad=1))
    for stage in range(3):
        for block in range(blocks):
            x = _residual(net, x, width << stage, 2 if stage and not block else 1, shared)
    return net.model(net.scores(net.average(x), 10))


def resnext(
    size: int = 32, width: int = 32, groups: int = 4, blocks: int = 3, style: Style = FOUR_BITS, seed: int = 0
) -> onnx.ModelProto:
    """Blocks of a pointwise, a grouped and a pointwise convolution (arXiv 1611.05431, without the skips), `size` x
    `size` x 3; behind them a depthwise one that has two filters a channel, and 10 classes. One group: all are whole."""
    net = Net((3, size, size), style, seed)
    x = net.relu(net.conv(net.image(), width, 3, stride=2, pad=1))
    for _ in range(blocks):
        x = net.relu(net.conv(x, 2 * width, 1))
        x = net.relu(net.conv(x, 2 * width, 3, pad=1, groups=groups))
        x = net.relu(net.conv(x, width, 1))
    x = net.relu(net.conv(x, 2 * width, 3, stride=2, pad=1, groups=width if groups > 1 else 1))
    return net.model(net.scores(net.average(x), 10))


def series(
    channels: int = 3,
    length: int = 64,
    width: int = 16,
    style: Style = FOUR_BITS,
    seed: int = 0,
) -> onnx.ModelProto:
    """A 1-D CNN: a strided convolution, two depthwise-separable ones, max and global average pooling, 6 classes."""
    net = Net((channels, length), style, seed, samples=32)
    x = net.relu(net.conv(net.image(), width, 5, stride=2, pad=2))
    for _ in range(2):
        x = net.relu(net.conv(x, net.values[x].shape[1], 3, pad=1, groups=net.values[x].shape[1]))
        x = net.pool(net.relu(net.conv(x, 2 * net.values[x].shape[1], 1)), 2)
    return net.model(net.scores(net.average(x), 6))
