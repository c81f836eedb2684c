"""What stands behind the scores: ArgMax and TopK, softmax and its like, and nodes that move what these give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.ranking import KEY_BITS, Ranking, ranking
from ...ir.tern import Activation, ActivationOp, PortAttr, ScoresAtOp, ScoresOp, TakeOp, TopKOp, range_of
from ..graph import input_at, int_attribute
from .context import ENDED, Net, Refused
from .forms import Form, Index, axes_in_order
from .monotone import Logistic
from .movement import MOVES
from .plain import plain
from .rows import Row, negated, spread

EXACT_BITS: Final = 25
"""Of sums that float32 holds."""
_LARGEST: Final = Fraction(float(np.finfo(np.float32).max))
_FLATTENED: Final = 13
"""The opset before which Softmax normalises over all axes from its own on."""
_CURVES: Final = frozenset({"Sigmoid", "Tanh", "LeakyRelu", "PRelu"})
"""Operators that become rising functions."""


def score_vectors(net: Net, form: Form, name: str) -> tuple[str, str]:
    """Symbols of the scale and the offset of scores.

    Raises:
        Refused: the sums are no exact float32 numbers, or a scale or offset is out of float32's range.
    """
    tensor, scale = form.terms[0]
    if (bits := tensor.element.width.data) > EXACT_BITS:
        raise Refused(f"its sums have {bits} bits", f"scores are exact up to {EXACT_BITS} bits: add a quantiser")
    if max(map(abs, (*scale, *form.offset))) > _LARGEST:
        raise Refused("its scale or offset is beyond float32", "leave out the factors, or write them smaller")

    def vector(what: str, row: Row) -> str:
        return net.builder.vector(f"{name}.{what}", np.array(list(map(float, spread(row, form.channels))), np.float32))

    return vector("scale", scale), vector("offset", form.offset)


def emit_scores(net: Net, form: Form, node: ir.Node, name: str, tensor: str) -> SSAValue:
    """Scores of a plain form, the values of an ONNX tensor; emitted on the first call for these sums."""
    key = (form.terms, form.offset)
    if key not in net.scores:
        op = ScoresOp(form.terms[0].tensor.value(), *score_vectors(net, form, name))
        net.scores[key] = net.builder.add(op, (node, *form.nodes), tensor)
    return net.scores[key]


@dataclass(eq=False)
class Scored:
    """Scores of all channels, and what stands between them and `node`."""

    net: Net
    form: Form
    node: ir.Node
    function: Activation | None = None
    """Over the channels; `node` is then its own."""
    _value: SSAValue | None = field(default=None, init=False)

    @property
    def _rises(self) -> bool:
        """Whether functions that keep the order of the channels stand behind the sums."""
        return bool(self.form.stages) and all(stage.keeps_order for stage in self.form.stages)

    @property
    def _curves(self) -> list[ir.Node]:
        return [node for node in self.form.nodes if node.op_type in _CURVES] if self._rises else []

    @cached_property
    def sums(self) -> Form:
        """One tensor of sums, a scale and an offset, in the order of the values.

        Raises:
            Refused: the values are floats of another kind.
        """
        if not self._rises:
            return plain(self.net, self.form, self.node)
        nodes = tuple(node for node in self.form.nodes if node not in self._curves)
        return plain(self.net, replace(self.form, stages=(), nodes=nodes), self.node)

    @property
    def activation(self) -> Activation | None:
        """The function of the scores that the host computes.

        Raises:
            Refused: it is another one.
        """
        if self.form.stages == (Logistic(),):
            return Activation.SIGMOID
        if self._rises:
            plain(self.net, self.form, self.node)
        return self.function

    @property
    def passed(self) -> list[ir.Node]:
        """Nodes that only keep the order."""
        return [*self._curves, *([self.node] if self.function is not None else [])]

    def value(self) -> SSAValue:
        """The values of all channels; emitted on the first call."""
        if self._value is None:
            activation, name = self.activation, self.node.outputs[0].name or ""
            found = emit_scores(self.net, self.sums, self.node, name, name if activation is None else "")
            if activation is not None:
                found = self.net.builder.add(ActivationOp(found, activation), (*self._curves, self.node), name)
            self._value = found
        return self._value


@dataclass(eq=False)
class Ranked:
    """The k best channels of every vector of scores."""

    scored: Scored
    node: ir.Node
    keys: Ranking
    k: int
    last: bool
    ranks: PortAttr
    """The ONNX tensor whose values are ranked."""

    @cached_property
    def op(self) -> TopKOp:
        """The operation; emitted on the first call."""
        net, sums = self.scored.net, self.scored.sums
        net.passed += self.scored.passed
        name = self.node.outputs[-1].name or "order"
        symbol = net.builder.ranking(f"{name}.order", self.keys)
        op = TopKOp(sums.terms[0].tensor.value(), symbol, self.k, self.last, self.ranks)
        net.builder.add(op, (self.node, *sums.nodes))
        return op

    def indices(self) -> SSAValue:
        """Of the channels, the best first."""
        return self.op.indices

    def values(self) -> SSAValue:
        """Of the channels, the best first."""
        net, function, name = self.scored.net, self.scored.activation, self.node.outputs[0].name or ""
        if self.scored.function is not None:  # takes all channels
            return net.builder.add(TakeOp(self.scored.value(), self.op.indices), [self.node], name)
        vectors = score_vectors(net, self.scored.sums, name)
        found = net.builder.add(ScoresAtOp(self.op.sums, self.op.indices, *vectors), [self.node], name)
        return net.builder.add(ActivationOp(found, function), [self.node], name) if function is not None else found


@dataclass(frozen=True, eq=False)
class Result:
    """A value behind the scores. `index` has the shape that it has in ONNX, and holds each element's place."""

    node: ir.Node
    """What makes it of the scores."""
    index: Index
    emit: Callable[[], SSAValue]
    scored: Scored | None = None
    """Where it is one of all channels."""
    channels: int = 0
    """What indices count; 0 where the values are floats."""


