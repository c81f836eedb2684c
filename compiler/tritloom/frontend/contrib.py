"""Operators of other domains, rewritten into standard ones before anything is matched, or given their shape.

onnxruntime's optimiser and its LLM builder write SimplifiedLayerNormalization (in the default domain),
SkipSimplifiedLayerNormalization, QuickGelu and MatMulNBits; QONNX and brevitas write Quant, IntQuant and BipolarQuant.
onnx infers no shapes for them, and everything behind them would be unknown. A GRU is written out here, too, and so is
what unoptimised exports of torch leave of its function library (CastLike, sequences of parts). A new one is a function
and a line in the table below.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .graph import float_attribute, input_at, int_attribute, static_shape
from .gru import write_out_gru
from .quantised_table import quantised_table
from .stacked import constant_numbers

MICROSOFT: Final = "com.microsoft"
QONNX: Final = frozenset({"onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general"})
PACKED: Final = "tritloom.packed"
"""Domain of the one operator of our own: the matrix [K, N] of a MatMulNBits."""
UNCHECKED: Final = frozenset({"SimplifiedLayerNormalization", "SwiGLU"})
"""Operators of the default domain that onnx may not know: onnxruntime's own, and opset 28's."""

Outputs = Sequence[ir.Value]


class _Builder:
    """Standard nodes in the place of one other; they bear its name."""

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        self.node = node
        self.graph = model.graph
        self.opset = model.opset_imports.get("", 20)
        self.nodes: list[ir.Node] = []

    def add(self, op: str, *inputs: ir.Value, domain: str = "", **attributes: object) -> ir.Value:
        node = ir.node(op, inputs, attributes, domain=domain, name=self.node.name)  # type: ignore[arg-type]
        output = node.outputs[0]
        output.name = f"{self.node.outputs[0].name}.{len(self.nodes)}"
        self.nodes.append(node)
        return output

    def add_several(self, op: str, outputs: int, *inputs: ir.Value) -> Sequence[ir.Value]:
        """A node with several outputs."""
        node = ir.Node("", op, inputs, num_outputs=outputs, name=self.node.name)
        for index, output in enumerate(node.outputs):
            output.name = f"{self.node.outputs[0].name}.{len(self.nodes)}.{index}"
        self.nodes.append(node)
        return node.outputs

    def stored(self, suffix: str, values: NDArray[Any]) -> ir.Value:
        """An initialiser named after the node."""
        name = f"{self.node.name or self.node.outputs[0].name}.{suffix}"
        value = ir.Value(name=name, type=ir.TensorType(ir.DataType.from_numpy(values.dtype)))
        value.shape, value.const_value = ir.Shape(values.shape), ir.tensor(values, name=name)
        self.graph.register_initializer(value)
        return value

    def constant(self, values: float | list[int]) -> ir.Value:
        array = np.asarray(values, np.float32 if isinstance(values, float) else np.int64)
        return self.add("Constant", value=ir.tensor(array))

    def mean(self, x: ir.Value) -> ir.Value:
        if self.opset < 18:
            return self.add("ReduceMean", x, axes=[-1], keepdims=1)
        return self.add("ReduceMean", x, self.constant([-1]), keepdims=1)

    def rms_norm(self, x: ir.Value, gain: ir.Value, eps: float) -> ir.Value:
        root = self.add("Sqrt", self.add("Add", self.mean(self.add("Mul", x, x)), self.constant(eps)))
        return self.add("Mul", self.add("Div", x, root), gain)


Rewrite = Callable[[_Builder, ir.Node], dict[int, ir.Value] | None]


def _given(node: ir.Node, index: int) -> ir.Value | None:
    """An output that something uses."""
    if index >= len(node.outputs):
        return None
    output = node.outputs[index]
    return output if output.uses() or output.is_graph_output() else None


def _norm(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    x, gain = input_at(node, 0), input_at(node, 1)
    if x is None or gain is None or _given(node, 1) is not None or int_attribute(node, "axis", -1) != -1:
        return None
    return {0: builder.rms_norm(x, gain, float_attribute(node, "epsilon", 1e-5))}


def _skip_norm(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """norm(x + skip + bias); the sum is the fourth output."""
    x, skip, gain, bias = (input_at(node, index) for index in range(4))
    if x is None or skip is None or gain is None or _given(node, 1) is not None or _given(node, 2) is not None:
        return None
    total = builder.add("Add", x, skip)
    total = total if bias is None else builder.add("Add", total, bias)
    normed = builder.rms_norm(total, gain, float_attribute(node, "epsilon", 1e-5))
    return {0: normed, 3: total} if len(node.outputs) > 3 else {0: normed}


def _skip_layer_norm(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """LayerNormalization(x + skip + bias); the sum is the fourth output."""
    x, skip, gain, beta, bias = (input_at(node, index) for index in range(5))
    if x is None or skip is None or gain is None or _given(node, 1) is not None or _given(node, 2) is not None:
        return None
    total = builder.add("Add", x, skip)
    total = total if bias is None else builder.add("Add", total, bias)
    operands = [value for value in (total, gain, beta) if value is not None]
    normed = builder.add("LayerNormalization", *operands, axis=-1, epsilon=float_attribute(node, "epsilon", 1e-12))
    return {0: normed, 3: total} if len(node.outputs) > 3 else {0: normed}


def _gelu(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """x * 0.5 * (1 + erf(x / sqrt(2))), of x or of x + bias."""
    x, bias = input_at(node, 0), input_at(node, 1)
    if x is None:
        return None
    x = x if bias is None else builder.add("Add", x, bias)
    gate = builder.add(
        "Add", builder.add("Erf", builder.add("Mul", x, builder.constant(0.5**0.5))), builder.constant(1.0)
    )
    return {0: builder.add("Mul", builder.add("Mul", x, gate), builder.constant(0.5))}


def _fast_gelu(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """x * 0.5 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))), of x or of x + bias."""
    x, bias = input_at(node, 0), input_at(node, 1)
    if x is None:
        return None
    x = x if bias is None else builder.add("Add", x, bias)
    cube = builder.add("Mul", builder.add("Mul", builder.add("Mul", x, x), x), builder.constant(0.044715))
    inner = builder.add("Mul", builder.add("Add", x, cube), builder.constant((2 / math.pi) ** 0.5))
    gate = builder.add("Add", builder.add("Tanh", inner), builder.constant(1.0))
    return {0: builder.add("Mul", builder.add("Mul", x, gate), builder.constant(0.5))}


def _swiglu(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """Swish_alpha(a) * b."""
    a, b, alpha = input_at(node, 0), input_at(node, 1), float_attribute(node, "alpha", 1.0)
    if a is None or b is None:
        return None
    scaled = a if alpha == 1.0 else builder.add("Mul", a, builder.constant(alpha))
    return {0: builder.add("Mul", builder.add("Mul", a, builder.add("Sigmoid", scaled)), b)}


def _integer_product(
    builder: _Builder, codes: ir.Value, matrix: ir.Value, zeros: Sequence[ir.Value | None]
) -> ir.Value:
    """MatMulInteger, as floats."""
    given = [zero for zero in zeros if zero is not None]
    return builder.add("Cast", builder.add("MatMulInteger", codes, matrix, *given), to=int(ir.DataType.FLOAT))


def _dynamic_product(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """DynamicQuantizeLinear, MatMulInteger and what rescales it."""
    x, matrix, scale, zero, bias = (input_at(node, index) for index in range(5))
    if x is None or matrix is None or scale is None:
        return None
    codes, step, code_of_zero = builder.add_several("DynamicQuantizeLinear", 3, x)
    sums = _integer_product(builder, codes, matrix, (code_of_zero, zero))
    result = builder.add("Mul", sums, builder.add("Mul", step, scale))
    return {0: result if bias is None else builder.add("Add", result, bias)}


def _product_to_float(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """MatMulInteger and what rescales it."""
    codes, matrix, step, scale, *zeros, bias = (input_at(node, index) for index in range(7))
    if codes is None or matrix is None or step is None or scale is None or (zeros[0] is None and zeros[1] is not None):
        return None
    result = builder.add("Mul", _integer_product(builder, codes, matrix, zeros), builder.add("Mul", step, scale))
    return {0: result if bias is None else builder.add("Add", result, bias)}


def _q_linear_mat_mul(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """MatMulInteger, what rescales it, and QuantizeLinear."""
    a, a_scale, a_zero, b, b_scale, b_zero, *grid = (input_at(node, index) for index in range(8))
    if a is None or b is None or a_scale is None or b_scale is None:
        return None
    sums = _integer_product(builder, a, b, (a_zero, b_zero))
    return _quantised(builder, builder.add("Mul", sums, builder.add("Mul", a_scale, b_scale)), grid)


def _q_linear(operator: str, operands: int) -> Rewrite:
    """DequantizeLinear of each operand, the operator, and QuantizeLinear."""

    def rewrite(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
        given = [input_at(node, index) for index in range(3 * operands + 2)]
        floats = []
        for first in range(0, 3 * operands, 3):
            codes, *grid = given[first : first + 3]
            if codes is None or grid[0] is None:
                return None
            floats.append(builder.add("DequantizeLinear", codes, *(value for value in grid if value is not None)))
        return _quantised(builder, builder.add(operator, *floats), given[3 * operands :])

    return rewrite


def _quantised(builder: _Builder, x: ir.Value, grid: Sequence[ir.Value | None]) -> dict[int, ir.Value] | None:
    """QuantizeLinear to the type of the zero point."""
    scale, zero = grid
    if scale is None or zero is None or zero.dtype is None:
        return None
    codes = builder.add("QuantizeLinear", x, scale, zero)
    codes.type = ir.TensorType(zero.dtype)
    return {0: codes}


def _quick_gelu(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """x * sigmoid(alpha * x)."""
    x, alpha = input_at(node, 0), float_attribute(node, "alpha", 1.702)
    if x is None:
        return None
    scaled = x if alpha == 1.0 else builder.add("Mul", x, builder.constant(alpha))
    return {0: builder.add("Mul", x, builder.add("Sigmoid", scaled))}


def _cast_like(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """A Cast to the other operand's type."""
    x, like = input_at(node, 0), input_at(node, 1)
    return None if x is None or like is None or like.dtype is None else {0: builder.add("Cast", x, to=int(like.dtype))}


