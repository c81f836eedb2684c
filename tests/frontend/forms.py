"""One small MatMul-free LM, its ternary layers written in every form that the import accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_models import Net

HIDDEN, INNER, ROWS = 16, 32, 24
QONNX = "qonnx.custom_op.general"
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Weight:
    """Masters whose absmean quantisation is `scale * trits`; the scale is one number, or [rows, 1]."""

    name: str
    trits: NDArray[np.int8]
    scale: Floats
    masters: Floats

    @property
    def rows(self) -> int:
        return self.trits.shape[0]

    @property
    def floats(self) -> Floats:
        return self.trits.astype(np.float32) * self.scale

    @property
    def per_channel(self) -> bool:
        return self.scale.size > 1

    def flat(self, count: int = 1) -> Floats:
        """The scale as DequantizeLinear has it, or `count` times for each row."""
        return np.repeat(np.broadcast_to(self.scale.reshape(-1, 1), (self.rows, 1)), count, axis=1).copy()


def random_weight(name: str, rows: int, cols: int, per_channel: bool, seed: int) -> Weight:
    """Masters that lie far from rounding boundaries."""
    random = np.random.default_rng(seed)
    levels = random.choice([0.05, 0.9, 1.1, -0.9, -1.1, -0.05], (rows, cols)) + random.uniform(
        -0.02, 0.02, (rows, cols)
    )
    size = random.uniform(0.5, 2.0, (rows, 1)) if per_channel else 1.0
    masters = (levels * size * 0.03).astype(np.float32)
    axis = 1 if per_channel else None
    scale = np.abs(masters).mean(axis=axis, keepdims=per_channel, dtype=np.float64).astype(np.float32)
    trits = np.clip(np.rint(masters / scale), -1, 1).astype(np.int8)
    return Weight(name, trits, np.asarray(scale), masters)


Linear = Callable[[Net, str, Weight], str]


def rescaled(net: Net, sums: str, step: str, w: Weight, number: float = 1.0) -> str:
    """sums * (scale / step)."""
    scale = net.const(f"{w.name}.scale", (w.scale * np.float32(number)).reshape(1, -1))
    return net.add("Mul", sums, net.add("Div", scale, step))


def fake_quantised(net: Net, x: str) -> str:
    codes, step = net.quantize(x)
    return net.add("Div", codes, step)


# Floats


def float_gemm(net: Net, x: str, w: Weight) -> str:
    values = w.floats
    values[values == 0] = -0.0
    return net.add("Gemm", fake_quantised(net, x), net.const(w.name, values), transB=1)


def float_matmul(net: Net, x: str, w: Weight) -> str:
    return net.add("MatMul", fake_quantised(net, x), net.const(w.name, np.ascontiguousarray(w.floats.T)))


def unit_trits(net: Net, x: str, w: Weight) -> str:
    codes, step = net.quantize(x)
    return rescaled(net, net.add("Gemm", codes, net.const(w.name, w.trits.astype(np.float32)), transB=1), step, w)


def scaled_matrix(net: Net, x: str, w: Weight) -> str:
    matrix = net.add("Mul", net.trits(w.name, w.trits), net.const(f"{w.name}.s", w.scale))
    return net.add("MatMul", fake_quantised(net, x), net.add("Transpose", matrix, perm=[1, 0]))


def folded_residue(net: Net, x: str, w: Weight) -> str:
    values = w.masters + (w.floats - w.masters)
    return net.add("Gemm", fake_quantised(net, x), net.const(w.name, values), transB=1)


# Masters


def beta_of(net: Net, weight: str, w: Weight, keepdims: int = 1) -> str:
    axes = [net.const(f"{w.name}.axes", [1])] if w.per_channel else []
    mean = net.add("ReduceMean", net.add("Abs", weight), *axes, keepdims=1 if axes else keepdims)
    return net.add("Clip", mean if axes or not keepdims else net.add("Squeeze", mean), 1e-5)


def naive_dynamo(net: Net, x: str, w: Weight) -> str:
    weight = net.const(w.name, w.masters)
    beta = beta_of(net, weight, w)
    trits = net.add("Clip", net.add("Round", net.add("Div", weight, beta)), -1.0, 1.0)
    return net.add("Gemm", fake_quantised(net, x), net.add("Mul", trits, beta), transB=1)


def naive_legacy(net: Net, x: str, w: Weight) -> str:
    weight = net.const(w.name, w.masters)
    inverse = net.add("Mul", net.add("Reciprocal", beta_of(net, weight, w, keepdims=0)), 1.0)
    trits = net.add("Clip", net.add("Round", net.add("Mul", weight, inverse)), -1.0, 1.0)
    return net.add("MatMul", fake_quantised(net, x), net.add("Transpose", net.add("Div", trits, inverse), perm=[1, 0]))


def straight_through(net: Net, x: str, w: Weight) -> str:
    weight = net.const(w.name, w.masters)
    beta = beta_of(net, weight, w)
    trits = net.add("Round", net.add("Clip", net.add("Div", weight, beta), -1.0, 1.0))
    matrix = net.add("Add", weight, net.add("Sub", net.add("Mul", trits, beta), weight))
    codes = net.add("Add", x, net.add("Sub", fake_quantised(net, x), x))
    return net.add("MatMul", codes, net.add("Transpose", matrix, perm=[1, 0]))


def static_step(net: Net, x: str, w: Weight) -> str:
    weight, scale = net.const(w.name, w.masters), net.const(f"{w.name}.s", w.scale)
    trits = net.add("Clip", net.add("Round", net.add("Div", weight, scale)), -1.0, 1.0)
    return net.add("Gemm", fake_quantised(net, x), net.add("Mul", trits, scale), transB=1)


# Integers


def int8_gemm(net: Net, x: str, w: Weight) -> str:
    codes, step = net.quantize(x)
    return rescaled(net, net.add("Gemm", codes, net.trits(w.name, w.trits), transB=1), step, w)


def int32_matmul(net: Net, x: str, w: Weight) -> str:
    codes, step = net.quantize(x)
    weight = net.add("Cast", net.const(w.name, np.ascontiguousarray(w.trits.T)), to=TensorProto.INT32)
    sums = net.add("MatMul", net.add("Cast", codes, to=TensorProto.INT32), weight)
    return rescaled(net, net.add("Cast", sums, to=TensorProto.FLOAT), step, w)


def matmul_integer(net: Net, x: str, w: Weight) -> str:
    codes, step = net.quantize(x)
    operands = [net.add("Cast", codes, to=TensorProto.INT8), net.const(w.name, np.ascontiguousarray(w.trits.T))]
    return rescaled(net, net.add("Cast", net.add("MatMulInteger", *operands), to=TensorProto.FLOAT), step, w)


def matmul_integer_unsigned(net: Net, x: str, w: Weight) -> str:
    codes, step = net.quantize(x)
    weight = net.const(w.name, (w.trits.T + 1).astype(np.uint8))
    zeros = [net.const(f"{w.name}.az", np.asarray(0, np.int8)), net.const(f"{w.name}.z", np.asarray(1, np.uint8))]
    sums = net.add("MatMulInteger", net.add("Cast", codes, to=TensorProto.INT8), weight, *zeros)
    return rescaled(net, net.add("Cast", sums, to=TensorProto.FLOAT), step, w)


# DequantizeLinear


def raw(net: Net, name: str, kind: str, values: NDArray[np.integer]) -> str:
    net.initializers.append(helper.make_tensor(name, getattr(TensorProto, kind), values.shape, values.ravel().tolist()))
    return name


def dequantized(kind: str, columns: bool = False, block: int = 0, level: int = 1) -> Linear:
    """Codes of a type; [in, out] with `columns`; `block` inputs a scale."""

    def build(net: Net, x: str, w: Weight) -> str:
        zero = 1 if kind.startswith("U") else 0
        codes = w.trits.astype(np.int64) * level + zero
        weight = raw(net, w.name, kind, codes.T if columns else codes)
        axis = 1 if columns else 0
        scale = w.flat(w.trits.shape[1] // block) if block else w.scale.reshape(-1) if w.per_channel else w.scale
        scale = scale / np.float32(level)
        shape = scale.T.shape if block and columns else scale.shape
        operands = [weight, net.const(f"{w.name}.s", scale.T if block and columns else scale)]
        if zero:
            operands.append(raw(net, f"{w.name}.z", kind, np.full(shape, zero)))
        extra = {"block_size": block, "axis": 1 - axis} if block else {"axis": axis}
        return product(net, x, net.add("DequantizeLinear", *operands, **extra), columns)

    return build


def product(net: Net, x: str, matrix: str, columns: bool) -> str:
    if columns:
        return net.add("MatMul", fake_quantised(net, x), matrix)
    return net.add("Gemm", fake_quantised(net, x), matrix, transB=1)


def transposed_codes(net: Net, x: str, w: Weight) -> str:
    codes = net.add("Transpose", net.const(w.name, w.trits), perm=[1, 0])
    scale = net.const(f"{w.name}.s", w.scale.reshape(-1) if w.per_channel else w.scale)
    return product(net, x, net.add("DequantizeLinear", codes, scale, axis=1), columns=True)


def qcdq(masters: bool) -> Linear:
    def build(net: Net, x: str, w: Weight) -> str:
        scale = net.const(f"{w.name}.s", w.scale.reshape(-1) if w.per_channel else w.scale)
        zero = net.const(f"{w.name}.z", np.zeros(w.rows if w.per_channel else (), np.int8))
        weight = net.const(w.name, w.masters if masters else w.trits)
        if masters:
            weight = net.add("QuantizeLinear", weight, scale, zero, axis=0)
        low, high = (net.const(f"{w.name}.{at}", np.asarray(at, np.int8)) for at in (-1, 1))
        matrix = net.add("DequantizeLinear", net.add("Clip", weight, low, high), scale, zero, axis=0)
        return product(net, x, matrix, columns=False)

    return build


# Other domains


def quant(op: str, domain: str, columns: bool = False) -> Linear:
    def build(net: Net, x: str, w: Weight) -> str:
        weight = net.const(w.name, np.ascontiguousarray(w.masters.T) if columns else w.masters)
        scale = net.const(f"{w.name}.s", w.scale.T if columns else w.scale)
        matrix = net.add(op, weight, scale, 0.0, 2.0, domain=domain, signed=1, narrow=1, rounding_mode="ROUND")
        return product(net, x, matrix, columns)

    return build


def pack(codes: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Codes along the last axis, the lowest bits first."""
    each = 8 // bits
    padding = -codes.shape[-1] % each
    padded = np.pad(codes.astype(np.uint8), [(0, 0)] * (codes.ndim - 1) + [(0, padding)])
    shifts = np.arange(each, dtype=np.uint8) * np.uint8(bits)
    return np.bitwise_or.reduce(padded.reshape(*codes.shape[:-1], -1, each) << shifts, axis=-1).astype(np.uint8)


