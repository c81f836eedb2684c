"""What to write instead of the operators that no integer net has."""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from ..problems import Refusal

_ENDS: Final = (
    "it belongs behind the scores",
    "use ArgMax, TopK, Softmax, LogSoftmax or Sigmoid there, or compute it on the host",
)
_DYNAMIC: Final = (
    "it computes a scale from each input: an integer net has static scales only",
    "quantise statically, with calibration data; or give the model one vector, [1, d]: then it is a step, which"
    " computes scales",
)
_CURVE: Final = (
    "it is no rising function, or computed on floats only",
    "use Relu, Clip, LeakyRelu, Sigmoid or Tanh in front of a quantiser",
)
_NORM: Final = (
    "it normalises by statistics of each input",
    "use BatchNormalization, which is a constant scale and offset by channel",
)
_MOVES: Final = (
    "it rearranges elements",
    "use Transpose, Reshape and Flatten that leave each frame whole, or move it out of the model",
)
_RECURRENT: Final = (
    "it has a state, and a feed-forward net has none",
    "leave the number of positions free, or export one step with explicit states: then the model is a step",
)
_UNKNOWN: Final = (
    "no layer of a feed-forward net computes it",
    "use convolutions, dense layers, pooling, batch norm, rising activations and quantisers",
)
_ADVICE: Final = {
    "Hardmax": _ENDS,
    **dict.fromkeys(("Gelu", "Elu", "Selu", "Celu", "Softplus", "Mish", "HardSwish", "Erf", "Exp", "Swish"), _CURVE),
    **dict.fromkeys(("Abs", "Reciprocal"), _DYNAMIC),
    **dict.fromkeys(
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization", "LRN"), _NORM
    ),
    **dict.fromkeys(("Slice", "Split", "Gather", "Tile", "Expand", "DepthToSpace", "Resize"), _MOVES),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Loop", "Scan", "If"), _RECURRENT),
    "Pad": (
        "padding stands outside of a convolution or pooling",
        "give the padding to that node: its pads or auto_pad",
    ),
    "ConvTranspose": ("transposed convolutions are not supported", "use a convolution, or move it out of the model"),
}


SHAPED: Final = frozenset(
    {"Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"}
    | {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "ReduceMean", "ReduceMax", "ReduceSum"}
    | {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "ArgMax", "TopK"}
    | {"Slice", "Split", "Gather", "Pad", "Tile", "Expand", "DepthToSpace", "SpaceToDepth", "Resize"}
    | {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
)
"""Operators whose result has another shape than their operand."""


def unsupported(node: ir.Node) -> Refusal:
    """Refusal of an operator that nothing reads."""
    reason, instead = _ADVICE.get(node.op_type, _UNKNOWN) if not node.domain else _UNKNOWN
    return Refusal(node, reason, instead)
