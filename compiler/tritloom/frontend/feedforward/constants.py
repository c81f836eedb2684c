"""Constant values of the graph, computed as the graph says: weights behind their encodings are plain arrays here.

Every spelling of a ternary weight (stored, dequantised, rounded masters, Quant) comes out as the same {-s, 0, +s}.
Means are summed in float64, as for all weights; straight-through residues are taken for what they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..constants import constant_from
from ..contrib import PACKED, QONNX
from ..encodings import Packed
from ..folding import constant_node, evaluate
from ..graph import Graph, int_attribute
from ..ternary import TIE

Array = NDArray[Any]

CHANNELS_LAST: Final = "qonnx.custom_op.channels_last"
FINN: Final = frozenset({"finn.custom_op.general", "qonnx.custom_op.general"})


def _half_up(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.floor(np.abs(values) + values.dtype.type(0.5)))


def _half_down(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.ceil(np.abs(values) - values.dtype.type(0.5)))


def _away(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.ceil(np.abs(values)))


ROUNDINGS: Final[Mapping[str, tuple[str, Callable[[Array], Array]]]] = {
    "ROUND": ("half_even", np.rint),
    "HALF_EVEN": ("half_even", np.rint),
    "CEIL": ("ceil", np.ceil),
    "FLOOR": ("floor", np.floor),
    "UP": ("away", _away),
    "DOWN": ("to_zero", np.trunc),
    "ROUND_TO_ZERO": ("to_zero", np.trunc),
    "HALF_UP": ("half_away", _half_up),
    "HALF_DOWN": ("half_to_zero", _half_down),
}
"""QONNX's rounding modes: ours, and as functions."""


def code_range(bits: float, signed: bool, narrow: bool) -> tuple[int, int] | None:
    """Smallest and largest code of a QONNX quantiser; None where `bits` is no width."""
    if bits != int(bits) or not 1 <= bits <= 32:
        return None
    width = int(bits)
    if signed:
        return -(1 << width - 1) + narrow, (1 << width - 1) - 1
    return 0, (1 << width) - 1 - narrow


def rounding_of(node: ir.Node, default: str = "ROUND") -> str:
    """A node's rounding mode, in capitals."""
    mode = node.attributes.get("rounding_mode")
    return (mode.as_string() if mode is not None else default).upper()


