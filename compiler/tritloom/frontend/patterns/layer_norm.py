"""LayerNormalization, `(x - mean(x)) / sqrt(var(x) + eps) * gain + bias`, and the subtraction of a mean.

From opset 17 torch writes one node; before, and from other exporters, it comes in parts: ReduceMean, Sub, and the parts
of an RMSNorm of the difference (rms_norm.py), since the variance is the mean square of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...ir.mlir import SSAValue
from ...ir.tern import AddOp, CenterOp, RmsNormOp
from ..constants import Constant
from ..emitter import Emitter
from ..graph import Graph, float_attribute, input_at, int_attribute, reduces_last_axis
from ..problems import Refusal
from .base import Match
from .rms_norm import checked_epsilon


@dataclass(frozen=True, eq=False)
class LayerNormMatch(Match):
    gain: Constant
    bias: Constant | None
    eps: float

    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        centred = emitter.value(CenterOp(operands[0]))
        result = emitter.value(RmsNormOp(centred, emitter.vector(self.gain), self.eps))
        if self.bias is not None:
            result = emitter.value(AddOp(result, emitter.load(self.bias)))
        emitter.name(result, self.value)
        return result


@dataclass(frozen=True, eq=False)
class CenterMatch(Match):
    def emit(self, emitter: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
        return emitter.value(CenterOp(operands[0]), self.value)


def _centred(graph: Graph, value: ir.Value) -> CenterMatch | None:
    """x less its mean."""
    if (sub := graph.producer(value, "Sub")) is None or graph.width(value) in (None, 1):
        return None
    x, mean = graph.operands(sub)
    reduce = graph.producer(mean, "ReduceMean")
    if reduce is None or graph.operands(reduce)[0] is not x or not reduces_last_axis(graph, reduce):
        return None
    return CenterMatch(value, (x,), (reduce, sub))


def match(graph: Graph, value: ir.Value) -> Match | Refusal | None:
    """A LayerNormalization over the last axis, or a vector less its mean."""
    node = graph.producer(value, "LayerNormalization")
    if node is None:
        return _centred(graph, value)
    x, gain, given = graph.operands(node)[0], graph.constant(input_at(node, 1)), input_at(node, 2)
    bias, shape = graph.constant(given), graph.shape(x)
    if shape is None or int_attribute(node, "axis", -1) % len(shape) != len(shape) - 1:
        return Refusal(node, "it normalises more than the last axis", "normalise over the features alone: axis=-1")
    if gain is None or (given is not None and bias is None):
        return Refusal(node, "its gain or bias is computed", "store them as constants")
    if any(vector is not None and vector.size != shape[-1] for vector in (gain, bias)):
        return Refusal(node, f"its gain or bias is not as long as the vector, {shape[-1]}", "give one value a feature")
    if bias is not None and not bias.finite_vector().any():
        bias = None
    return checked_epsilon(
        node, LayerNormMatch(value, (x,), (node,), gain, bias, float_attribute(node, "epsilon", 1e-5))
    )
