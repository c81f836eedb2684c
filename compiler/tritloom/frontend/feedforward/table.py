"""Every operator of a feed-forward net, and what reads it. A new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from ..contrib import MICROSOFT, QONNX
from . import elementwise, integer, joining, movement, pooling, products, quantisers
from .constants import CHANNELS_LAST, FINN
from .context import Net
from .forms import Form

Reader = Callable[[Net, ir.Node], Form]

_STANDARD: Final[dict[str, Reader]] = {
    "Conv": products.read_conv,
    "Gemm": products.read_gemm,
    "MatMul": products.read_mat_mul,
    "MatMulInteger": integer.mat_mul_integer,
    "ConvInteger": integer.conv_integer,
    "QLinearConv": integer.q_linear_conv,
    "QLinearMatMul": integer.q_linear_mat_mul,
    "DynamicQuantizeLinear": integer.dynamic,
    "QuantizeLinear": quantisers.quantize_linear,
    "DequantizeLinear": quantisers.dequantize_linear,
    "Sign": quantisers.sign,
    "Round": quantisers.rounded,
    "Floor": quantisers.rounded,
    "Ceil": quantisers.rounded,
    "Cast": quantisers.cast,
    "Add": elementwise.add,
    "Sub": elementwise.subtract,
    "Mul": elementwise.multiply,
    "Div": elementwise.divide,
    "Neg": elementwise.negate,
    "BatchNormalization": elementwise.batch_norm,
    "Relu": elementwise.relu,
    "Clip": elementwise.clip,
    "Max": elementwise.at_least,
    "Min": elementwise.at_most,
    "LeakyRelu": elementwise.leaky,
    "PRelu": elementwise.p_relu,
    "Sigmoid": elementwise.sigmoid,
    "Tanh": elementwise.tanh,
    "HardSigmoid": elementwise.hard_sigmoid,
    "MaxPool": pooling.max_pool,
    "AveragePool": pooling.average_pool,
    "GlobalAveragePool": pooling.global_pool,
    "GlobalMaxPool": pooling.global_pool,
    "ReduceMean": pooling.reduce,
    "ReduceMax": pooling.reduce,
    "ReduceSum": pooling.reduce,
    "Concat": joining.concat,
    "Identity": movement.same,
    "Dropout": movement.dropout,
    **dict.fromkeys(movement.MOVES, movement.move),
}
READERS: Final[dict[tuple[str, str], Reader]] = {
    **{("", op): reader for op, reader in _STANDARD.items()},
    **{(domain, op): quantisers.quant for domain in QONNX for op in ("Quant", "IntQuant")},
    **{(domain, "BipolarQuant"): quantisers.bipolar for domain in QONNX},
    **{(domain, "Trunc"): quantisers.trunc for domain in QONNX},
    **{(domain, "MultiThreshold"): quantisers.multi_threshold for domain in FINN},
    **{(CHANNELS_LAST, op): movement.channels_last(_STANDARD[op]) for op in ("Conv", "MaxPool", "BatchNormalization")},
    (MICROSOFT, "QuantizeLinear"): quantisers.quantize_linear,
    (MICROSOFT, "DequantizeLinear"): quantisers.dequantize_linear,
    (MICROSOFT, "DynamicQuantizeMatMul"): integer.dynamic,
    (MICROSOFT, "MatMulIntegerToFloat"): integer.dynamic,
}
