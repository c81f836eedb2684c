"""Arithmetic with constants, batch norms, and rising activations."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir

from ..graph import float_attribute, input_at, int_attribute
from .context import Array, Net, Refused
from .forms import Form, NotRising, merged
from .monotone import Clamp, Leaky, Logistic
from .plain import narrowed_codes, plain
from .rows import ONE, ZERO, Row, each, exactly, inverse, negated, plus, root, times

_RISING = "put the quantiser in front of it, or fold the sign into the weights of the next layer"


def rescaled(form: Form, scale: Row, offset: Row = ZERO) -> Form:
    """`scale * value + offset`."""
    try:
        return form.rescaled(scale, offset)
    except NotRising:
        raise Refused(
            "it multiplies what a rising function or a maximum gave by a number that is not above 0", _RISING
        ) from None


def _operands(net: Net, node: ir.Node) -> tuple[int, int]:
    """(run-time operand, constant operand) of a node with one of each."""
    first, second = (net.runs(input_at(node, index)) for index in (0, 1))
    if first and second:
        raise Refused("both of its operands are computed at run time", "only sums of two run-time values are supported")
    return (0, 1) if first else (1, 0)


def _number(net: Net, node: ir.Node, index: int, form: Form) -> Row:
    values = net.constant(node, index)
    if values is None:
        raise Refused(f"its operand {index} is missing", "export the model again")
    if not np.isfinite(values.astype(np.float64)).all():
        raise Refused("its constant is NaN or infinite", "look for a division by zero in the export")
    return net.row(values, form)


def add(net: Net, node: ir.Node) -> Form:
    """Add: of a constant, or of two branches."""
    if all(net.runs(input_at(node, index)) for index in (0, 1)):
        return _sum(net, node, ONE)
    run, fixed = _operands(net, node)
    form = net.form(node, run)
    return rescaled(form, ONE, _number(net, node, fixed, form)).by(node)


def subtract(net: Net, node: ir.Node) -> Form:
    """Sub: of a constant, from one, or of two branches."""
    if all(net.runs(input_at(node, index)) for index in (0, 1)):
        return _sum(net, node, negated(ONE))
    run, fixed = _operands(net, node)
    form = net.form(node, run)
    number = _number(net, node, fixed, form)
    form = rescaled(form, ONE, negated(number)) if run == 0 else rescaled(form, negated(ONE), number)
    return form.by(node)


def _sum(net: Net, node: ir.Node, sign: Row) -> Form:
    """Two branches as one form of the tensors of both."""
    parts = [net.form(node, index) for index in (0, 1)]
    parts = [part if part.affine else plain(net, part, node) for part in parts]
    first, second = parts[0], rescaled(parts[1], sign)
    if first.shape != second.shape or not np.array_equal(first.index, second.index):
        raise Refused(
            f"its branches have shapes {list(first.index.shape)} and {list(second.index.shape)}, or other layouts",
            "add branches of one shape",
        )
    terms, offset = merged([first, second])
    return Form(terms, first.index, offset, nodes=(*first.nodes, *second.nodes, node))


def multiply(net: Net, node: ir.Node) -> Form:
    """Mul by a constant."""
    run, fixed = _operands(net, node)
    form = net.form(node, run)
    return rescaled(form, _number(net, node, fixed, form)).by(node)


def divide(net: Net, node: ir.Node) -> Form:
    """Div by a constant."""
    run, fixed = _operands(net, node)
    if run:
        raise Refused("it divides by a run-time value", "multiply by constants only")
    form = net.form(node)
    number = _number(net, node, fixed, form)
    if not all(number):
        raise Refused("it divides by 0", "look for an empty scale in the export")
    return rescaled(form, inverse(number)).by(node)


def negate(net: Net, node: ir.Node) -> Form:
    """Neg."""
    return rescaled(net.form(node), negated(ONE)).by(node)


def batch_norm(net: Net, node: ir.Node) -> Form:
    """`(x - mean) / sqrt(variance + epsilon) * gain + shift`, exactly, the root to 62 digits."""
    if int_attribute(node, "training_mode", 0):
        raise Refused("it is in training mode", "export the model in evaluation mode")
    form = net.form(node)
    given = [net.constant(node, index) for index in range(1, 5)]
    if any(part is None for part in given):
        raise Refused("a parameter of it is missing", "export the model again")
    gain, shift, mean, variance = (net.along(part, 1, form) for part in given if part is not None)
    epsilon = Fraction(float(np.float32(float_attribute(node, "epsilon", 1e-5))))
    if min(variance) + epsilon <= 0:
        raise Refused("its variance is not positive", "the model's statistics are damaged: train it again")
    scale = each(lambda g, v: g / root(v + epsilon), gain, variance)
    return rescaled(form, scale, plus(shift, negated(times(mean, scale)))).by(node)


def relu(net: Net, node: ir.Node) -> Form:
    """Relu."""
    return clamped(net, node, net.form(node), ZERO, None)


def _bound(net: Net, node: ir.Node, name: str, index: int, form: Form) -> Row | None:
    """A bound of a Clip: an attribute before opset 11, an input after; None where it bounds nothing."""
    if (attribute := node.attributes.get(name)) is not None:
        values: Array | None = np.asarray(attribute.as_float(), np.float32)
    else:
        values = net.constant(node, index)
    if values is None or np.isinf(values.astype(np.float64)).all():
        return None
    return net.row(values, form)


def clip(net: Net, node: ir.Node) -> Form:
    """Clip: one number a bound, or one a channel."""
    form = net.form(node)
    low, high = _bound(net, node, "min", 1, form), _bound(net, node, "max", 2, form)
    return clamped(net, node, form, low, high)


def clamped(net: Net, node: ir.Node, form: Form, low: Row | None, high: Row | None) -> Form:
    """A clamp; one of codes narrows their quantiser."""
    if low is None and high is None:
        return form.by(node)
    codes = narrowed_codes(form, low, high, node)
    return codes if codes is not None else form.through(Clamp(low, high)).by(node)


def at_least(net: Net, node: ir.Node) -> Form:
    """Max with a constant."""
    run, fixed = _operands(net, node)
    form = net.form(node, run)
    return clamped(net, node, form, _number(net, node, fixed, form), None)


def at_most(net: Net, node: ir.Node) -> Form:
    """Min with a constant."""
    run, fixed = _operands(net, node)
    form = net.form(node, run)
    return clamped(net, node, form, None, _number(net, node, fixed, form))


def leaky(net: Net, node: ir.Node) -> Form:
    """LeakyRelu."""
    slope = Fraction(float(np.float32(float_attribute(node, "alpha", 0.01))))
    return _leaky(net.form(node), (slope,), node)


def p_relu(net: Net, node: ir.Node) -> Form:
    """PRelu: a slope by channel."""
    form = net.form(node)
    return _leaky(form, _number(net, node, 1, form), node)


def _leaky(form: Form, slope: Row, node: ir.Node) -> Form:
    if min(slope) < 0:
        raise Refused("its slope is negative, so that it falls and rises", "use a slope of at least 0")
    if not any(slope):
        return form.through(Clamp(ZERO, None)).by(node)
    if not all(slope):
        raise Refused("some of its slopes are 0, others are not", "use slopes above 0, or Relu")
    return form.through(Leaky(slope)).by(node)


def sigmoid(net: Net, node: ir.Node) -> Form:
    """Sigmoid: it waits for its quantiser."""
    return net.form(node).through(Logistic()).by(node)


def tanh(net: Net, node: ir.Node) -> Form:
    """2 * sigmoid(2 * x) - 1."""
    two = (Fraction(2),)
    return net.form(node).rescaled(two).through(Logistic()).rescaled(two, negated(ONE)).by(node)


def hard_sigmoid(net: Net, node: ir.Node) -> Form:
    """`clamp(alpha * x + beta, 0, 1)`."""
    given = (float_attribute(node, "alpha", 0.2), float_attribute(node, "beta", 0.5))
    alpha, beta = (exactly(np.array(number, np.float32)) for number in given)
    return rescaled(net.form(node), alpha, beta).through(Clamp(ZERO, ONE)).by(node)
