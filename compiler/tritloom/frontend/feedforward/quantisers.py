"""Quantisers of run-time values, in every spelling: each ends a form and begins one of codes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir

from ...ir.steps import Boundary
from ..graph import float_attribute, input_at, int_attribute
from .constants import ROUNDINGS, code_range, integer_limits, rounding_of
from .context import Array, Net, Refused, zeros
from .elementwise import rescaled
from .forms import Form, Term
from .monotone import Clamp, Rounded
from .rows import ONE, ZERO, Row, each, exactly, inverse, negated, times
from .tensors import MOST_LEVELS, Largest, Listed, Quantised, Staircase, Uniform

_FAR = 1 << 40
"""More than any code: the operand's own range decides."""
_POSITIVE = "its scale is not above 0"


def quantised(net: Net, node: ir.Node, form: Form, staircase: Staircase, low: int, high: int, tensor: str = "") -> Form:
    """Codes of a form."""
    if high - low > _FAR:
        low, high = form.reach(staircase, low, high)
    name = tensor or node.outputs[0].name or ""
    codes = Quantised(net.builder, form, staircase, low, high, "" if form.pool else name, (node,))
    if form.pool is None:
        return Form((Term(codes, ONE),), form.index)
    return Form((Term(Largest(net.builder, codes, form.pool, name, form.pooled), ONE),), form.index)


def _scale(net: Net, node: ir.Node, index: int) -> Array:
    values = net.constant(node, index)
    if values is None:
        raise Refused("its scale is missing", "export the model again")
    wide = values.astype(np.float64)
    if not (np.isfinite(wide).all() and (wide > 0).all()):
        raise Refused(_POSITIVE, "look for an empty scale in the export")
    return values


def quantize_linear(net: Net, node: ir.Node) -> Form:
    """QuantizeLinear: `clamp(round(x / scale) + zero, low, high)`."""
    form = net.form(node)
    axis = int_attribute(node, "axis", 1)
    scale = net.along(_scale(net, node, 1), axis, form)
    stored = net.constant(node, 2)
    return to_codes(net, node, form, scale, zeros(stored), code_type(node, stored))


def code_type(node: ir.Node, zero: Array | None) -> ir.DataType:
    """The integer type that a quantiser makes."""
    if zero is not None:
        return ir.DataType.from_numpy(zero.dtype) if zero.dtype.kind in "iu" else ir.DataType.FLOAT8E4M3FN
    number = int_attribute(node, "output_dtype", 0)
    return ir.DataType(number) if number else ir.DataType.UINT8


def to_codes(net: Net, node: ir.Node, form: Form, scale: Row, zero: Array, dtype: ir.DataType) -> Form:
    """Codes of an integer type, behind an integer zero point."""
    try:
        low, high = integer_limits(dtype)
    except ValueError:
        raise Refused(f"its codes are {dtype.name}", "use int8 or uint8 codes, or narrower ones") from None
    if (zero != zero.reshape(-1)[0]).any():
        raise Refused("its zero point differs from channel to channel", "use one zero point for the tensor")
    return quantised(net, node, form, Uniform(scale, ZERO, shift=int(zero.reshape(-1)[0])), low, high)


def dequantize_linear(net: Net, node: ir.Node) -> Form:
    """DequantizeLinear: `(codes - zero) * scale`."""
    form = net.form(node)
    axis = int_attribute(node, "axis", 1)
    scale = net.along(_scale(net, node, 1), axis, form)
    zero = net.along(zeros(net.constant(node, 2)), axis, form)
    return rescaled(form, scale, negated(times(zero, scale))).by(node)


def quant(net: Net, node: ir.Node) -> Form:
    """QONNX's Quant and IntQuant: `(round(clamp(x / scale + zero)) - zero) * scale`."""
    form = net.form(node)
    scale = net.row(_scale(net, node, 1), form)
    zero = net.row(zeros(net.constant(node, 2)), form)
    width = net.constant(node, 3)
    if width is None or width.size != 1:
        raise Refused("its bit width is missing, or differs from channel to channel", "use one bit width")
    signed, narrow = bool(int_attribute(node, "signed", 1)), bool(int_attribute(node, "narrow", 0))
    bits = float(width.reshape(-1)[0])
    limits, rounding = code_range(bits, signed, narrow), rounding_of(node)
    if limits is None or rounding not in ROUNDINGS:
        raise Refused(f"its bit width {bits:g} or rounding mode {rounding} is unknown", "use 1 to 8 bits and ROUND")
    if limits[1] - limits[0] > MOST_LEVELS:
        raise Refused(f"its codes have {bits:g} bits", "activations have at most 8 bits: train with fewer")
    if bits == 1 and signed:
        codes = _signs(net, node, form, negated(times(zero, scale)))
    else:
        codes = quantised(net, node, form, Uniform(scale, zero, ROUNDINGS[rounding][0]), *limits)
    return codes.rescaled(scale, negated(times(zero, scale)))


def bipolar(net: Net, node: ir.Node) -> Form:
    """BipolarQuant: scale where x >= 0, else -scale."""
    form = net.form(node)
    scale = net.row(_scale(net, node, 1), form)
    return _signs(net, node, form, ZERO).rescaled(scale)


