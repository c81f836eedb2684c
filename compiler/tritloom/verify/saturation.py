"""Integer products that onnxruntime sums exactly on every processor.

Its kernels for x64 processors without VNNI add pairs of products of a uint8 and an int8 in 16 bits, which saturate
where the int8 are larger than 64 (its documentation of quantisation says so, and to shift the weights to uint8, as its
own optimiser does where it is told to). Ternary weights stored as -127, 0, 127 are such weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

LARGEST: Final = 64
"""Twice this times 255 is less than 2^15."""


@dataclass(frozen=True)
class _Operands:
    """Where a product has its activations and their zero point, its weights and theirs."""

    activations: int
    weight: int
    zero: int
    weight_zero: int


_PRODUCTS: Final = {
    "MatMulInteger": _Operands(0, 1, 2, 3),
    "ConvInteger": _Operands(0, 1, 2, 3),
    "QLinearMatMul": _Operands(0, 3, 2, 5),
    "QLinearConv": _Operands(0, 3, 2, 5),
    "QGemm": _Operands(0, 3, 2, 5),
    "MatMulIntegerToFloat": _Operands(0, 1, 4, 5),
    "DynamicQuantizeMatMul": _Operands(0, 1, -1, 3),
}


def unsaturated(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with large constant int8 weights of products with uint8 activations as uint8, the zero point shifted as
    well, in place. The weights must be loaded."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    types = _types(graph)
    shifted: dict[str, str] = {}
    for node in graph.node:
        where = _PRODUCTS.get(node.op_type)
        if where is None or not _multiplies_bytes(node, where, types):
            continue
        weight = constants.get(node.input[where.weight])
        if weight is None or weight.data_type != TensorProto.INT8:
            continue
        given = node.input[where.weight_zero] if len(node.input) > where.weight_zero else ""
        if np.abs(numpy_helper.to_array(weight).astype(np.int16)).max(initial=0) <= LARGEST or (
            given and given not in constants
        ):
            continue
        zero = constants.get(given) or numpy_helper.from_array(np.asarray(0, np.int8), "tritloom.zero")
        node.input.extend([""] * (where.weight_zero + 1 - len(node.input)))
        for index, tensor in ((where.weight, weight), (where.weight_zero, zero)):
            if tensor.name not in shifted:
                shifted[tensor.name] = f"{tensor.name}/uint8"
                values = (numpy_helper.to_array(tensor).astype(np.int16) + 128).astype(np.uint8)
                graph.initializer.append(numpy_helper.from_array(values, shifted[tensor.name]))
            node.input[index] = shifted[tensor.name]
    return model


def _multiplies_bytes(node: onnx.NodeProto, where: _Operands, types: dict[str, int]) -> bool:
    """Whether the activations are uint8."""
    if where.zero < 0:
        return True
    zero = node.input[where.zero] if len(node.input) > where.zero else ""
    return types.get(zero or node.input[where.activations]) == TensorProto.UINT8


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    """Element types of integer tensors: those of constants, inputs and quantisers, and what only moves them."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            types |= {node.output[0]: TensorProto.UINT8, node.output[2]: TensorProto.UINT8}
        elif node.op_type in ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "Cast"):
            types[node.output[0]] = _result_type(node, types)
        elif node.output and node.input and node.input[0] in types:
            types.setdefault(node.output[0], types[node.input[0]])
    return types


def _result_type(node: onnx.NodeProto, types: dict[str, int]) -> int:
    for attribute in node.attribute:
        if attribute.name in ("to", "output_dtype") and attribute.i:
            return int(attribute.i)
    zero = {"QuantizeLinear": 2, "QLinearConv": 7, "QLinearMatMul": 7}.get(node.op_type, len(node.input))
    return types.get(node.input[zero], TensorProto.UINT8) if len(node.input) > zero else TensorProto.UINT8