_GROWING: Final = frozenset({"ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "Upsample", "OneHot"})
"""Operators whose result has a size that an operand states."""
_LARGEST: Final = 1 << 28
_MOST_INPUTS: Final = 6
"""Of what is evaluated here; those that are not given are None."""


def _claimed(inputs: list[Array | None]) -> float:
    """At least as many elements as a growing operator makes: all of its sizes multiplied."""
    sizes = [np.abs(values.astype(np.float64)) for values in inputs if values is not None and values.size <= 64]
    stored = max((values.size for values in inputs if values is not None), default=1)
    return stored * float(np.prod([np.prod(np.maximum(size, 1)) for size in sizes]))


class Constants:
    """Arrays by value, computed on first use."""

    def __init__(self, graph: Graph, shapes: Callable[[ir.Value], tuple[int, ...] | None]) -> None:
        self._graph = graph
        self._shapes = shapes
        self._arrays: dict[ir.Value, Array | None] = {}
        self.near_ties: dict[str, int] = {}
        """Weights rounded here, and how many of their codes lie next to a tie."""
        self.opset = graph.model.opset_imports.get("", 20)
        self._fixed = self._find()

    def _find(self) -> set[ir.Value]:
        found = set(self._graph.constants)
        for node in self._graph.model.graph:
            given = [value for value in node.inputs if value is not None]
            if node.op_type == "Constant" or (given and all(value in found for value in given)):
                found.update(node.outputs)
        return found

    def __contains__(self, value: ir.Value) -> bool:
        if value in self._fixed:
            return True
        node = value.producer()
        if node is not None and not node.domain and node.op_type in ("Shape", "Size"):
            return node.inputs[0] is not None and self._shapes(node.inputs[0]) is not None
        if node is None or not node.inputs:
            return False
        if all(operand is None or operand in self for operand in node.inputs):
            self._fixed.update(node.outputs)
            return True
        return False

    def __getitem__(self, value: ir.Value) -> Array:
        """The array.

        Raises:
            ValueError: its node cannot be evaluated.
        """
        value = self._graph.residues.get(value, value)
        if value not in self._arrays:
            self._compute(value)
        array = self._arrays[value]
        if array is None:
            raise ValueError(f"'{value.name}' cannot be evaluated")
        return array

    def root(self, value: ir.Value) -> str:
        """Name of the largest initialiser that a constant is computed from."""
        stored = [v for v in _behind(value) if v in self._graph.constants]
        largest = max(stored, key=lambda v: self._graph.constants[v].size, default=value)
        return largest.name or value.name or "weight"

    def _compute(self, value: ir.Value) -> None:
        if (constant := self._graph.constants.get(value)) is not None:
            array = constant.load()
            # int2 and int4 are ml_dtypes: numpy computes with them, onnx's evaluator does not.
            narrow = constant.dtype.is_integer() and constant.dtype.bitwidth < 8
            self._arrays[value] = array.astype(np.int8 if constant.dtype.is_signed() else np.uint8) if narrow else array
            return
        node = value.producer()
        if node is None:
            self._arrays[value] = None
            return
        if node.op_type == "Constant":
            stored = constant_node(node)
            self._arrays[value] = stored.load() if stored is not None else None
            return
        for output, result in zip(node.outputs, self._evaluated(node), strict=True):
            self._arrays[output] = result

    def _evaluated(self, node: ir.Node) -> list[Array]:
        if not node.domain and node.op_type in ("Shape", "Size") and node.inputs[0] not in self._fixed:
            return [self._shape(node)]
        inputs = [None if operand is None else self[operand] for operand in node.inputs]
        if node.op_type in _GROWING and _claimed(inputs) > _LARGEST:
            raise ValueError("its result is too large")
        own = _EVALUATED.get((node.domain, node.op_type))
        if own is not None:
            return [own(node, [*inputs, *[None] * (_MOST_INPUTS - len(inputs))])]
        if node.op_type == "Round" and inputs[0] is not None:
            self._count_ties(node, inputs[0])
        return evaluate(node, inputs, self.opset)

    def _shape(self, node: ir.Node) -> Array:
        source = node.inputs[0]
        shape = self._shapes(source) if source is not None else None
        if shape is None:
            raise ValueError("the shape is not known")
        if node.op_type == "Size":
            return np.asarray(np.prod(shape, dtype=np.int64))
        end = int_attribute(node, "end", len(shape))
        return np.asarray(shape[int_attribute(node, "start", 0) : end], np.int64)

    def _count_ties(self, node: ir.Node, values: Array) -> None:
        """Masters that a mean summed in another order might round otherwise."""
        operand = node.inputs[0]
        if operand is None or values.size < 2 or not _holds_mean(operand):
            return
        ties = int(np.count_nonzero(np.abs(np.abs(values.astype(np.float64)) - 0.5) < TIE))
        if ties:
            self.near_ties[self.root(operand)] = ties


def _behind(value: ir.Value) -> list[ir.Value]:
    """A value and all that it is computed from."""
    found, seen = [value], {value}
    for current in found:
        node = current.producer()
        new = [v for v in (node.inputs if node is not None else ()) if v is not None and v not in seen]
        seen.update(new)
        found += new
    return found


def _holds_mean(value: ir.Value) -> bool:
    """Whether a mean goes into a value."""
    nodes = (v.producer() for v in _behind(value))
    return any(node is not None and node.op_type == "ReduceMean" for node in nodes)


def _parameter(values: Array, shape: tuple[int, ...], axis: int, block: int) -> Array:
    """A scale or zero point of (De)QuantizeLinear, broadcast: one, one an index of `axis`, or one a block of it."""
    if values.size == 1:
        return values.reshape(())
    if values.ndim == 1:
        return values.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    size = shape[axis]
    block = block or -(-size // values.shape[axis])
    return np.asarray(np.take(np.repeat(values, block, axis), np.arange(size), axis))


def _dequantize_linear(node: ir.Node, inputs: list[Array | None]) -> Array:
    codes, scale = inputs[0], inputs[1]
    if codes is None or scale is None:
        raise ValueError("an operand is missing")
    axis, block = int_attribute(node, "axis", 1), int_attribute(node, "block_size", 0)
    wide = codes.astype(np.int32)
    if inputs[2] is not None:
        wide = wide - _parameter(inputs[2].astype(np.int32), codes.shape, axis, block)
    return np.asarray(wide.astype(np.float32) * _parameter(scale.astype(np.float32), codes.shape, axis, block))


def _quantize_linear(node: ir.Node, inputs: list[Array | None]) -> Array:
    values, scale = inputs[0], inputs[1]
    if values is None or scale is None:
        raise ValueError("an operand is missing")
    dtype = node.outputs[0].dtype
    zero = inputs[2]
    if dtype is None:
        dtype = ir.DataType.from_numpy(zero.dtype) if zero is not None else ir.DataType.UINT8
    low, high = integer_limits(dtype)
    axis, block = int_attribute(node, "axis", 1), int_attribute(node, "block_size", 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        codes = np.rint(values.astype(np.float32) / _parameter(scale.astype(np.float32), values.shape, axis, block))
    if zero is not None:
        codes = codes + _parameter(zero.astype(np.float32), values.shape, axis, block)
    return np.asarray(np.clip(codes, low, high), np.int8 if low < 0 else np.uint8)


def integer_limits(dtype: ir.DataType) -> tuple[int, int]:
    """Smallest and largest code of an integer type of at most 8 bits.

    Raises:
        ValueError: it is none.
    """
    if not dtype.is_integer() or dtype.bitwidth > 8:
        raise ValueError(f"{dtype.name} is no type of codes")
    bits = dtype.bitwidth
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.is_signed() else (0, (1 << bits) - 1)


def _quant(node: ir.Node, inputs: list[Array | None]) -> Array:
    """qonnx's int_quant, in float32."""
    values, scale, zero, width = inputs[:4]
    if values is None or scale is None or zero is None or width is None or width.size != 1:
        raise ValueError("an operand is missing, or there are several bit widths")
    signed, narrow = int_attribute(node, "signed", 1), int_attribute(node, "narrow", 0)
    limits = code_range(float(width.reshape(-1)[0]), bool(signed), bool(narrow))
    rounding = rounding_of(node)
    if limits is None or rounding not in ROUNDINGS:
        raise ValueError(f"bit width {width.reshape(-1)[0]} or rounding mode {rounding} is unknown")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        codes = values.astype(np.float32) / scale.astype(np.float32) + zero.astype(np.float32)
    if signed and limits[1] == 0:
        codes = np.where(codes >= 0, np.float32(1), np.float32(-1))
    else:
        codes = ROUNDINGS[rounding][1](np.clip(codes, limits[0], limits[1]))
    return np.asarray((codes - zero.astype(np.float32)) * scale.astype(np.float32))


def _bipolar(node: ir.Node, inputs: list[Array | None]) -> Array:
    values, scale = inputs[0], inputs[1]
    if values is None or scale is None:
        raise ValueError("an operand is missing")
    return np.asarray(np.where(values >= 0, np.float32(1), np.float32(-1)) * scale.astype(np.float32))


def _mean(node: ir.Node, inputs: list[Array | None]) -> Array:
    """ReduceMean, summed in float64."""
    values = inputs[0]
    if values is None:
        raise ValueError("an operand is missing")
    given = node.attributes.get("axes")
    axes = list(given.as_ints()) if given is not None else None
    if axes is None and inputs[1] is not None:
        axes = [int(axis) for axis in inputs[1].reshape(-1)]
    if not axes and int_attribute(node, "noop_with_empty_axes", 0):
        return values
    keep = bool(int_attribute(node, "keepdims", 1))
    mean = values.astype(np.float64).mean(axis=tuple(axes) if axes else None, keepdims=keep)
    return np.asarray(mean, values.dtype)


def _unpacked(node: ir.Node, inputs: list[Array | None]) -> Array:
    """The matrix [K, N] of a MatMulNBits."""
    packed, step, zero = inputs[:3]
    if packed is None or step is None:
        raise ValueError("an operand is missing")
    bits, block, rows, cols = (int_attribute(node, name, 0) for name in ("bits", "block_size", "N", "K"))
    if bits not in (2, 4, 8) or block < 1:
        raise ValueError(f"codes of {bits} bits in blocks of {block}")
    constants = [constant_from("packed", values) if values is not None else None for values in (packed, step, zero)]
    if constants[0] is None or constants[1] is None:
        raise ValueError("an operand is missing")
    encoding = Packed(bits, block, rows, cols, constants[1], constants[2])
    scale = np.repeat(step.reshape(rows, -1), block, axis=1)[:, :cols]
    return np.asarray((encoding.codes(constants[0]) * scale.astype(np.float32)).T)


_EVALUATED: Final[dict[tuple[str, str], Callable[[ir.Node, list[Array | None]], Array]]] = {
    ("", "DequantizeLinear"): _dequantize_linear,
    ("", "QuantizeLinear"): _quantize_linear,
    ("", "ReduceMean"): _mean,
    **{(domain, op): _quant for domain in QONNX for op in ("Quant", "IntQuant")},
    **{(domain, "BipolarQuant"): _bipolar for domain in QONNX},
    (PACKED, "UnpackBits"): _unpacked,
}
