"""Other ways to write the same net in plain ONNX: float weights of {-s, 0, s}, and integer operators.

Both start from the QuantizeLinear-Clip-DequantizeLinear graph (QCDQ) that brevitas exports through TorchScript.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx.reference
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.generic]


@dataclass
class Graph:
    """A model's nodes and constants, to edit."""

    model: onnx.ModelProto

    def __post_init__(self) -> None:
        original, self.model = self.model, onnx.ModelProto()
        self.model.CopyFrom(original)
        self.nodes = list(self.model.graph.node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}

    def producer(self, name: str, op: str) -> onnx.NodeProto:
        """The node of type `op` that gives `name`; ValueError if there is none."""
        for node in self.nodes:
            if name in node.output and node.op_type == op:
                return node
        raise ValueError(f"{name} is not the output of a {op}")

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        return [node for node in self.nodes if name in node.input]

    def next(self, node: onnx.NodeProto, op: str) -> onnx.NodeProto | None:
        """The only reader of a node's output, if it is an `op`."""
        readers = self.consumers(node.output[0])
        return readers[0] if len(readers) == 1 and readers[0].op_type == op else None

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = value
        return name

    def replace(self, old: list[onnx.NodeProto], new: list[onnx.NodeProto]) -> None:
        """Put `new` where the last of `old` stood."""
        gone = {id(node) for node in old}
        last = max(at for at, node in enumerate(self.nodes) if id(node) in gone)
        before = [node for node in self.nodes[:last] if id(node) not in gone]
        self.nodes = [*before, *new, *self.nodes[last + 1 :]]

    def fold(self) -> None:
        """Evaluate what depends on constants alone."""
        kept = []
        for node in self.nodes:
            if all(name in self.constants for name in node.input):
                (value,) = onnx.reference.ReferenceEvaluator(node).run(
                    None, {name: self.constants[name] for name in node.input}
                )
                self.constants[node.output[0]] = value
            else:
                kept.append(node)
        self.nodes = kept

    def take_bytes(self) -> None:
        """Make the input the codes of the first quantiser, where they are bytes, as those of an image."""
        entry = self.model.graph.input[0]
        (first,) = self.consumers(entry.name)
        if first.op_type != "QuantizeLinear":
            raise ValueError("the input is not quantised")
        if self.constants[first.input[2]].dtype == np.uint8:
            (reader,) = self.consumers(first.output[0])
            reader.input[0] = entry.name
            entry.type.tensor_type.elem_type = TensorProto.UINT8
            self.nodes.remove(first)

    def pool_codes(self) -> None:
        """Move each DequantizeLinear behind the Flatten or MaxPool that reads it."""
        for node in [node for node in self.nodes if node.op_type in ("Flatten", "MaxPool")]:
            dequantise = next((other for other in self.nodes if node.input[0] in other.output), None)
            if dequantise is None or dequantise.op_type != "DequantizeLinear":
                continue
            scale, output = dequantise.input[1:], node.output[0]
            node.input[0], node.output[0] = dequantise.input[0], f"{output}.codes"
            later = helper.make_node("DequantizeLinear", [node.output[0], *scale], [output], name=f"{node.name}/scale")
            self.replace([node], [node, later])

    def finish(self, opset: int = 13) -> onnx.ModelProto:
        """The edited model, without what nobody reads."""
        outputs = {value.name for value in self.model.graph.output}
        for node in reversed(list(self.nodes)):
            if not any(name in outputs or self.consumers(name) for name in node.output):
                self.nodes.remove(node)
        read = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "net",
            [self.model.graph.input[0]],
            list(self.model.graph.output),
            [numpy_helper.from_array(value, name) for name, value in self.constants.items() if name in read],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def float_weights(qcdq: onnx.ModelProto) -> onnx.ModelProto:
    """Every weight a float initialiser of {-s, 0, s}; activations stay quantised; the input takes bytes."""
    graph = Graph(qcdq)
    graph.fold()
    graph.take_bytes()
    return graph.finish()


@dataclass(frozen=True)
class _Product:
    """A Conv, Gemm or MatMul of codes by trits, and the batch norm after it."""

    nodes: list[onnx.NodeProto]
    codes: str
    code_scale: str
    code_zero: str
    trits: Array
    """[outputs, ...]."""
    scale: Array
    """Of the accumulator's step, float64 [outputs]."""
    bias: NDArray[np.int32]
    """[outputs]."""


