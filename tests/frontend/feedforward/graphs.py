"""Small nets in ONNX, written node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
QONNX = "qonnx.custom_op.general"


@dataclass
class Graph:
    """A graph under construction. Methods return the name of the value that they add."""

    opset: int = 21
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def const(self, values: Array | float | Sequence[float], name: str = "") -> str:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.constants.append(numpy_helper.from_array(array, name or f"c{len(self.constants)}"))
        return self.constants[-1].name

    def packed(self, values: Array, kind: int) -> str:
        """Integers of less than a byte."""
        self.constants.append(helper.make_tensor(f"c{len(self.constants)}", kind, values.shape, values.reshape(-1)))
        return self.constants[-1].name

    def add(self, op: str, *inputs: Any, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        names = [value if isinstance(value, str) else self.const(value) for value in inputs]
        results = [f"v{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(
            helper.make_node(op, names, results, name=f"{op}_{len(self.nodes)}", domain=domain, **attributes)
        )
        return results[0]

    def input(self, shape: Sequence[int | str], kind: int = TensorProto.FLOAT, name: str = "x") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value: str, name: str = "y", kind: int = TensorProto.FLOAT, rank: int = 2) -> Graph:
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"output_{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, kind, [f"{name}{axis}" for axis in range(rank)]))
        return self

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, self.constants)
        domains = {node.domain: 1 for node in self.nodes} | {"": self.opset}
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10 if self.opset < 25 else 13)
        return onnx.shape_inference.infer_shapes(model)

    # Quantisers

    def quantised(self, x: str, scale: Array | float, zero: int = 0, bits: int = 8, signed: bool = False) -> str:
        """QuantizeLinear, Clip where there are less than 8 bits, DequantizeLinear."""
        kind = np.int8 if signed else np.uint8
        step, offset = self.const(np.float32(scale)), self.const(kind(zero))
        codes = self.add("QuantizeLinear", x, step, offset)
        if bits < 8:
            low = -(1 << bits - 1) if signed else 0
            codes = self.add("Clip", codes, kind(low), kind(low + (1 << bits) - 1))
        return self.add("DequantizeLinear", codes, step, offset)

    def image(self, shape: Sequence[int | str], scale: float = 1 / 255, zero: int = 0) -> str:
        """A uint8 input and its values."""
        x = self.input(shape, TensorProto.UINT8)
        return self.add("DequantizeLinear", x, np.float32(scale), np.uint8(zero))


def random_trits(*shape: int, seed: int = 0) -> NDArray[np.int8]:
    """Trits of which no row is all zeros."""
    trits = np.random.default_rng(seed).integers(-1, 2, shape).astype(np.int8)
    trits.reshape(shape[0], -1)[:, 0] = 1
    return trits


def random_bytes(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