def _sequence_at(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """The slice that a part of a SplitToSequence is."""
    sequence, index = input_at(node, 0), constant_numbers(input_at(node, 1))
    split = sequence.producer() if sequence is not None else None
    if split is None or split.op_type != "SplitToSequence" or split.domain or not index or index[0] < 0:
        return None
    x, lengths = input_at(split, 0), constant_numbers(input_at(split, 1))
    if x is None or not lengths or index[0] >= len(lengths) > 1:
        return None
    if len(lengths) == 1:
        lengths *= index[0] + 1
    start = sum(lengths[: index[0]])
    bounds = [[start], [start + lengths[index[0]]], [int_attribute(split, "axis", 0)]]
    return {0: builder.add("Slice", x, *(builder.constant(numbers) for numbers in bounds))}


def _mat_mul_bits(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """A product with a matrix of its own; a bias is added behind it. Act-order indices stay unsupported."""
    a, packed, scales, zeros, order, bias = (input_at(node, index) for index in range(6))
    rows, cols = int_attribute(node, "N", 0), int_attribute(node, "K", 0)
    if a is None or packed is None or scales is None or order is not None or min(rows, cols) < 1:
        return None
    bits, block = int_attribute(node, "bits", 4), int_attribute(node, "block_size", 0)
    operands = [value for value in (packed, scales, zeros) if value is not None]
    weight = builder.add("UnpackBits", *operands, domain=PACKED, bits=bits, block_size=block, N=rows, K=cols)
    weight.shape, weight.type = ir.Shape([cols, rows]), ir.TensorType(ir.DataType.FLOAT)
    product = builder.add("MatMul", a, weight)
    return {0: product if bias is None else builder.add("Add", product, bias)}


def _gather_quantised(builder: _Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """A row of a table of floats, computed when it is asked for."""
    table, index = quantised_table(node), input_at(node, 1)
    if table is None or index is None:
        return None
    shape = ir.Shape((table.codes.shape[0], table.columns))
    name = f"{table.codes.name}.dequantised"
    lazy = ir.LazyTensor(lambda: ir.tensor(table.floats()), dtype=ir.DataType.FLOAT, shape=shape, name=name)
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=shape, const_value=lazy)
    builder.graph.register_initializer(value)
    return {0: builder.add("Gather", value, index, axis=0)}


def _same_shape(builder: _Builder, node: ir.Node) -> None:
    """A quantiser's result is like its operand."""
    source, result = input_at(node, 0), node.outputs[0]
    if source is not None and static_shape(result) is None and source.shape is not None:
        result.shape, result.type = source.shape, ir.TensorType(ir.DataType.FLOAT)


_REWRITES: Final[dict[tuple[str, str], Rewrite]] = {
    ("", "SimplifiedLayerNormalization"): _norm,
    (MICROSOFT, "SimplifiedLayerNormalization"): _norm,
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): _skip_norm,
    (MICROSOFT, "SkipLayerNormalization"): _skip_layer_norm,
    (MICROSOFT, "QuickGelu"): _quick_gelu,
    (MICROSOFT, "Gelu"): _gelu,
    (MICROSOFT, "BiasGelu"): _gelu,
    (MICROSOFT, "FastGelu"): _fast_gelu,
    ("", "SwiGLU"): _swiglu,
    (MICROSOFT, "DynamicQuantizeMatMul"): _dynamic_product,
    (MICROSOFT, "MatMulIntegerToFloat"): _product_to_float,
    (MICROSOFT, "MatMulNBits"): _mat_mul_bits,
    (MICROSOFT, "GatherBlockQuantized"): _gather_quantised,
    ("", "QLinearMatMul"): _q_linear_mat_mul,
    (MICROSOFT, "QLinearAdd"): _q_linear("Add", 2),
    (MICROSOFT, "QLinearMul"): _q_linear("Mul", 2),
    (MICROSOFT, "QLinearSigmoid"): _q_linear("Sigmoid", 1),
    ("", "GRU"): write_out_gru,
    ("", "CastLike"): _cast_like,
    ("", "SequenceAt"): _sequence_at,
    **{(domain, op): _same_shape for domain in QONNX for op in ("Quant", "IntQuant", "BipolarQuant")},
}


STANDARD: Final = frozenset({"GRU"})
"""Operators that become others of onnx's own, so that the model stays one that any runtime takes."""


STEPS_ONLY: Final = frozenset({"QLinearMatMul", "QLinearAdd", "QLinearMul", "QLinearSigmoid"})
"""Operators that nets have as they are."""
WRITTEN_OUT: Final = frozenset({"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "SwiGLU", *STEPS_ONLY})
"""Operators of steps that are written out for onnxruntime too: so the codes and sums within are tensors that can be
compared, and it need not know them."""


def needs_types(model: ir.Model) -> bool:
    """Whether an operator of the table has operands of unknown type or shape, as the legacy exporter of torch leaves
    them."""
    operands = (value for node in model.graph if (node.domain, node.op_type) in _REWRITES for value in node.inputs)
    return any(value is not None and (value.shape is None or value.type is None) for value in operands)


def lower_contrib(model: ir.Model, only: Collection[str] | None = None) -> None:
    """Rewrite the operators of the table (`only` some, otherwise all that nets do not have), in place. What a function
    declines stays, and is refused by name later."""
    for node in list(model.graph):
        rewrite = _REWRITES.get((node.domain, node.op_type))
        wanted = node.op_type in only if only is not None else node.op_type not in STEPS_ONLY
        if rewrite is None or not node.outputs or not wanted:
            continue
        builder = _Builder(model, node)
        results = rewrite(builder, node)
        if results:
            _replace(model, node, builder.nodes, results)
    for node in list(model.graph):  # sequences without parts, whose types shape inference does not take
        unused = not any(output.uses() or output.is_graph_output() for output in node.outputs)
        if node.op_type == "SplitToSequence" and not node.domain and unused:
            model.graph.remove(node, safe=True)


def _replace(model: ir.Model, node: ir.Node, nodes: Sequence[ir.Node], results: dict[int, ir.Value]) -> None:
    """Put nodes in the place of one; their results take over name, type and users of its outputs."""
    old = [node.outputs[index] for index in results]
    new = list(results.values())
    for before, after in zip(old, new, strict=True):
        after.shape, after.type = before.shape, before.type or after.type or ir.TensorType(ir.DataType.FLOAT)
    for added in nodes:
        model.graph.opset_imports.setdefault(added.domain, 1)
    ir.convenience.replace_nodes_and_values(model.graph, node, [node], nodes, old, new)


def unique_names(model: ir.Model) -> None:
    """Number the nodes that share a name, as those of one that was written out do: onnxruntime wants names unique."""
    seen: Counter[str] = Counter()
    for node in model.graph:
        name = node.name or ""
        seen[name] += 1
        if name and seen[name] > 1:
            node.name = f"{name}.{seen[name]}"
