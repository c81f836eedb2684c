"""Small ONNX decoding steps, written node by node in the spellings that exporters use."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

VOCABULARY, WIDTH = 16, 8
Array = NDArray[np.generic]


def random_trits(rows: int = WIDTH, cols: int = WIDTH, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.int8)


@dataclass
class Net:
    """A graph under construction. Methods return the name of the value that they add."""

    opset: int = 20
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def const(self, name: str, values: Array | float | Sequence[int]) -> str:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str | float, outputs: int = 1, domain: str = "", **attributes: object) -> str:
        names = [x if isinstance(x, str) else self.const(f"c{len(self.initializers)}", x) for x in inputs]
        results = [f"v{len(self.nodes)}" + (f"_{index}" if index else "") for index in range(outputs)]
        node = helper.make_node(op, names, results, name=f"node_{op}_{len(self.nodes)}", domain=domain, **attributes)
        self.nodes.append(node)
        return results[0]

    def input(self, name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[int | str] = (1, WIDTH)) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"node_output_{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def token(self, shape: Sequence[int | str] = (1,), table: Array | None = None) -> str:
        """Input and embedding."""
        self.input("input_ids", shape, TensorProto.INT64)
        values = np.random.default_rng(1).normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
        return self.add("Gather", self.const("table", values if table is None else table), "input_ids", axis=0)

    def rms_norm(self, x: str, gain: Array | None = None, eps: float = 1e-6, power: float = 2.0) -> str:
        mean = self.add("ReduceMean", self.add("Pow", x, power), self.axes(), keepdims=1)
        root = self.add("Sqrt", self.add("Add", mean, eps))
        normed = self.add("Mul", x, self.add("Reciprocal", root))
        return normed if gain is None else self.add("Mul", normed, self.const(f"gain{len(self.nodes)}", gain))

    def axes(self) -> str:
        return self.const(f"axes{len(self.initializers)}", np.asarray([-1], np.int64))

    def step(self, x: str) -> str:
        """127 / max(max|x|, 1e-5)."""
        largest = self.add("ReduceMax", self.add("Abs", x), self.axes(), keepdims=1)
        return self.add("Mul", self.add("Reciprocal", self.add("Clip", largest, 1e-5)), 127.0)

    def quantize(self, x: str) -> tuple[str, str]:
        """(codes, step)."""
        step = self.step(x)
        return self.add("Clip", self.add("Round", self.add("Mul", x, step)), -128.0, 127.0), step

    def trits(self, name: str, values: NDArray[np.int8]) -> str:
        return self.add("Cast", self.const(name, values), to=TensorProto.FLOAT)

    def bitlinear(self, x: str, name: str = "w", values: Array | None = None, scale: float = 0.02) -> str:
        """The baked form."""
        codes, step = self.quantize(x)
        weights = self.trits(name, random_trits() if values is None else values)
        return self.add("Mul", self.add("Gemm", codes, weights, transB=1), self.add("Div", scale, step))

    def naive_bitlinear(self, x: str, masters: Array, name: str = "w") -> str:
        """Float masters, quantised in the graph."""
        codes, step = self.quantize(x)
        weight = self.const(name, masters)
        mean = self.add("ReduceMean", self.add("Abs", weight), keepdims=1)
        beta = self.add("Clip", self.add("Squeeze", mean), 1e-5)
        trits = self.add("Clip", self.add("Round", self.add("Div", weight, beta)), -1.0, 1.0)
        return self.add("Gemm", self.add("Div", codes, step), self.add("Mul", trits, beta), transB=1)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, self.initializers)
        domains = {node.domain: 1 for node in self.nodes} | {"": self.opset}
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return onnx.shape_inference.infer_shapes(model)

    def save(self, folder: Path) -> Path:
        path = folder / "net.onnx"
        onnx.save(self.model(), str(path))
        return path


def scrambled(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The same graph under other names: nodes, tensors, initialisers, inputs, outputs, graph."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.metadata_props[:]
    generator = random.Random(seed)
    names: dict[str, str] = {"": ""}

    def rename(name: str) -> str:
        return names.setdefault(name, f"t{generator.getrandbits(40):x}")

    graph = result.graph
    graph.name = rename(graph.name)
    for node in graph.node:
        node.name = f"n{generator.getrandbits(40):x}"
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
    for named in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        named.name = rename(named.name)
    return result


def shuffled(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The same graph with its nodes in another topological order."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    generator = random.Random(seed)
    known = {value.name for value in (*result.graph.input, *result.graph.initializer)} | {""}
    waiting = list(result.graph.node)
    order: list[onnx.NodeProto] = []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        chosen = generator.choice(ready)
        waiting.remove(chosen)
        known.update(chosen.output)
        order.append(chosen)
    del result.graph.node[:]
    result.graph.node.extend(order)
    return result


def tensor_names(model: onnx.ModelProto) -> Iterable[str]:
    return (name for node in model.graph.node for name in node.output)
