"""A language model of what the flagship lacks.

Layer norms, biases, scales of rows, GELU, quantisers over a range and of a fixed step, and a gate on a grid.
"""

from __future__ import annotations

import numpy as np
from onnx_models import Net, random_trits

WIDTH, INNER, VOCABULARY = 32, 64, 48


def vector(net: Net, name: str, length: int, low: float, high: float) -> str:
    values = np.random.default_rng(len(name)).uniform(low, high, length).astype(np.float32)
    return net.const(name, values)


def floats(net: Net, name: str, rows: int, cols: int, scale: float) -> str:
    return net.const(name, random_trits(rows, cols, len(name)).astype(np.float32) * np.float32(scale))


def layer_norm(net: Net, x: str, name: str) -> str:
    gain, bias = vector(net, f"{name}.gain", WIDTH, 0.5, 1.5), vector(net, f"{name}.bias", WIDTH, -0.5, 0.5)
    return net.add("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-5)


def dynamic_product(net: Net, x: str, name: str, rows: int, cols: int) -> str:
    """As onnxruntime quantises a linear layer: one scale a row of the weight, and a bias."""
    trits = np.ascontiguousarray(random_trits(rows, cols, len(name)).T)
    operands = [x, net.const(name, trits), vector(net, f"{name}.scale", rows, 0.02, 0.2)]
    return net.add(
        "DynamicQuantizeMatMul", *operands, "", vector(net, f"{name}.bias", rows, -0.3, 0.3), domain="com.microsoft"
    )


def static_product(net: Net, x: str, name: str, rows: int, cols: int) -> str:
    grid = [net.const(f"{name}.s", np.asarray(0.02, np.float32)), net.const(f"{name}.z", np.asarray(20, np.uint8))]
    back = net.add("DequantizeLinear", net.add("QuantizeLinear", x, *grid), *grid)
    weight = floats(net, name, rows, cols, 0.1)
    return net.add("Gemm", back, weight, vector(net, f"{name}.bias", rows, -0.3, 0.3), transB=1)


def general_model(fed: str = "token") -> Net:
    """The model, fed with a token or with a vector."""
    net = Net()
    table = np.random.default_rng(5).normal(0.3, 1.0, (VOCABULARY, WIDTH)).astype(np.float32)
    x = net.token((1,), table) if fed == "token" else net.input("x", (1, WIDTH))
    inner = net.add("Gelu", dynamic_product(net, layer_norm(net, x, "norm1"), "up", INNER, WIDTH))
    x = net.add("Add", x, static_product(net, inner, "down", WIDTH, INNER))
    forget = net.add("Sigmoid", dynamic_product(net, layer_norm(net, x, "norm2"), "forget", WIDTH, WIDTH))
    grid = [net.const("gate.s", np.asarray(1 / 255, np.float32)), net.const("gate.z", np.asarray(0, np.uint8))]
    forget = net.add("DequantizeLinear", net.add("QuantizeLinear", forget, *grid), *grid)
    state = net.input("h", (1, WIDTH))
    kept = net.add("Mul", forget, state)
    new = net.add("Mul", net.add("Sub", 1.0, forget), net.bitlinear(x, "in", random_trits(WIDTH, WIDTH, 9), 0.1))
    h = net.add("Add", kept, new)
    x = net.add("Add", x, h)
    net.output("logits", dynamic_product(net, layer_norm(net, x, "norm3"), "head", VOCABULARY, WIDTH), (1, VOCABULARY))
    net.output("h.out", h, (1, WIDTH))
    return net