def _product(graph: Graph, node: onnx.NodeProto) -> _Product:
    codes = graph.producer(node.input[0], "DequantizeLinear")
    matrix = node.input[1]
    if node.op_type == "MatMul":
        matrix = graph.producer(matrix, "Transpose").input[0]
    weight = graph.producer(matrix, "DequantizeLinear")
    trits = graph.constants[graph.producer(weight.input[0], "Clip").input[0]]
    scale = np.broadcast_to(graph.constants[weight.input[1]], trits.shape[:1]).astype(np.float64)
    bias = graph.constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(trits))
    nodes = [node]
    if norm := graph.next(node, "BatchNormalization"):
        nodes.append(norm)
        gain, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in norm.input[1:])
        epsilon = next(attribute.f for attribute in norm.attribute if attribute.name == "epsilon")
        gain = gain / np.sqrt(variance + epsilon)
        trits = trits * np.sign(gain).astype(np.int8).reshape(-1, *[1] * (trits.ndim - 1))
        scale, bias = scale * np.abs(gain), (bias - mean) * gain + shift
    scale = scale * float(graph.constants[codes.input[1]])
    return _Product(nodes, *codes.input, trits, scale, np.rint(bias / scale).astype(np.int32))


def _integer_product(graph: Graph, product: _Product) -> None:
    """ConvInteger or MatMulInteger, the addition of an int32 bias, and one product by the scales."""
    node, stem = product.nodes[0], product.nodes[0].name.strip("/")
    convolution = node.op_type == "Conv"
    spread = (-1, *[1] * (product.trits.ndim - 2)) if convolution else (-1,)
    trits = graph.constant(f"{stem}.trits", product.trits if convolution else product.trits.T.copy())
    bias = graph.constant(f"{stem}.bias", product.bias.reshape(spread))
    scale = graph.constant(f"{stem}.scale", product.scale.astype(np.float32).reshape(spread))
    names = [f"{stem}.{part}" for part in ("products", "sums", "real")]
    op = "ConvInteger" if convolution else "MatMulInteger"
    integer = helper.make_node(op, [product.codes, trits], names[:1], name=node.name)
    if convolution:
        integer.attribute.extend(node.attribute)
    graph.replace(
        product.nodes,
        [
            integer,
            helper.make_node("Add", [names[0], bias], names[1:2], name=f"{node.name}/bias"),
            helper.make_node("Cast", names[1:2], names[2:], name=f"{node.name}/cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [names[2], scale], product.nodes[-1].output, name=f"{node.name}/scale"),
        ],
    )


def _qlinear_conv(graph: Graph, product: _Product, relu: onnx.NodeProto, quantise: onnx.NodeProto) -> None:
    """Convolution, batch norm, ReLU and QuantizeLinear become one QLinearConv; a Clip stays."""
    conv, stem = product.nodes[0], product.nodes[0].name.strip("/")
    scale = (product.scale / float(graph.constants[product.code_scale])).astype(np.float32)
    inputs = [
        product.codes,
        product.code_scale,
        product.code_zero,
        graph.constant(f"{stem}.trits", product.trits),
        graph.constant(f"{stem}.scale", scale),
        graph.constant(f"{stem}.zero", np.zeros(len(scale), np.int8)),
        *quantise.input[1:],
        graph.constant(f"{stem}.bias", product.bias),
    ]
    node = helper.make_node("QLinearConv", inputs, quantise.output, name=conv.name)
    node.attribute.extend(conv.attribute)
    graph.replace([*product.nodes, relu, quantise], [node])


def integers(qcdq: onnx.ModelProto) -> onnx.ModelProto:
    """A convolution that bytes of a ReLU follow as QLinearConv, others as ConvInteger, dense layers as MatMulInteger.

    Batch norms go into scales and biases, and biases are rounded to the accumulator's step, so scores are near the
    other exports', not equal. Between the layers stay Clip, pooling, and a residual's float sum.
    """
    graph = Graph(qcdq)
    graph.take_bytes()
    graph.pool_codes()
    for node in [node for node in graph.nodes if node.op_type in ("Conv", "Gemm", "MatMul")]:
        product = _product(graph, node)
        relu = graph.next(product.nodes[-1], "Relu")
        quantise = graph.next(relu, "QuantizeLinear") if relu else None
        # onnxruntime's QLinearConv wants bytes before it and after it, and one scale for these
        known = quantise is not None and graph.constants[quantise.input[1]].size == 1
        if node.op_type == "Conv" and known and graph.constants[product.code_zero].dtype == np.uint8:
            _qlinear_conv(graph, product, relu, quantise)
        else:
            _integer_product(graph, product)
    return graph.finish()