def packed(bits: int, zero: str = "default") -> Linear:
    """MatMulNBits with blocks of 16 inputs."""

    def build(net: Net, x: str, w: Weight) -> str:
        rows, cols = w.trits.shape
        blocks, point = cols // 16, 1 if zero != "default" else 1 << (bits - 1)
        codes = (w.trits.astype(np.int64) + point).reshape(rows, blocks, 16)
        weight, scales = net.const(w.name, pack(codes, bits)), net.const(f"{w.name}.s", w.flat(blocks))
        operands = [fake_quantised(net, x), weight, scales]
        if zero == "packed":
            operands.append(net.const(f"{w.name}.z", pack(np.full((rows, blocks), point), bits)))
        elif zero == "float":
            operands.append(net.const(f"{w.name}.z", np.full((rows, blocks), point, np.float32)))
        sizes = {"K": cols, "N": rows, "bits": bits, "block_size": 16}
        return net.add("MatMulNBits", *operands, domain="com.microsoft", **sizes)

    return build


FORMS: dict[str, Linear] = {
    "int8 Gemm": int8_gemm,
    "float Gemm": float_gemm,
    "float MatMul": float_matmul,
    "unit trits": unit_trits,
    "scaled matrix": scaled_matrix,
    "folded residue": folded_residue,
    "naive dynamo": naive_dynamo,
    "naive legacy": naive_legacy,
    "straight-through": straight_through,
    "static step": static_step,
    "int32 MatMul": int32_matmul,
    "MatMulInteger": matmul_integer,
    "MatMulInteger uint8": matmul_integer_unsigned,
    **{f"DequantizeLinear {kind}": dequantized(kind) for kind in ("INT8", "INT4", "INT2", "UINT8", "UINT4", "UINT2")},
    "DequantizeLinear [in, out]": dequantized("INT4", columns=True),
    "DequantizeLinear blocks": dequantized("INT8", block=8),
    "DequantizeLinear blocks [in, out]": dequantized("UINT4", columns=True, block=8),
    "DequantizeLinear codes -8, 0, 8": dequantized("INT8", level=8),
    "DequantizeLinear of Transpose": transposed_codes,
    "QCDQ": qcdq(masters=False),
    "QCDQ of masters": qcdq(masters=True),
    "Quant": quant("Quant", QONNX),
    "Quant [in, out]": quant("Quant", "onnx.brevitas", columns=True),
    "IntQuant": quant("IntQuant", "finn.custom_op.general"),
    **{f"MatMulNBits {bits}": packed(bits) for bits in (2, 4, 8)},
    "MatMulNBits packed zero": packed(2, "packed"),
    "MatMulNBits float zero": packed(4, "float"),
}


