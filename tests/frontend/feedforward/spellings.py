"""Every way in which exporters write a ternary weight [outputs, ...], scaled by tensor or by output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from graphs import QONNX, Graph
from numpy.typing import NDArray
from onnx import TensorProto

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Weight:
    """Trits and their scale, and masters whose absmean quantisation they are."""

    trits: NDArray[np.int8]
    masters: Floats
    per_channel: bool

    @property
    def wide(self) -> tuple[int, ...]:
        return (len(self.trits), *[1] * (self.trits.ndim - 1)) if self.per_channel else ()

    @property
    def scale(self) -> Floats:
        axes = tuple(range(1, self.trits.ndim)) if self.per_channel else None
        mean = np.abs(self.masters).mean(axis=axes, dtype=np.float64)
        return np.asarray(np.maximum(mean, 1e-5), np.float32)

    @property
    def floats(self) -> Floats:
        return self.trits.astype(np.float32) * self.scale.reshape(self.wide)

    @property
    def axis(self) -> dict[str, int]:
        return {"axis": 0} if self.per_channel else {}

    def zeros(self, kind: type[np.generic], value: int = 0) -> Any:
        return np.full(self.scale.shape, value, kind)


def weight(trits: NDArray[np.int8], per_channel: bool, seed: int = 0) -> Weight:
    """Masters far from rounding boundaries."""
    random = np.random.default_rng(seed)
    large = random.uniform(1.2, 1.4, trits.shape) * trits
    values = np.where(trits != 0, large, random.uniform(-1e-3, 1e-3, trits.shape)) * 0.07
    if per_channel:
        values = values * random.uniform(0.5, 2, (len(trits), *[1] * (trits.ndim - 1)))
    return Weight(trits, values.astype(np.float32), per_channel)


def stored(g: Graph, w: Weight) -> str:
    return g.const(w.floats)


def negative_zeros(g: Graph, w: Weight) -> str:
    return g.const(np.where(w.trits == 0, np.float32(-0.0), w.floats))


def scaled_trits(g: Graph, w: Weight) -> str:
    return g.add("Mul", g.const(w.trits.astype(np.float32)), w.scale.reshape(w.wide))


def cast_trits(g: Graph, w: Weight) -> str:
    return g.add("Mul", g.add("Cast", g.const(w.trits), to=TensorProto.FLOAT), w.scale.reshape(w.wide))


def _absmean(g: Graph, w: Weight, masters: str) -> str:
    axes = np.arange(1 if w.per_channel else 0, w.trits.ndim)
    mean = g.add("ReduceMean", g.add("Abs", masters), axes, keepdims=int(w.per_channel))
    return g.add("Clip", mean, np.float32(1e-5))


def masters_dynamo(g: Graph, w: Weight) -> str:
    """Div, Round, Clip, Mul."""
    masters = g.const(w.masters)
    beta = _absmean(g, w, masters)
    codes = g.add("Clip", g.add("Round", g.add("Div", masters, beta)), np.float32(-1), np.float32(1))
    return g.add("Mul", codes, beta)


def masters_legacy(g: Graph, w: Weight) -> str:
    """Reciprocal, Mul, Round, Clip, Div."""
    masters = g.const(w.masters)
    factor = g.add("Mul", g.add("Reciprocal", _absmean(g, w, masters)), np.float32(1))
    codes = g.add("Clip", g.add("Round", g.add("Mul", masters, factor)), np.float32(-1), np.float32(1))
    return g.add("Div", codes, factor)


def straight_through(g: Graph, w: Weight) -> str:
    """w + (q - w)."""
    masters = g.const(w.masters)
    beta = _absmean(g, w, masters)
    codes = g.add("Clip", g.add("Round", g.add("Div", masters, beta)), np.float32(-1), np.float32(1))
    return g.add("Add", masters, g.add("Sub", g.add("Mul", codes, beta), masters))


def dequantized(g: Graph, w: Weight) -> str:
    return g.add("DequantizeLinear", g.const(w.trits), w.scale, w.zeros(np.int8), **w.axis)


def dequantized_unsigned(g: Graph, w: Weight) -> str:
    codes = (w.trits.astype(np.int16) + 128).astype(np.uint8)
    return g.add("DequantizeLinear", g.const(codes), w.scale, w.zeros(np.uint8, 128), **w.axis)


def _narrow(kind: int, zero: int) -> Callable[[Graph, Weight], str]:
    def spelled(g: Graph, w: Weight) -> str:
        if kind in (getattr(TensorProto, "INT2", -1), getattr(TensorProto, "UINT2", -1)):
            g.opset = 25
        codes = g.packed(w.trits.astype(np.int64) + zero, kind)
        zeros = g.packed(np.full(w.scale.shape, zero), kind)
        return g.add("DequantizeLinear", codes, w.scale, zeros, **w.axis)

    return spelled


def blocked(g: Graph, w: Weight) -> str:
    """Two blocks a row, of equal scales."""
    size = -(-w.trits.shape[1] // 2)
    scale = np.broadcast_to(w.scale.reshape(w.wide or (1,) * w.trits.ndim), (len(w.trits), 1, *w.trits.shape[2:]))
    blocks = -(-w.trits.shape[1] // size)
    return g.add(
        "DequantizeLinear",
        g.const(w.trits),
        np.ascontiguousarray(np.repeat(scale, blocks, axis=1)),
        axis=1,
        block_size=size,
    )


def qcdq(g: Graph, w: Weight) -> str:
    """Codes, Clip, DequantizeLinear."""
    codes = g.add("Clip", g.const(w.trits), np.int8(-1), np.int8(1))
    return g.add("DequantizeLinear", codes, w.scale, w.zeros(np.int8), **w.axis)


def qcdq_masters(g: Graph, w: Weight) -> str:
    """QuantizeLinear, Clip, DequantizeLinear of masters."""
    step, zero = g.const(w.scale), g.const(w.zeros(np.int8))
    codes = g.add("QuantizeLinear", g.const(w.masters), step, zero, **w.axis)
    return g.add("DequantizeLinear", g.add("Clip", codes, np.int8(-1), np.int8(1)), step, zero, **w.axis)


def _quant(op: str, domain: str) -> Callable[[Graph, Weight], str]:
    def spelled(g: Graph, w: Weight) -> str:
        scale = w.scale.reshape(w.wide)
        settings = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
        return g.add(op, g.const(w.masters), scale, np.float32(0), np.float32(2), domain=domain, **settings)

    return spelled


Spelling = Callable[[Graph, Weight], str]
PLAIN: dict[str, Spelling] = {
    "stored": stored,
    "negative zeros": negative_zeros,
    "trits, Mul": scaled_trits,
    "int8, Cast, Mul": cast_trits,
    "masters, dynamo": masters_dynamo,
    "masters, legacy": masters_legacy,
    "straight-through": straight_through,
    "DequantizeLinear int8": dequantized,
    "DequantizeLinear uint8": dequantized_unsigned,
    "DequantizeLinear int4": _narrow(TensorProto.INT4, 0),
    "DequantizeLinear uint4": _narrow(TensorProto.UINT4, 8),
    "DequantizeLinear in blocks": blocked,
    "QCDQ": qcdq,
    "QCDQ of masters": qcdq_masters,
}
"""What onnxruntime runs."""
if hasattr(TensorProto, "INT2"):
    PLAIN |= {
        "DequantizeLinear int2": _narrow(TensorProto.INT2, 0),
        "DequantizeLinear uint2": _narrow(TensorProto.UINT2, 2),
    }
FOREIGN: dict[str, Spelling] = {
    f"{domain}::{op}": _quant(op, domain)
    for domain in ("onnx.brevitas", QONNX, "finn.custom_op.general")
    for op in ("Quant", "IntQuant")
}
EVERY = PLAIN | FOREIGN
