"""Forms as layers take them: one integer tensor, a scale and an offset."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ...ir.mlir import Block
from ...ir.tern import SumOp, integer_type, tensor_of
from .context import Net, Refused
from .forms import Form, Term, canonical
from .monotone import Clamp
from .rows import ONE, ZERO, Row, each
from .tensors import Emitted, Largest, Quantised, Tensor, TooManyLevels, Uniform

FLOATS = "its activations are float: no quantiser stands between it and the layer in front of it"
FEWER_LEVELS = "clamp its codes to at most 8 bits"
TWO_WAYS = (
    "put a quantiser (Quant, or QuantizeLinear and DequantizeLinear) on its input when training, or quantise the"
    " exported model statically with calibration data"
)


def plain(net: Net, form: Form, node: ir.Node) -> Form:
    """A form of one integer tensor, without clamps or maxima: they are computed on its codes.

    Raises:
        Refused: the values are floats.
    """
    if not all(tensor.whole for tensor in form.tensors):
        raise Refused("its activations are float: the input is not quantised", TWO_WAYS)
    key = (form.terms, form.offset, form.stages, form.pool)
    if key not in net.plains:
        net.plains[key] = _plain(net, form, node)
    return replace(net.plains[key], index=form.index, nodes=form.nodes)


def _plain(net: Net, form: Form, node: ir.Node) -> Form:
    form = _summed(net, form, node)
    if form.stages:
        form = _clamped(net, form)
    if form.pool is not None:
        tensor, scale = form.terms[0]
        if min(scale) <= 0:
            raise Refused("a maximum of values with a negative scale", TWO_WAYS)
        largest = Largest(net.builder, tensor, form.pool, "", form.pooled)
        form = replace(form, terms=(Term(largest, scale),), pool=None, pooled=())
    return form


def _summed(net: Net, form: Form, node: ir.Node) -> Form:
    """One tensor instead of several: their sum, where one scale holds for all."""
    terms = list(form.terms)
    if any(term.scale != terms[0].scale for term in terms):
        raise Refused(
            "it takes a sum of tensors of different scales that no quantiser follows",
            "put a quantiser behind the Add, or give both of its branches one scale",
        )
    while len(terms) > 1:
        first, second = terms[0].tensor, terms[1].tensor
        value = net.builder.add(SumOp(first.value(), second.value()), (*form.nodes, node))
        both = Emitted(first.shape, first.label, value, (first.low + second.low, first.high + second.high))
        terms[:2] = [Term(both, terms[0].scale)]
    return replace(form, terms=tuple(terms))


def _clamped(net: Net, form: Form) -> Form:
    """Clamps on the grid of the codes."""
    tensor, scale = form.terms[0]
    last = form.nodes[-1]
    for stage in form.stages:
        if not isinstance(stage, Clamp) or min(scale) <= 0:
            raise Refused(FLOATS, TWO_WAYS)
        low, high = (_code(bound, scale, form.offset) for bound in (stage.low, stage.high))
        try:
            tensor = _at_most(
                net, tensor, tensor.low if low is None else low, tensor.high if high is None else high, last
            )
            tensor.low  # noqa: B018 - the codes are counted now
        except TooManyLevels:
            raise Refused(FLOATS, TWO_WAYS) from None
    return replace(form, terms=(Term(tensor, scale),), stages=())


def _code(bound: Row | None, scale: Row, offset: Row) -> int | None:
    """The code that a bound is."""
    if bound is None:
        return None
    codes = each(lambda b, s, o: (b - o) / s, bound, scale, offset)
    if len(codes) > 1 or codes[0].denominator != 1:
        raise Refused(FLOATS, TWO_WAYS)
    return codes[0].numerator


def _at_most(net: Net, tensor: Tensor, low: int, high: int, node: ir.Node) -> Tensor:
    if low <= tensor.low and high >= tensor.high:
        return tensor
    if (clamped := narrowed(tensor, low, high, node, "")) is not None:
        return clamped
    low, high = min(max(low, tensor.low), tensor.high - 1), max(min(high, tensor.high), tensor.low + 1)
    return Quantised(net.builder, identity(tensor), Uniform(ONE, ZERO), low, high, "", (node,))


def narrowed_codes(form: Form, low: Row | None, high: Row | None, node: ir.Node) -> Form | None:
    """Clamped codes, where a form is the codes of a quantiser and the bounds are integers; None elsewhere."""
    if not form.affine or len(form.terms) != 1 or form.offset != ZERO:
        return None
    tensor, scale = form.terms[0]
    bounds = [bound for bound in (low, high) if bound is not None]
    if scale != ONE:
        return None
    if any(len(bound) > 1 or bound[0].denominator != 1 for bound in bounds):
        return None
    first, last = (None if bound is None else bound[0].numerator for bound in (low, high))
    codes = narrowed(tensor, first, last, node, node.outputs[0].name or "")
    return replace(form, terms=(Term(codes, ONE),)) if codes is not None else None


def narrowed(tensor: Tensor, low: int | None, high: int | None, node: ir.Node, name: str) -> Tensor | None:
    """Clamped codes of a quantiser, also behind a maximum; None where there is none, or a bound is no code.

    `name` is the ONNX tensor that holds them.
    """
    if isinstance(tensor, Quantised):
        low, high = tensor.lowest if low is None else low, tensor.highest if high is None else high
        return tensor.clamped(low, high, node, name)
    if isinstance(tensor, Largest):
        operand = narrowed(tensor.operand, low, high, node, "")
        return replace(tensor, operand=operand, tensor=name) if operand is not None else None
    return None


def stand_in(form: Form) -> Form:
    """Codes in the place of what was refused, so that what is behind it is looked at too; nothing is made of them."""
    tensor = form.terms[0].tensor
    shape = form.shape
    if form.pool is not None:
        shape = (*form.pool.output_size(shape[0], shape[1]), shape[2])
    value = Block(arg_types=[tensor_of(shape, integer_type(8, signed=False))]).args[0]
    return Form((Term(Emitted(shape, tensor.label, value, (0, 1)), ONE),), form.index)


def identity(tensor: Tensor) -> Form:
    """The tensor's elements themselves."""
    return Form((Term(tensor, ONE),), canonical(tensor.shape))