# --- nodes -----------------------------------------------------------------------------------------------------------


def _operand(net: Net, node: ir.Node) -> tuple[Scored, Index]:
    """The scores that a node takes, and where they lie."""
    value = input_at(node, 0)
    if value in net.results and (scored := net.results[value].scored) is not None:
        return scored, net.results[value].index
    form = net.form(node)
    return Scored(net, form, node), form.index


def _vectors(index: Index, channels: int, axis: int) -> tuple[int, Index]:
    """The axis of the frame that counts the channels, and the number of the vector at each place without it.

    Raises:
        Refused: it is another axis.
    """
    axis += index.ndim + 1 if axis < 0 else 0
    if 1 <= axis <= index.ndim:
        moved = np.moveaxis(index, axis - 1, -1)
        first = moved[..., :1]
        if moved.shape[-1] == channels and np.array_equal(moved, first + np.arange(channels)):
            return axis - 1, first[..., 0] // channels
    raise Refused(
        f"its axis {axis} is not that of the channels", "go over the classes: axis 1 of [N, C] or of [N, C, H, W]"
    )


def _ranked(net: Net, node: ir.Node, scored: Scored, index: Index, k: int, largest: bool, last: bool) -> Ranked:
    sums = scored.sums
    tensor, scale = sums.terms[0]
    rows = (scale, sums.offset) if largest else (negated(scale), negated(sums.offset))
    keys = ranking(*rows, *range_of(tensor.element))
    if keys is None:
        raise Refused(
            f"its scales and offsets are too far apart: keys of {KEY_BITS} bits do not order all scores",
            "output the scores in its place, and rank them on the host",
        )
    source, order = input_at(node, 0), axes_in_order(index)
    if order is None or source is None:
        raise Refused("it ranks a reshaped image", "rank the channels in front of the reshape")
    return Ranked(scored, node, keys, k, last, PortAttr.of(source.name or "", index.shape, order))


