"""Damage to a graph's structure, for fuzzing the import."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import onnx
from onnx import AttributeProto, TensorProto

OPERATORS: Final = (
    "Add Clip Gemm Split Reshape Gather If Pow Round Cast Transpose DequantizeLinear QuantizeLinear MatMulInteger"
    " ReduceMax Max Sub SimplifiedLayerNormalization Identity Squeeze Concat Div LayerNormalization Gelu CastLike"
    " DynamicQuantizeLinear SplitToSequence SequenceAt QLinearMatMul QLinearAdd"
).split()
DOMAINS: Final = ("", "com.microsoft", "onnx.brevitas", "qonnx.custom_op.general", "my.ops")
SIZES: Final = (0, 1, 2, 3, -1, 7, 2**31, 10**12, 2**62)
KINDS: Final = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT64, TensorProto.UINT4, TensorProto.FLOAT16)
Mutation = Callable[[onnx.ModelProto, random.Random], None]


def _node(model: onnx.ModelProto, random: random.Random) -> onnx.NodeProto:
    return random.choice(model.graph.node)


def _names(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    values = (*graph.initializer, *graph.input)
    return [*(name for node in graph.node for name in node.output), *(value.name for value in values), ""]


def drop(model: onnx.ModelProto, random: random.Random) -> None:
    model.graph.node.remove(_node(model, random))


def rewire(model: onnx.ModelProto, random: random.Random) -> None:
    node = _node(model, random)
    if node.input:
        node.input[random.randrange(len(node.input))] = random.choice(_names(model))


def bypass(model: onnx.ModelProto, random: random.Random) -> None:
    """A valid graph of other structure: whoever read a node's result reads its operand."""
    node = _node(model, random)
    source, result = (node.input[0] if node.input else ""), node.output[0]
    for other in model.graph.node:
        other.input[:] = [source if name == result else name for name in other.input]


def cycle(model: onnx.ModelProto, random: random.Random) -> None:
    node = _node(model, random)
    if node.input:
        node.input[0] = node.output[0]


def duplicate(model: onnx.ModelProto, random: random.Random) -> None:
    model.graph.node.insert(random.randrange(len(model.graph.node)), _node(model, random))


def operator(model: onnx.ModelProto, random: random.Random) -> None:
    _node(model, random).op_type = random.choice(OPERATORS)


def domain(model: onnx.ModelProto, random: random.Random) -> None:
    _node(model, random).domain = random.choice(DOMAINS)


def attribute(model: onnx.ModelProto, random: random.Random) -> None:
    node = _node(model, random)
    if not node.attribute:
        node.attribute.append(onnx.helper.make_attribute(random.choice(["axis", "to", "transB"]), random.choice(SIZES)))
        return
    chosen = random.choice(node.attribute)
    if chosen.type == AttributeProto.INT:
        chosen.i = random.choice(SIZES)
    elif chosen.type == AttributeProto.INTS and chosen.ints:
        chosen.ints[0] = random.choice(SIZES)
    else:
        node.attribute.remove(chosen)


def dimension(model: onnx.ModelProto, random: random.Random) -> None:
    tensors = [tensor for tensor in model.graph.initializer if tensor.dims]
    if tensors:
        dims = random.choice(tensors).dims
        dims[random.randrange(len(dims))] = random.choice(SIZES)


def declared(model: onnx.ModelProto, random: random.Random) -> None:
    """A declared shape of an input, an output or a value between."""
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    dims = random.choice(values).type.tensor_type.shape.dim
    if dims:
        random.choice(dims).dim_value = random.choice(SIZES)


def element_type(model: onnx.ModelProto, random: random.Random) -> None:
    random.choice(model.graph.initializer).data_type = random.choice(KINDS)


def values(model: onnx.ModelProto, random: random.Random) -> None:
    tensor = random.choice(model.graph.initializer)
    data = bytearray(tensor.raw_data)
    for _ in range(min(len(data), random.choice([1, 4, 64]))):
        data[random.randrange(len(data))] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
    tensor.raw_data = bytes(data)


def opset(model: onnx.ModelProto, random: random.Random) -> None:
    model.opset_import[0].version = random.choice([1, 11, 13, 17, 21, 23, 25, 99])


def unstated(model: onnx.ModelProto, random: random.Random) -> None:
    del model.graph.value_info[:]


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(drop, rewire, bypass, cycle, duplicate, operator, domain, attribute, dimension, declared, element_type),
    *(values, opset, unstated),
)


def mutated(model: onnx.ModelProto, seed: int) -> bytes:
    """A model with one to three mutations, and sometimes flipped bytes."""
    result, generator = onnx.ModelProto(), random.Random(seed)
    result.CopyFrom(model)
    for _ in range(generator.randint(1, 3)):
        generator.choice(MUTATIONS)(result, generator)
    content = bytearray(result.SerializeToString())
    for _ in range(generator.choice([0, 0, 0, 0, 3])):
        content[generator.randrange(len(content))] = generator.randrange(256)
    return bytes(content)