@dataclass
class Lm:
    """A decoding step of one layer: token mixer, channel mixer, head."""

    linear: Linear
    per_channel: bool
    net: Net = field(default_factory=lambda: Net(opset=25))
    made: int = 0

    def bitlinear(self, x: str, rows: int, cols: int) -> str:
        self.made += 1
        weight = random_weight(f"layer.{self.made}", rows, cols, self.per_channel, seed=self.made)
        return self.linear(self.net, self.norm(x, cols), weight)

    def norm(self, x: str, length: int) -> str:
        self.made += 1
        return self.net.rms_norm(x, np.random.default_rng(self.made).uniform(0.5, 1.5, length).astype(np.float32))

    def model(self) -> onnx.ModelProto:
        net = self.net
        table = np.random.default_rng(0).normal(size=(ROWS, HIDDEN)).astype(np.float32)
        x = net.token(table=table)
        a = self.norm(x, HIDDEN)
        f = net.add("Sigmoid", self.bitlinear(a, HIDDEN, HIDDEN))
        i, g = self.bitlinear(a, HIDDEN, HIDDEN), self.bitlinear(a, HIDDEN, HIDDEN)
        c = net.add("Mul", net.add("Mul", i, net.add("Sigmoid", i)), net.add("Sub", 1.0, f))
        h = net.add("Add", net.add("Mul", f, net.input("h", (1, HIDDEN))), c)
        gated = net.add("Mul", net.add("Mul", self.norm(g, HIDDEN), h), net.add("Sigmoid", h))
        x = net.add("Add", x, self.bitlinear(gated, HIDDEN, HIDDEN))
        inner = self.bitlinear(self.norm(x, HIDDEN), INNER, HIDDEN)
        x = net.add("Add", x, self.bitlinear(net.add("Mul", inner, net.add("Sigmoid", inner)), HIDDEN, INNER))
        net.output("logits", self.bitlinear(x, ROWS, HIDDEN), (1, ROWS))
        net.output("h_next", h, (1, HIDDEN))
        return net.model()


def lm(form: str, per_channel: bool = False) -> onnx.ModelProto:
    return Lm(FORMS[form], per_channel).model()


def runnable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with QONNX's quantiser as a function, since onnxruntime has none."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for op, domain in sorted({(node.op_type, node.domain) for node in model.graph.node if "Quant" in node.op_type}):
        if not domain:
            continue
        nodes = [
            helper.make_node("Constant", [], ["one"], value_float=1.0),
            helper.make_node("Constant", [], ["minus"], value_float=-1.0),
            helper.make_node("Div", ["x", "s"], ["q"]),
            helper.make_node("Round", ["q"], ["r"]),
            helper.make_node("Clip", ["r", "minus", "one"], ["t"]),
            helper.make_node("Mul", ["t", "s"], ["y"]),
        ]
        attributes = ["signed", "narrow", "rounding_mode"]
        opsets = [helper.make_opsetid("", 25)]
        result.functions.append(
            helper.make_function(domain, op, ["x", "s", "z", "b"], ["y"], nodes, opsets, attributes)
        )
    return result


def saved(model: onnx.ModelProto, folder: Path, name: str) -> Path:
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    return path