def arg_max(net: Net, node: ir.Node) -> list[Result]:
    """ArgMax, ArgMin."""
    scored, index = _operand(net, node)
    axis, vectors = _vectors(index, scored.sums.channels, int_attribute(node, "axis", 0))
    last = bool(int_attribute(node, "select_last_index", 0))
    ranked = _ranked(net, node, scored, index, 1, node.op_type == "ArgMax", last)
    places = np.expand_dims(vectors, axis) if int_attribute(node, "keepdims", 1) else vectors
    return [Result(node, places, ranked.indices, channels=scored.sums.channels)]


def top_k(net: Net, node: ir.Node) -> list[Result]:
    """TopK: values and indices."""
    scored, index = _operand(net, node)
    channels = scored.sums.channels
    axis, vectors = _vectors(index, channels, int_attribute(node, "axis", -1))
    k = _count(net, node, channels)
    if not int_attribute(node, "sorted", 1):
        raise Refused("its results are in no order: sorted is 0", "set sorted to 1")
    ranked = _ranked(net, node, scored, index, k, bool(int_attribute(node, "largest", 1)), last=False)
    places = np.moveaxis(vectors[..., np.newaxis] * k + np.arange(k), -1, axis)
    return [Result(node, places, ranked.values), Result(node, places, ranked.indices, channels=channels)]


def _count(net: Net, node: ir.Node, channels: int) -> int:
    """The constant k."""
    given = input_at(node, 1)
    if given is not None and given not in net.constants:
        raise Refused("its k is computed at run time", "give k as a constant")
    k = int(net.constants[given].reshape(-1)[0]) if given is not None else int_attribute(node, "k", 0)
    if not 1 <= k <= channels:
        raise Refused(f"it takes the best {k} of {channels} channels", f"use a k of 1 to {channels}")
    return k


def softmax(net: Net, node: ir.Node) -> list[Result]:
    """Softmax, LogSoftmax: over the channels."""
    form = plain(net, net.form(node), node)
    flattens = net.constants.opset < _FLATTENED
    axis = int_attribute(node, "axis", 1 if flattens else -1)
    _vectors(form.index, form.channels, axis)
    if flattens and axis % (form.index.ndim + 1) != form.index.ndim:
        raise Refused(
            f"it normalises over all axes from {axis} on, as before opset 13", "export with opset 13 or later"
        )
    scored = Scored(net, form, node, Activation.SOFTMAX if node.op_type == "Softmax" else Activation.LOG_SOFTMAX)
    return [Result(node, form.index, scored.value, scored)]


ENDINGS: Final[dict[str, Callable[[Net, ir.Node], list[Result]]]] = {
    "ArgMax": arg_max,
    "ArgMin": arg_max,
    "TopK": top_k,
    "Softmax": softmax,
    "LogSoftmax": softmax,
}
"""Operators behind the scores, and what gives their outputs."""


def behind(net: Net, node: ir.Node) -> Result:
    """A node that only moves a result, or gives indices another type.

    Raises:
        Refused: it computes with it.
    """
    value = input_at(node, 0)
    result = net.results[value] if value is not None else None
    if result is None or not _moves(node, result):
        raise Refused(*ENDED)
    move = MOVES.get(node.op_type)
    if move is None:
        return result
    return replace(result, index=move(node, result.index, net.batch, net.constants))


def _moves(node: ir.Node, result: Result) -> bool:
    if node.op_type != "Cast":
        return node.op_type in MOVES or node.op_type in ("Identity", "Dropout")
    to = ir.DataType(int_attribute(node, "to", 1))
    if not result.channels:
        return to.is_floating_point()
    if to.is_integer() and to.bitwidth >= 8:
        most = np.iinfo(to.numpy()).max
        if result.channels - 1 > most:
            raise Refused(f"{to.name} does not hold indices of {result.channels} channels", "cast to a wider integer")
        return True
    return False
