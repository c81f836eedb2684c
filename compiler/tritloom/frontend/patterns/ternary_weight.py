"""A ternary matrix as the operand of a product.

Accepted: an initialiser of trits (int2 to int32, float) or of {-s, 0, +s}, one s or one a row, behind Cast and
Transpose (torch, baked); float masters with absmean quantisation (torch dynamo: Abs, ReduceMean, Squeeze, Clip = beta;
Div, Round, Clip, Mul by beta; legacy: Reciprocal and Mul, then Div); masters rounded on a constant step;
DequantizeLinear, perhaps with Clip and QuantizeLinear in front (quantisers, brevitas QCDQ); Quant, IntQuant and
BipolarQuant (QONNX); the packed matrix of MatMulNBits (onnxruntime).
Not a row of the table: `linear` asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..constants import Constant
from ..contrib import PACKED, QONNX
from ..encodings import (
    ROUNDINGS,
    AsStored,
    Clamped,
    Dequantized,
    Encoding,
    Grid,
    Masters,
    Packed,
    Rounded,
    Signs,
    absmean,
)
from ..graph import Graph, input_at, int_attribute
from ..problems import Refusal
from ..scalars import ONE, Factor, bounded, scalar_factor
from ..ternary import TernarySource

_DEEPEST = 32
_ONE_SCALE = "use one scale for the tensor, or one for each output"


@dataclass(frozen=True)
class Matrix:
    """factor * T."""

    source: TernarySource
    factor: Factor = ONE


Found = Matrix | Refusal | None


@dataclass(frozen=True)
class AbsMean:
    """max(mean|W|, floor) of a constant: of all, or for each index of an axis of the stored W."""

    weights: Constant
    floor: float
    axis: int | None


def absmean_of(graph: Graph, value: ir.Value) -> AbsMean | None:
    """What mean of magnitudes a scalar, or a scale a row, is."""
    floor = bounded(graph, value)
    reduce = graph.producer(floor.value, "ReduceMean")
    if reduce is None or floor.high is not None:
        return None
    result = graph.shape(reduce.outputs[0])
    no_op = len(reduce.inputs) < 2 and "axes" not in reduce.attributes
    magnitude = graph.producer(graph.operands(reduce)[0], "Abs")
    if result is None or magnitude is None or (no_op and int_attribute(reduce, "noop_with_empty_axes", 0)):
        return None
    weights, flipped = _transposed_constant(graph, graph.operands(magnitude)[0])
    kept = [axis for axis, dim in enumerate(result) if dim != 1]
    if weights is None or len(weights.shape) != 2 or len(kept) > 1 or (kept and len(result) != 2):
        return None
    axis = None if not kept else 1 - kept[0] if flipped else kept[0]
    return AbsMean(weights, floor.low or 0.0, axis)


def _transposed_constant(graph: Graph, value: ir.Value) -> tuple[Constant | None, bool]:
    flipped = False
    for _ in range(_DEEPEST):
        if (transpose := graph.producer(value, "Transpose")) is None:
            break
        value, flipped = graph.operands(transpose)[0], not flipped
    return graph.constant(value), flipped


def ternary_matrix(graph: Graph, value: ir.Value, transposed: bool, depth: int = 0) -> Found:
    """The matrix that a value is; `transposed` where the product wants its transpose. Its values are not read yet."""
    value = graph.resolve(value)
    if (constant := graph.constants.get(value)) is not None:
        numeric = constant.dtype.is_floating_point() or constant.dtype.is_integer()
        return Matrix(TernarySource(constant, transposed)) if numeric and len(constant.shape) == 2 else None
    node = value.producer()
    if node is None or depth > _DEEPEST:
        return None
    for form in (_rounded, _clamped, _moved, _dequantized, _quant, _packed, _scaled):
        if (found := form(graph, value, node, transposed, depth + 1)) is not None:
            return found
    return None


def _moved(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    if graph.producer(value, "Cast") is not None:
        return ternary_matrix(graph, graph.operands(node)[0], transposed, depth)
    if graph.producer(value, "Transpose") is None:
        return None
    perm = node.attributes.get("perm")
    if perm is not None and list(perm.as_ints()) != [1, 0]:
        return None
    return ternary_matrix(graph, graph.operands(node)[0], not transposed, depth)


def _encoded(matrix: Matrix, encoding: Encoding) -> Matrix:
    return replace(matrix, source=replace(matrix.source, encoding=encoding))


def _unscaled(matrix: Found) -> Matrix | None:
    """A matrix of codes that nothing is multiplied to yet."""
    if isinstance(matrix, Matrix) and matrix.factor.trivial and not isinstance(matrix.source.encoding, Packed):
        inner = matrix.source.encoding
        return matrix if not isinstance(inner, Dequantized) or inner.step is None else None
    return None


def _clamped(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    bounds = bounded(graph, value)
    if bounds.value is value:
        return None
    matrix = _unscaled(ternary_matrix(graph, bounds.value, transposed, depth))
    if matrix is None:
        return None
    return _encoded(matrix, Clamped(matrix.source.encoding, bounds.low, bounds.high))


def _axis_of_scale(graph: Graph, matrix: ir.Value, scale: ir.Value) -> int | None:
    """Which axis of a matrix a scale runs along; -1 where it is one number; None where it fits none."""
    shape, dims = graph.shape(matrix), graph.shape(scale)
    if shape is None or dims is None or len(shape) != 2 or len(dims) > 2:
        return None
    if all(dim == 1 for dim in dims):
        return -1
    wide = (1,) * (2 - len(dims)) + dims
    fits = [axis for axis in (0, 1) if wide[axis] == shape[axis] and wide[1 - axis] == 1]
    return fits[0] if fits else None


def _scale_step(graph: Graph, value: ir.Value) -> tuple[ir.Value, ir.Value, int, int] | None:
    """(x, c, sign, axis) where a matrix is x * c or x / c, c a scalar (axis -1) or one along an axis."""
    node = graph.producer(value, "Mul", "Div")
    if node is None:
        return None
    for index, (x, c) in enumerate(graph.either_way(node)):
        if node.op_type == "Div" and index:
            break
        axis = _axis_of_scale(graph, x, c)
        if axis is not None and graph.shape(x) == graph.shape(value):
            return x, c, 1 if node.op_type == "Mul" else -1, axis
    return None


def _scaled(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    if (step := _scale_step(graph, value)) is None:
        return None
    x, scale, sign, axis = step
    matrix = ternary_matrix(graph, x, transposed, depth)
    if not isinstance(matrix, Matrix):
        return matrix
    if axis >= 0 and axis != (1 if transposed else 0):
        return Refusal(node, "its scale runs along the inputs of the weight", _ONE_SCALE)
    return replace(matrix, factor=matrix.factor.times(scalar_factor(graph, scale), sign))


def _rounded(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    """clamp(round(W * c), -1, 1), the clamp before or behind the rounding; c is 1/absmean(W), or constant."""
    outer = bounded(graph, value)
    if (rounding := graph.producer(outer.value, "Round")) is None:
        return None
    inner = bounded(graph, graph.operands(rounding)[0])
    if (outer.low, outer.high, inner.low, inner.high) not in ((-1, 1, None, None), (None, None, -1, 1), (-1, 1, -1, 1)):
        return None
    if (step := _scale_step(graph, inner.value)) is None:
        return None
    x, scale, sign, axis = step
    weights, flipped = _transposed_constant(graph, x)
    if weights is None or len(weights.shape) != 2:
        return None
    source = TernarySource(weights, transposed != flipped)
    if graph.constant(scale) is not None:
        grid = Grid(graph.constant(scale) or weights, axis if axis >= 0 else None, flipped)
        return Matrix(replace(source, encoding=Rounded(grid, -1.0, 1.0, reciprocal=sign > 0)))
    factor = Factor().times(scalar_factor(graph, scale), sign)
    if factor.coefficient != 1.0 or list(factor.powers.values()) != [-1]:
        return None
    mean = absmean_of(graph, next(iter(factor.powers)))
    if mean is None or mean.weights is not weights:
        return None
    return Matrix(replace(source, encoding=Masters(mean.floor, sign > 0, mean.axis)))


def _grid(graph: Graph, node: ir.Node, index: int, flipped: bool, axis: int | None) -> Grid | None:
    """A parameter of a quantiser, where it is constant."""
    constant = graph.constant(input_at(node, index))
    return Grid(constant, axis, flipped) if constant is not None else None


def _dequantized(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    """DequantizeLinear: (codes - zero) * step; QuantizeLinear: clamp(round(W / step) + zero)."""
    if graph.producer(value, "DequantizeLinear", "QuantizeLinear") is None:
        return None
    matrix = _unscaled(ternary_matrix(graph, graph.operands(node)[0], transposed, depth))
    if matrix is None:
        return None
    shape = graph.shape(node.outputs[0])
    axis = int_attribute(node, "axis", 1) % 2 if shape is not None and len(shape) == 2 else None
    flipped = matrix.source.transposed != transposed
    step, zero = _grid(graph, node, 1, flipped, axis), _grid(graph, node, 2, flipped, axis)
    if input_at(node, 2) is not None and zero is None:
        return Refusal(node, "its zero point is computed", "store the zero point as a constant")
    if node.op_type == "QuantizeLinear":
        limits = _limits(value.dtype)
        if step is None or limits is None:
            return Refusal(node, "it quantises weights on a step that is computed", "store the step as a constant")
        inner = matrix.source.encoding
        return _encoded(matrix, Rounded(step, *limits, zero, inner=inner))
    encoding = matrix.source.encoding
    if step is not None:
        return _encoded(matrix, Dequantized(encoding, step, zero))
    factor = scalar_factor(graph, graph.operands(node)[1])
    return replace(_encoded(matrix, Dequantized(encoding, None, zero)), factor=factor)


def _limits(dtype: ir.DataType | None) -> tuple[float, float] | None:
    """Smallest and largest code of an integer type."""
    if dtype is None or not dtype.is_integer():
        return None
    bits, signed = dtype.bitwidth, dtype.is_signed()
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)


def _quant(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    """QONNX: Quant and IntQuant of two bits, signed and narrow; BipolarQuant."""
    if graph.foreign(value, QONNX, "Quant", "IntQuant", "BipolarQuant") is None:
        return None
    matrix = _unscaled(ternary_matrix(graph, graph.operands(node)[0], transposed, depth))
    if matrix is None or not isinstance(matrix.source.encoding, AsStored):
        return None
    flipped = matrix.source.transposed != transposed
    step = _grid(graph, node, 1, flipped, None)
    if step is None:
        return Refusal(node, "its scale is computed", "store the scale as a constant")
    if node.op_type == "BipolarQuant":
        return _encoded(matrix, Dequantized(Signs(), step))
    zero, bits = _grid(graph, node, 2, flipped, None), graph.scalar(input_at(node, 3))
    signed, narrow = int_attribute(node, "signed", 1), int_attribute(node, "narrow", 0)
    mode = node.attributes.get("rounding_mode")
    rounding = mode.as_string().upper() if mode is not None else "ROUND"
    if bits != 2.0 or not signed or not narrow:
        width = "?" if bits is None else f"{bits:g}"
        told = f"its codes are not ternary (bit width {width}, signed {signed}, narrow {narrow})"
        return Refusal(node, told, "train with bit width 2, signed, narrow range: codes -1, 0, +1")
    if zero is None or rounding not in ROUNDINGS:
        return Refusal(node, "its zero point is computed, or its rounding mode unknown", "use 0 and ROUND")
    return _encoded(matrix, Dequantized(Rounded(step, -1.0, 1.0, zero, rounding=rounding), step, zero))


def _packed(graph: Graph, value: ir.Value, node: ir.Node, transposed: bool, depth: int) -> Found:
    """The matrix [K, N] of a MatMulNBits, stored as [N, blocks, bytes]."""
    if graph.foreign(value, (PACKED,), "UnpackBits") is None:
        return None
    codes, step, zero = (graph.constant(input_at(node, index)) for index in range(3))
    bits, block, rows, cols = (int_attribute(node, name, 0) for name in ("bits", "block_size", "N", "K"))
    if bits not in (2, 4, 8) or block < 1:
        return Refusal(node, f"its codes have {bits} bits in blocks of {block}", "use 2, 4 or 8 bits")
    if codes is None or step is None or (zero is None and input_at(node, 2) is not None):
        return Refusal(node, "its weights, scales or zero points are computed", "store them as constants")
    blocks = -(-cols // block)
    packed_zeros = rows * -(-blocks * bits // 8)
    fits = codes.size * 8 == rows * blocks * -(-block * bits // 8) * 8 and codes.dtype == ir.DataType.UINT8
    fits = fits and step.size == rows * blocks
    if zero is not None:
        fits = fits and zero.size == (packed_zeros if zero.dtype == ir.DataType.UINT8 else rows * blocks)
    if not fits:
        return Refusal(node, "the sizes of its weights, scales and zero points do not fit", "export it again")
    return Matrix(TernarySource(codes, not transposed, Packed(bits, block, rows, cols, step, zero)))


def scale_of_base(graph: Graph, base: ir.Value) -> NDArray[np.float64] | None:
    """The numbers that a base of a factor is, where it is constant: one, or one a row."""
    if (constant := graph.constant(base)) is not None:
        return constant.finite_vector().astype(np.float64)
    if (mean := absmean_of(graph, base)) is not None:
        return absmean(mean.weights.load(), mean.floor, mean.axis).astype(np.float64).reshape(-1)
    return None
