"""Poolings: a maximum is taken on codes, an average is an exact sum."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from ...ir.tern import Pooling, PoolOp, Window, shape_of
from ..graph import int_attribute
from .context import Net, Refused
from .forms import Form, Index, Term, canonical
from .plain import plain
from .products import as_image
from .rows import each
from .tensors import Emitted
from .windows import window_of


def _size(form: Form) -> tuple[int, int]:
    return form.index.shape[1], form.index.shape[2]


def _behind(form: Form, window: Window, axes: int) -> Index:
    """The index of what a pool makes."""
    places = canonical((*window.output_size(*_size(form)), form.channels))
    return places if axes == 2 else places[:, 0]


def _axes(form: Form) -> int:
    axes = form.index.ndim - 1
    if axes not in (1, 2):
        raise Refused(f"it pools over {axes} axes", "only 1-D and 2-D pooling is supported")
    return axes


def max_pool(net: Net, node: ir.Node) -> Form:
    """MaxPool, as soon as there are codes: it may wait behind a clamp for its quantiser."""
    form = net.form(node)
    axes = _axes(form)
    image = as_image(form)
    return largest(net, node, image, window_of(node, _size(image), None, axes), axes)


def largest(net: Net, node: ir.Node, form: Form, window: Window, axes: int) -> Form:
    """The largest value of each window of an image."""
    index = _behind(form, window, axes)
    if form.pool is not None:
        form = plain(net, form, node)
    waiting = replace(form, pool=window, pooled=(node,), index=index)
    tensor = form.terms[0].tensor
    if form.affine and len(form.terms) == 1 and not isinstance(tensor, Emitted):
        return plain(net, waiting, node)
    return waiting


def average_pool(net: Net, node: ir.Node) -> Form:
    """AveragePool: every window divides by the same number."""
    form = net.form(node)
    axes = _axes(form)
    image = as_image(form)
    window = window_of(node, _size(image), None, axes)
    counted = bool(int_attribute(node, "count_include_pad", 0))
    rounded_up = (
        int_attribute(node, "ceil_mode", 0)
        and window.pads != window_of(_without_ceil(node), _size(image), None, axes).pads
    )
    if window.padded and (not counted or rounded_up):
        raise Refused(
            "its windows at the border divide by fewer pixels than the others",
            "use count_include_pad = 1 and ceil_mode = 0, or no padding",
        )
    return summed(net, node, image, window, axes, window.taps)


def _without_ceil(node: ir.Node) -> ir.Node:
    attributes = [attribute for name, attribute in node.attributes.items() if name != "ceil_mode"]
    return ir.Node("", node.op_type, [], attributes=attributes, num_outputs=1)


def summed(net: Net, node: ir.Node, form: Form, window: Window, axes: int, divisor: int) -> Form:
    """Sums over windows, divided."""
    index = _behind(form, window, axes)
    if not form.affine or not all(tensor.whole for tensor in form.tensors):
        form = plain(net, form, node)
    if window.padded and any(form.offset):
        raise Refused("it pads with 0, which is not the code 0 of its operand", "use a zero point of 0, or no padding")
    share = (Fraction(1, divisor),)
    terms = []
    for tensor, scale in form.terms:
        op = PoolOp(tensor.value(), Pooling.SUM, window)
        value = net.builder.add(op, (node, *form.nodes))
        ends = (tensor.low * window.taps, tensor.high * window.taps)
        edges = (min(*ends, 0), max(*ends, 0)) if window.padded else ends
        terms.append(Term(Emitted(shape_of(value), tensor.label, value, edges), scale))
    taps = (Fraction(window.taps),)
    offset = each(lambda o, n: o * n, form.offset, taps)
    return Form(tuple(terms), index, offset).rescaled(share)


def global_pool(net: Net, node: ir.Node) -> Form:
    """GlobalAveragePool and GlobalMaxPool."""
    return _over_all(net, node, net.form(node), keep=True, largest_of="Max" in node.op_type)


def _over_all(net: Net, node: ir.Node, form: Form, keep: bool, largest_of: bool, mean: bool = True) -> Form:
    axes = _axes(form)
    image = as_image(form)
    size = _size(image)
    window = Window([*size], [1, 1], [0, 0, 0, 0], [1, 1])
    if largest_of:
        result = largest(net, node, image, window, axes)
    else:
        result = summed(net, node, image, window, axes, window.taps if mean else 1)
    return result if keep else result.moved(result.index.reshape(-1))


def reduce(net: Net, node: ir.Node) -> Form:
    """ReduceMean, ReduceSum and ReduceMax over all rows and columns."""
    form = net.form(node)
    attribute = node.attributes.get("axes")
    given = list(attribute.as_ints()) if attribute is not None else None
    if given is None and (stored := net.constant(node, 1)) is not None:
        given = [int(axis) for axis in stored.reshape(-1)]
    rank = form.index.ndim + 1
    if given is None or {axis % rank for axis in given} != set(range(2, rank)):
        raise Refused(
            f"it reduces the axes {given} of {rank}", "reduce all rows and columns of [N, C, H, W], or write a pooling"
        )
    kind = node.op_type
    return _over_all(
        net, node, form, bool(int_attribute(node, "keepdims", 1)), kind == "ReduceMax", mean=kind == "ReduceMean"
    )
