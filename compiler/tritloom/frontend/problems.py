"""What the importer could not place: collected over the whole graph, then told in one error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..errors import InputError
from .contrib import MICROSOFT, QONNX
from .not_ternary import NotTernary

_REDUCTION = (
    "reductions exist only inside an RMSNorm and an absmax quantiser",
    "write the norm as x / sqrt(mean(x*x) + eps) * gain over the last axis",
)
_ROUNDING = (
    "rounding exists only inside an absmax quantiser",
    "write the quantiser as round(x * 127/max|x|), clamped to -128..127, in front of a ternary product",
)
_MOVES_DATA = (
    "it rearranges data; a step holds one vector at a time",
    "use Split or Slice with constant bounds on the last axis, or move it out of the model",
)
_CONTROL_FLOW = ("control flow", "export one decoding step with explicit state inputs and outputs")
_NO_SEQUENCE = (
    "it does not go once over the positions of a sequence, with states that are inputs or start at zero",
    "leave the number of positions symbolic and start the states at zero, or export one decoding step",
)
_NO_FUNCTION = (
    "the vector unit has no such function",
    "use Sigmoid, SiLU (x*Sigmoid(x)), GELU, Relu or arithmetic",
)
_ATTENTION = ("attention is not supported", "use a recurrent token mixer (MLGRU) with explicit state")
_FEED_FORWARD = (
    "it belongs to a feed-forward integer net, and this model is a decoding step",
    "use MatMulInteger, or MatMul of absmax codes and trits, and rescale behind it",
)
_QUANTISER = (
    "quantised activations exist only between a quantiser and a ternary product",
    "quantise in front of every ternary product, and nowhere else",
)
_OTHER_NORM = ("this normalisation is not supported", "use an RMSNorm: x / sqrt(mean(x*x) + eps) * gain")

_ADVICE = {
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2"), _REDUCTION),
    **dict.fromkeys(("Round", "Floor", "Ceil"), _ROUNDING),
    **dict.fromkeys(
        ("Concat", "Transpose", "Where", "GatherElements", "GatherND", "ScatterND", "Pad", "Tile"), _MOVES_DATA
    ),
    **dict.fromkeys(("If", "SequenceMap"), _CONTROL_FLOW),
    **dict.fromkeys(("Loop", "Scan"), _NO_SEQUENCE),
    **dict.fromkeys(("Exp", "Log", "Sin", "Cos", "Softplus", "Mish", "Elu", "Selu"), _NO_FUNCTION),
    **dict.fromkeys(("Softmax", "Attention", "LogSoftmax"), _ATTENTION),
    **dict.fromkeys(("BatchNormalization", "GroupNormalization", "InstanceNormalization"), _OTHER_NORM),
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv", "QLinearMatMul", "MultiThreshold"), _FEED_FORWARD),
    **dict.fromkeys(("QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear"), _QUANTISER),
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant", "Trunc"), _QUANTISER),
    "MatMulNBits": (
        "it has act-order indices (g_idx), or sizes that do not fit",
        "quantise in the order of the inputs, without g_idx",
    ),
    "GatherBlockQuantized": (
        "its sizes do not fit, or its blocks do not lie along the rows",
        "quantise the rows of the table, in blocks of their columns, with constant float32 scales",
    ),
    "GRU": (
        "it is no plain GRU of one step",
        "export one position, forward, with the default activations, constant weights and the state as an input",
    ),
    **dict.fromkeys(
        ("LSTM", "RNN"), ("it is not written out", "export its cell, with products, Sigmoid and Tanh, and its states")
    ),
    "Gather": (
        "only rows of a constant table, picked by the token, can be gathered",
        "move other look-ups out of the model",
    ),
    "Cast": (
        "activations are float32",
        "export the model in float32 (weights and tables may be int8, float16, bfloat16)",
    ),
}
_HINT = "docs/import.md lists what is recognised; rewrite these nodes in the model and export it again"
_NAMED, _LINE = 6, 110
"""Nodes of one group that an error names, and how wide their lines are."""
_UNKNOWN = (
    "there is no such operation on the engine",
    "express it with Add, Sub, Mul, Div, Max, Min, Sqrt, Sigmoid or Relu, or move it out of the model",
)


@dataclass(frozen=True)
class Refusal:
    """A node that no pattern takes. A secondary one is told only where nothing else explains it."""

    node: ir.Node
    reason: str
    instead: str
    secondary: bool = False
    blames: ir.Value | None = None
    """Activations that it takes for floats: if what should round them is refused itself, this says nothing new."""


def node_label(node: ir.Node) -> str:
    """The node's name, or its output's where it has none."""
    return node.name or (node.outputs[0].name if node.outputs else "") or node.op_type


def unsupported(node: ir.Node) -> Refusal:
    """Refusal of an operator that nothing knows."""
    known = not node.domain or node.domain in QONNX or node.domain == MICROSOFT
    reason, instead = _ADVICE.get(node.op_type, _UNKNOWN) if known else _UNKNOWN
    return Refusal(node, reason, instead, secondary=node.op_type == "DequantizeLinear")


def shape_text(value: ir.Value) -> str:
    """`[1, 128]`, with the names of unknown dimensions."""
    if value.shape is None:
        return "[?]"
    return "[" + ", ".join(str(dim) if isinstance(dim, int) else dim.value or "?" for dim in value.shape) + "]"


def operator(node: ir.Node) -> str:
    """Its type, with the domain where that is not onnx's own."""
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def _wrapped(words: Iterable[str]) -> list[str]:
    """Words in indented lines; none is broken."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) >= _LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"    {line}" for line in lines]


def _block(group: Sequence[Refusal]) -> list[str]:
    """One operator and one reason: how many nodes, which, and what to write instead."""
    first = group[0]
    count = f" ({len(group)} nodes)" if len(group) > 1 else ""
    nodes = [refusal.node for refusal in group[:_NAMED]]
    names = [f"'{node_label(node)}' {shape_text(node.outputs[0]) if node.outputs else '[]'}" for node in nodes]
    words = [f"{name}," for name in names[:-1]] + names[-1:]
    more = [f"and {len(group) - _NAMED} more"] if len(group) > _NAMED else []
    told = f"  {operator(first.node)}{count}: {first.reason}"
    return [told, *_wrapped(words + more), f"    instead: {first.instead}"]


class NotImported(InputError):
    """All that keeps a model from being imported: nodes that no pattern takes, and what is wrong with constants."""

    def __init__(
        self, refusals: Sequence[Refusal], errors: Sequence[InputError], recognised: Mapping[str, str]
    ) -> None:
        self.recognised = recognised
        """Labels of the nodes that were recognised, and as what."""
        self.refusals = [refusal for refusal in refusals if not refusal.secondary] or list(refusals)
        self.errors = list(errors)
        if not self.refusals and len(self.errors) == 1:
            super().__init__(self.errors[0].message, self.errors[0].hint)
            return
        hints = list(dict.fromkeys(error.hint for error in self.errors))
        only = hints[0] if len(hints) == 1 and not self.refusals else _HINT
        super().__init__("\n".join([*self._nodes(), *self._constants()]), only)

    def _nodes(self) -> list[str]:
        """Every operator and reason, with the nodes that they hold for."""
        if not self.refusals:
            return []
        noun = "node is" if len(self.refusals) == 1 else "nodes are"
        lines = [line for group in groups(self.refusals) for line in _block(group)]
        return [f"{len(self.refusals)} {noun} not supported:", *lines]

    def _constants(self) -> list[str]:
        """A line for every constant, up to a few."""
        if not self.errors:
            return []
        noun = "constant is" if len(self.errors) == 1 else "constants are"
        more = [f"  and {len(self.errors) - _NAMED} more"] if len(self.errors) > _NAMED else []
        lines = [f"  {brief(error)}" for error in self.errors[:_NAMED]]
        return [f"{len(self.errors)} {noun} not what the model needs:", *lines, *more]


def groups(refusals: Sequence[Refusal]) -> list[list[Refusal]]:
    """Refusals by operator and reason."""
    found: dict[tuple[str, str, str], list[Refusal]] = {}
    for refusal in refusals:
        found.setdefault((operator(refusal.node), refusal.reason, refusal.instead), []).append(refusal)
    return list(found.values())


def brief(error: InputError) -> str:
    """An error in one line."""
    return error.brief if isinstance(error, NotTernary) else error.message.splitlines()[0]
