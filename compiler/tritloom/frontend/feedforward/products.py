"""Convolutions and dense products of codes by ternary weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ...errors import InputError
from ...ir.mlir import IntegerType
from ...ir.tern import Conv2dOp, DenseOp, Window, integer_for, is_signed, range_of
from ..constants import Constant
from ..graph import float_attribute, input_at, int_attribute
from ..ternary import TernarySource
from .constants import CHANNELS_LAST
from .context import Array, Net, Refused
from .forms import Form, Term, canonical
from .plain import FEWER_LEVELS, FLOATS, TWO_WAYS, plain, stand_in
from .rows import ONE, Row, at, exactly, row, times
from .tensors import Emitted, Tensor, TooManyLevels
from .windows import window_of

Trits = NDArray[np.int8]
_WIDEST_OPERAND = 16
POINT = Window([1, 1], [1, 1], [0, 0, 0, 0], [1, 1])
_WEIGHT_AT = {"Conv": 1, "Gemm": 1, "MatMul": 1}


@dataclass(frozen=True)
class Weight:
    """Trits of a layer, [filters, ...] as in ONNX, and the scale of each filter, or of all."""

    trits: Trits
    scale: Row
    name: str


def weight_of(net: Net, node: ir.Node, index: int, zero: Array | None = None, outputs_last: bool = False) -> Weight:
    """The constant operand `index` as trits and scales; its filters lie along its last axis if `outputs_last`.

    One that is not ternary is noted as a problem, and zeros take its place.

    Raises:
        Refused: it is computed at run time, or has no value.
    """
    value = input_at(node, index)
    if value is None or value not in net.constants:
        raise Refused("both of its operands are computed at run time", "one operand of a product is a constant weight")
    stored = net.constants[value]
    values: Array = np.asarray(stored) if zero is None else stored.astype(np.int32) - zero.astype(np.int32)
    if values.ndim < 2:
        raise Refused(f"its weight has shape {list(values.shape)}", "a weight has filters and their inputs")
    values = np.moveaxis(values, -1, 0) if outputs_last else values
    name = net.constants.root(value)
    flat = values.reshape(len(values), -1)
    constant = Constant(name, stored.shape, ir.DataType.from_numpy(flat.dtype), lambda: flat)
    try:
        trits, scale = TernarySource(constant, False).read()
    except InputError as error:
        net.refuse(node, error.message.replace("\n", "\n    "), error.hint)
        trits, scale = np.zeros(flat.shape, np.int8), 1.0
    return Weight(trits.reshape(values.shape), exactly(np.asarray(scale)), name)


def check_weight(net: Net, node: ir.Node) -> None:
    """Note the problems of a weight whose layer cannot be read."""
    if node.op_type in _WEIGHT_AT and not node.domain:
        weight_of(net, node, _WEIGHT_AT[node.op_type], outputs_last="MatMul" in node.op_type)


def _operand(net: Net, form: Form, node: ir.Node) -> tuple[Tensor, Row, Row, Form]:
    """The codes that a layer takes. Floats are noted as a problem, and the layer goes on without them."""
    try:
        found = plain(net, form, node)
        if found.terms[0].tensor.element.width.data > _WIDEST_OPERAND:
            raise Refused(FLOATS, TWO_WAYS)
    except Refused as refused:
        net.refuse(node, refused.reason, refused.instead)
        found = stand_in(form)
    except TooManyLevels as error:
        net.refuse(error.node, str(error), FEWER_LEVELS)
        found = stand_in(form)
    tensor, scale = found.terms[0]
    return tensor, scale, found.offset, found


def dense(net: Net, node: ir.Node, form: Form, weight: Weight) -> Form:
    """`weight @ value`: of a whole frame."""
    tensor, scale, offset, form = _operand(net, form, node)
    if len(scale) > 1:
        raise Refused("its activations have a scale for each channel", "use one activation scale for the tensor")
    filters, columns = weight.trits.shape
    if columns != form.index.size:
        raise Refused(f"its weight has {columns} columns for {form.index.size} values", "export the model again")
    trits = np.empty_like(weight.trits)
    trits[:, form.index.reshape(-1)] = weight.trits
    sums = row(_weighted(trits.reshape(filters, -1, form.channels).sum(axis=1, dtype=np.int64), offset))
    low, high = _range(trits, tensor.low, tensor.high)
    op = DenseOp(tensor.value(), net.builder.weight(weight.name, trits), filters, integer_for(low, high))
    value = net.builder.add(op, (node, *form.nodes))
    result = Emitted((filters,), _label(op), value, (low, high))
    return Form((Term(result, times(weight.scale, scale)),), np.arange(filters), times(sums, weight.scale))


def conv(net: Net, node: ir.Node, form: Form, weight: Weight, pointwise: bool = False) -> Form:
    """A convolution of [C, H, W] or [C, L]; a filter is [C / groups, kh, kw] or [C / groups, k].

    `pointwise` where the node is a product, without attributes of windows.
    """
    frame = form.index.shape
    if len(frame) not in (2, 3) or weight.trits.ndim != len(frame) + 1:
        raise Refused(f"it is a convolution over {len(frame) - 1} axes", "only 1-D and 2-D convolutions are supported")
    tensor, scale, offset, form = _operand(net, as_image(form), node)
    trits = weight.trits if len(frame) == 3 else weight.trits[:, :, np.newaxis]
    filters, per_group, *kernel = trits.shape
    groups = 1 if pointwise else int_attribute(node, "group", 1)
    height, width, channels = tensor_shape(form)
    if per_group * groups != channels or filters % groups:
        raise Refused(
            f"its weight takes {per_group} channels in each of {groups} groups, its operand has {channels}",
            "export the model again",
        )
    window = POINT if pointwise else window_of(node, (height, width), kernel, len(frame) - 1)
    by_group = _group_scales(scale, groups, channels, filters)
    pad = _pad_code(scale, offset, tensor.element) if window.padded else 0
    rows = np.ascontiguousarray(trits.transpose(0, 2, 3, 1)).reshape(filters, -1)
    by_channel = trits.sum(axis=(2, 3), dtype=np.int64)
    part = filters // groups
    sums = row(
        _weighted(by_channel[f : f + 1], _slice(offset, (f // part) * per_group, per_group))[0] for f in range(filters)
    )
    edges = (min(tensor.low, pad), max(tensor.high, pad)) if window.padded else (tensor.low, tensor.high)
    low, high = _range(rows, *edges)
    op = Conv2dOp(
        tensor.value(),
        net.builder.weight(weight.name, rows),
        filters,
        window,
        integer_for(low, high),
        groups,
        pad,
    )
    value = net.builder.add(op, (node, *form.nodes))
    rows_out, columns_out = window.output_size(height, width)
    result = Emitted((rows_out, columns_out, filters), _label(op), value, (low, high))
    places = canonical(result.shape)
    places = places if len(frame) == 3 else places[:, 0]
    return Form((Term(result, times(weight.scale, by_group)),), places, times(sums, weight.scale))


def tensor_shape(form: Form) -> tuple[int, int, int]:
    """Rows, columns and channels behind the pool."""
    height, width, channels = form.terms[0].tensor.shape
    return height, width, channels


def as_image(form: Form) -> Form:
    """The form as [C, H, W], where its elements lie so in their tensor.

    Raises:
        Refused: they lie otherwise.
    """
    index = form.index if form.index.ndim == 3 else form.index[:, np.newaxis]
    shape = (index.shape[1], index.shape[2], index.shape[0])
    if len(form.shape) != 3 or not np.array_equal(index, canonical(shape)):
        raise Refused(
            "its operand is no image of channels, rows and columns: it was reshaped or transposed",
            "keep the layout [N, C, H, W] from the first convolution to the Flatten",
        )
    return form.moved(index)


def _label(op: Conv2dOp | DenseOp) -> str:
    return str(op.weight.root_reference.data)


def _weighted(sums: NDArray[np.int64], offset: Row) -> list[Fraction]:
    """`sum_c sums[f][c] * offset[c]` of each filter."""
    if len(offset) == 1:
        return [int(total) * offset[0] for total in sums.sum(axis=1)]
    return [sum((int(n) * o for n, o in zip(line, offset, strict=True)), Fraction(0)) for line in sums]


def _slice(values: Row, start: int, count: int) -> Row:
    return values[start : start + count] if len(values) > 1 else values


def _group_scales(scale: Row, groups: int, channels: int, filters: int) -> Row:
    """The activations' scale of each filter: one in each group."""
    if len(scale) == 1:
        return scale
    size = channels // groups
    first = [scale[group * size] for group in range(groups)]
    if any(scale[c] != first[c // size] for c in range(channels)):
        raise Refused("its activations have a scale for each channel", "use one activation scale for the tensor")
    return row(first[f // (filters // groups)] for f in range(filters))


def _pad_code(scale: Row, offset: Row, element: IntegerType) -> int:
    """The code of 0 in all channels. A channel of scale 0 and offset 0 has no other value: any code will do there."""
    channels = [(at(scale, c), at(offset, c)) for c in range(max(len(scale), len(offset)))]
    codes = {-start / step for step, start in channels if step} or {Fraction(0)}
    code = codes.pop()
    low, high = range_of(element)
    never = any(start and not step for step, start in channels)
    if never or codes or code.denominator != 1 or not low <= code <= high:
        kind = "signed" if is_signed(element) else "unsigned"
        raise Refused(
            f"it pads with 0, which is no {element.width.data}-bit {kind} code of its operand",
            "use a quantiser whose zero point is an integer and the same for all channels, or no padding",
        )
    return int(code)


def _range(trits: Trits, low: int, high: int) -> tuple[int, int]:
    """Smallest and largest sum of any row."""
    ups, downs = (trits == 1).sum(axis=1), (trits == -1).sum(axis=1)
    return int((ups * low - downs * high).min()), int((ups * high - downs * low).max())


def with_bias(net: Net, node: ir.Node, index: int, form: Form, factor: float = 1.0) -> Form:
    """The form plus a constant operand, where it is given: one number a channel, along the first axis of a frame."""
    bias = net.constant(node, index)
    if bias is None:
        return form
    values = exactly(bias)
    if len(values) > 1 and (bias.size != form.channels or len(values) != form.channels):
        raise Refused(f"its bias has {bias.size} values for {form.channels} filters", "export the model again")
    return form.rescaled(ONE, times(values, (Fraction(factor),)))


def read_conv(net: Net, node: ir.Node) -> Form:
    """Conv; QONNX's channels-last variant has its filters as [kh, kw, C] too."""
    form, weight = net.form(node), weight_of(net, node, 1)
    if node.domain == CHANNELS_LAST:
        weight = replace(weight, trits=np.moveaxis(weight.trits, -1, 1))
    form = conv(net, node, form, weight)
    return with_bias(net, node, 2, form)


def read_gemm(net: Net, node: ir.Node) -> Form:
    """Gemm: `alpha * A @ B + beta * C`, A the frames."""
    if int_attribute(node, "transA", 0):
        raise Refused("its operand A, the activations, is transposed", "use transA = 0: frames are rows of A")
    form = net.form(node)
    weight = weight_of(net, node, 1, outputs_last=not int_attribute(node, "transB", 0))
    alpha, beta = (Fraction(float(float_attribute(node, name, 1.0))) for name in ("alpha", "beta"))
    form = dense(net, node, form, weight).rescaled((alpha,))
    return with_bias(net, node, 2, form, float(beta))


def read_mat_mul(net: Net, node: ir.Node) -> Form:
    """MatMul by a matrix [K, N]."""
    return product(net, node, net.form(node), weight_of(net, node, 1, outputs_last=True))


def product(net: Net, node: ir.Node, form: Form, weight: Weight) -> Form:
    """A product over the last axis: dense, or a 1x1 convolution where there are several rows."""
    if weight.trits.ndim != 2:
        raise Refused(f"its weight has {weight.trits.ndim} axes", "a product takes a matrix [inputs, outputs]")
    *lead, columns = form.index.shape
    if columns != weight.trits.shape[1]:
        raise Refused(f"its weight has {weight.trits.shape[1]} rows for {columns} values", "export the model again")
    if math.prod(lead) == 1:
        result = dense(net, node, form, weight)
        return result.moved(result.index.reshape(*lead, -1))
    return _by_rows(net, node, form, weight, lead)


def _by_rows(net: Net, node: ir.Node, form: Form, weight: Weight, lead: list[int]) -> Form:
    image = form.index.reshape(-1, form.index.shape[-1]).T
    tensor = form.shape
    if len(tensor) != 3 or not np.array_equal(image, canonical(tensor).reshape(image.shape)):
        raise Refused(
            "it multiplies several rows of a frame, and they are not the pixels of an image",
            "flatten the frame, or write a 1x1 convolution",
        )
    filters = Weight(weight.trits[:, :, np.newaxis, np.newaxis], weight.scale, weight.name)
    result = conv(net, node, form.moved(canonical(tensor)), filters, pointwise=True)
    return result.moved(result.index.reshape(len(weight.trits), -1).T.reshape(*lead, -1))
