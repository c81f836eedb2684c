"""Integer operators: MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv and their relatives.

onnxruntime rescales the sums of a QLinear operator by one float32 number a channel and rounds the product to float32
before it rounds to a code; so does the form here, to the last code.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .constants import integer_limits
from .context import Array, Net, Refused, zeros
from .elementwise import rescaled
from .forms import Form
from .monotone import RoundedToFloat32
from .products import conv, product, weight_of
from .quantisers import quantised
from .rows import ONE, ZERO, exactly, negated
from .tensors import Uniform


def _centred(net: Net, node: ir.Node, operand: int, zero: int) -> Form:
    """Codes of an activation minus their zero point."""
    form = net.form(node, operand)
    values = zeros(net.constant(node, zero))
    if values.size != 1:
        raise Refused("its activations have a zero point for each row", "use one zero point for the tensor")
    return rescaled(form, ONE, negated(exactly(values)))


def _filter_zeros(zero: Array | None, rank: int, outputs_last: bool) -> Array:
    """A weight's zero point, one or one an output, broadcast to the weight."""
    values = zeros(zero)
    if values.size == 1:
        return values.reshape(())
    return values.reshape(-1) if outputs_last else values.reshape(-1, *[1] * (rank - 1))


def mat_mul_integer(net: Net, node: ir.Node) -> Form:
    """MatMulInteger: `(A - a_zero) @ (B - b_zero)`."""
    zero = _filter_zeros(net.constant(node, 3), 2, outputs_last=True)
    return product(net, node, _centred(net, node, 0, 2), weight_of(net, node, 1, zero, outputs_last=True))


def conv_integer(net: Net, node: ir.Node) -> Form:
    """ConvInteger: the same of windows, padded with the zero point."""
    form = _centred(net, node, 0, 2)
    zero = _filter_zeros(net.constant(node, 3), form.index.ndim + 1, outputs_last=False)
    return conv(net, node, form, weight_of(net, node, 1, zero))


def _weight_scale(net: Net, node: ir.Node, index: int) -> Array:
    values = net.constant(node, index)
    if values is None or not (values > 0).all():
        raise Refused("a scale is missing, or not above 0", "export the model again")
    return values.astype(np.float32)


def _requantised(net: Net, node: ir.Node, form: Form, multiplier: Array, zero: Array | None) -> Form:
    """Codes of sums times one float32 number a channel, rounded to float32 on the way."""
    values = zeros(zero)
    dtype = ir.DataType.from_numpy(values.dtype)
    low, high = integer_limits(dtype)
    scaled = rescaled(form, exactly(multiplier)).through(RoundedToFloat32())
    return quantised(net, node, scaled, Uniform(ONE, ZERO, shift=int(values.reshape(-1)[0])), low, high)


def _multiplier(net: Net, node: ir.Node, x: int, w: int, y: int) -> Array:
    """x_scale * w_scale / y_scale, in float32 as onnxruntime computes it."""
    scales = [_weight_scale(net, node, index) for index in (x, w, y)]
    return np.asarray(scales[0].reshape(-1)[0] * scales[1].reshape(-1) / scales[2].reshape(-1)[0], np.float32)


def q_linear_conv(net: Net, node: ir.Node) -> Form:
    """QLinearConv."""
    form = _centred(net, node, 0, 2)
    zero = _filter_zeros(net.constant(node, 5), form.index.ndim + 1, outputs_last=False)
    sums = conv(net, node, form, weight_of(net, node, 3, zero))
    bias = net.constant(node, 8)
    if bias is not None:
        sums = rescaled(sums, ONE, exactly(bias))
    return _requantised(net, node, sums, _multiplier(net, node, 1, 4, 6), net.constant(node, 7))


def q_linear_mat_mul(net: Net, node: ir.Node) -> Form:
    """QLinearMatMul."""
    zero = _filter_zeros(net.constant(node, 5), 2, outputs_last=True)
    sums = product(net, node, _centred(net, node, 0, 2), weight_of(net, node, 3, zero, outputs_last=True))
    return _requantised(net, node, sums, _multiplier(net, node, 1, 4, 6), net.constant(node, 7))


def dynamic(net: Net, node: ir.Node) -> Form:
    """DynamicQuantizeLinear, and what quantises inside itself."""
    raise Refused(
        "its scale is computed from each input: an integer net has static scales only",
        "quantise statically, with calibration data (onnxruntime: quantize_static)",
    )