def _signs(net: Net, node: ir.Node, form: Form, middle: Row) -> Form:
    """1 from `middle` on, else -1."""
    steps = tuple((Boundary(place, True),) for place in middle)
    return quantised(net, node, form, Listed(steps, -1, 2), -1, 1)


def sign(net: Net, node: ir.Node) -> Form:
    """Sign: -1, 0 or 1."""
    zero = Fraction(0)
    steps = ((Boundary(zero, True), Boundary(zero, False)),)
    return quantised(net, node, net.form(node), Listed(steps, -1), -1, 1)


def multi_threshold(net: Net, node: ir.Node) -> Form:
    """MultiThreshold: `out_scale * #{x >= threshold} + out_bias`, thresholds [C or 1, levels]."""
    form = net.form(node)
    table = net.constant(node, 1)
    if table is None or table.ndim != 2 or not 1 <= table.shape[1] <= MOST_LEVELS:
        raise Refused("its thresholds are no table of channels and at most 255 levels", "use at most 8 bits")
    if (np.diff(table.astype(np.float64), axis=1) < 0).any():
        raise Refused("its thresholds do not ascend", "sort the thresholds of each channel")
    layout = node.attributes.get("data_layout")
    axis = -1 if layout is not None and layout.as_string() == "NHWC" else 1
    columns = [net.along(column, axis, form) if len(table) > 1 else exactly(column) for column in table.T]
    count = max(len(column) for column in columns)
    steps = tuple(
        tuple(Boundary(column[c] if len(column) > 1 else column[0], True) for column in columns) for c in range(count)
    )
    scale, bias = (
        Fraction(float(np.float32(float_attribute(node, n, d)))) for n, d in (("out_scale", 1.0), ("out_bias", 0.0))
    )
    if scale <= 0:
        raise Refused("its out_scale is not above 0", "negate the next layer's weights instead")
    if scale.denominator == bias.denominator == 1 and scale <= 2:
        step, low = scale.numerator, bias.numerator
        return quantised(net, node, form, Listed(steps, low, step), low, low + step * len(columns))
    return quantised(net, node, form, Listed(steps, 0), 0, len(columns)).rescaled((scale,), (bias,))


def rounded(net: Net, node: ir.Node) -> Form:
    """Round, Floor or Ceil of a value: codes, which a Clip behind it narrows."""
    kinds = {"Round": "half_even", "Floor": "floor", "Ceil": "ceil"}
    return quantised(net, node, net.form(node), Uniform(ONE, ZERO, kinds[node.op_type]), -_FAR, _FAR)


def cast(net: Net, node: ir.Node) -> Form:
    """Cast: codes stay what they are; a float becomes an integer by cutting off its fraction."""
    form = net.form(node)
    to = ir.DataType(int_attribute(node, "to", 1))
    if to.is_floating_point() and to.bitwidth >= 16:
        return form.by(node)
    if not to.is_integer():
        raise Refused(f"it casts to {to.name}", "use float32 or an integer type")
    source = input_at(node, 0)
    if source is not None and source.dtype is not None and source.dtype.is_floating_point() and not _integral(form):
        form = quantised(net, node, form, Uniform(ONE, ZERO, "to_zero"), -_FAR, _FAR)
    return form.by(node)


def _integral(form: Form) -> bool:
    """Whether all values are integers."""
    rows = [form.offset, *(term.scale for term in form.terms)]
    clamps = [bound for stage in form.stages for bound in stage.rows if isinstance(stage, Clamp)]
    whole = all(number.denominator == 1 for row in (*rows, *clamps) for number in row)
    return whole and all(isinstance(stage, Clamp) for stage in form.stages) and all(t.whole for t in form.tensors)


def trunc(net: Net, node: ir.Node) -> Form:
    """QONNX's Trunc, both versions: codes of the operand divided by a power of two and rounded (down, mostly)."""
    form = net.form(node)
    scale = net.row(_scale(net, node, 1), form)
    zero = net.row(zeros(net.constant(node, 2)), form)
    second = len([value for value in node.inputs if value is not None]) > 5
    width = net.constant(node, 5 if second else 4)
    given = net.constant(node, 3)
    rounding = rounding_of(node, "FLOOR")
    if width is None or given is None or width.size != 1 or rounding not in ROUNDINGS:
        raise Refused("a parameter of it is missing, or its rounding mode unknown", "export the model again")
    bits = float(width.reshape(-1)[0])
    signed, narrow = bool(int_attribute(node, "signed", 1)), bool(int_attribute(node, "narrow", 0))
    out_scale = scale
    if second:
        out_scale = net.row(_scale(net, node, 4), form)
        factor = each(lambda o, s: Fraction(2) ** round(np.log2(float(o / s))), out_scale, scale)
        limits = code_range(bits, signed, narrow)
    else:
        factor = (Fraction(2) ** int(given.reshape(-1)[0] - width.reshape(-1)[0]),)
        limits = (-_FAR, _FAR)
    if limits is None:
        raise Refused(f"its bit width {bits:g} is unknown", "use 1 to 8 bits")
    codes = rescaled(form, inverse(scale), zero).through(Rounded("half_even")).rescaled(inverse(factor))
    result = quantised(net, node, codes, Uniform(ONE, ZERO, ROUNDINGS[rounding][0]), *limits)
    out_zero = times(zero, inverse(factor)) if second else zero
    return result.rescaled(out_scale, negated(times(out_zero, out_scale)))
