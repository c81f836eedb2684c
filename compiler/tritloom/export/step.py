"""The decoding step of the MatMul-free LM, spelled as torch.onnx.export (dynamo) spells the PyTorch module.

*Baked*: int8 trits and a scale; the product is of integers held in float32, and is scaled once behind it.
*Naive*: float masters; the graph computes mean |W|, rounds and clips, and scales codes and trits back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

from . import quantise
from .config import Config
from .graph import GraphBuilder, width
from .layout import EMBEDDING, HEAD, LOWER_BOUNDS
from .safetensors import F32, StoredTensor

BIT_LINEAR_EPS: Final = 1e-6
"""Epsilon of the norms inside BitLinears: the released fused kernel's own, whatever the configuration says."""
TABLE_TYPES: Final = {"F32": ir.DataType.FLOAT, "F16": ir.DataType.FLOAT16, "BF16": ir.DataType.BFLOAT16}


@dataclass(frozen=True)
class _Matrix:
    """Weights of a BitLinear; their scale is computed once, when it is first asked for."""

    tensor: StoredTensor

    @cached_property
    def beta(self) -> np.float32:
        return quantise.absmean(self.tensor)


@dataclass(frozen=True)
class Step:
    """A graph without the values of its initialisers."""

    builder: GraphBuilder
    inputs: list[ir.Value]
    outputs: list[ir.Value]


class StepBuilder:
    """Builds the graph of a checkpoint."""

    def __init__(self, config: Config, tensors: Mapping[str, StoredTensor], naive: bool) -> None:
        self.config = config
        self.tensors = tensors
        self.naive = naive
        self.graph = GraphBuilder()
        self.bounds = self._lower_bounds()

    def build(self) -> Step:
        config, graph = self.config, self.graph
        token = graph.input("input_ids", [1], ir.DataType.INT64)
        states = [graph.input(f"state.{layer}", [1, config.inner]) for layer in range(config.layers)]
        x, new_states = self._embedding(token), []
        for layer, state in enumerate(states):
            x, h = self._layer(layer, x, state)
            h.name = f"state.{layer}.out"
            new_states.append(h)
        normed = self._norm_core(self._norm(x, "model.norm"), BIT_LINEAR_EPS)
        logits = self._bit_linear(normed, HEAD, config.vocab, EMBEDDING if config.tied else f"{HEAD}.weight")
        logits.name = "logits"
        return Step(graph, [token, *states], [logits, *new_states])

    def _lower_bounds(self) -> F32 | None:
        if not self.config.lower_bounds:
            return None
        return quantise.lower_bounds(self.tensors[LOWER_BOUNDS].read())

    def _embedding(self, token: ir.Value) -> ir.Value:
        """A row of the table, which keeps the type that it is stored in."""
        tensor = self.tensors[EMBEDDING]
        dtype = TABLE_TYPES[tensor.dtype]
        table = self.graph.initializer(EMBEDDING, tensor.shape, dtype, tensor.raw)
        row = self.graph.node("Gather", [table, token], [(1, self.config.hidden)], {"axis": 0}, dtype)[0]
        if dtype is ir.DataType.FLOAT:
            return row
        return self.graph.node("Cast", [row], [(1, self.config.hidden)], {"to": ir.DataType.FLOAT})[0]

    def _gain(self, name: str) -> ir.Value:
        tensor = self.tensors[f"{name}.weight"]
        return self.graph.initializer(tensor.name, tensor.shape, ir.DataType.FLOAT, tensor.blocks)

    def _norm_core(self, x: ir.Value, eps: float) -> ir.Value:
        """`x / sqrt(mean(x^2) + eps)`, which several gains may share."""
        graph = self.graph
        square = graph.elementwise("Pow", x, graph.constant("two", 2.0))
        mean = graph.elementwise("Add", graph.reduce_last("ReduceMean", square), graph.constant(f"eps.{eps:g}", eps))
        inverse = graph.elementwise("Reciprocal", graph.elementwise("Sqrt", mean))
        return graph.elementwise("Mul", x, inverse)

    def _norm(self, x: ir.Value, name: str) -> ir.Value:
        return self.graph.elementwise("Mul", self._norm_core(x, self.config.eps), self._gain(name))

    def _bit_linear(self, core: ir.Value, name: str, outputs: int, weight: str = "") -> ir.Value:
        """A BitLinear behind the core of its norm."""
        graph = self.graph
        matrix = _Matrix(self.tensors[weight or f"{name}.weight"])
        y = graph.elementwise("Mul", core, self._gain(f"{name}.norm"))
        absmax = graph.reduce_last("ReduceMax", graph.elementwise("Abs", y))
        floored = graph.elementwise("Clip", absmax, graph.constant("floor", quantise.FLOOR))
        top, bottom = graph.constant("codes.max", 127.0), graph.constant("codes.min", -128.0)
        s = graph.elementwise("Mul", graph.elementwise("Reciprocal", floored), top)
        codes = graph.elementwise("Clip", graph.elementwise("Round", graph.elementwise("Mul", y, s)), bottom, top)
        shape = (outputs, width(core))
        if self.naive:
            return self._gemm(graph.elementwise("Div", codes, s), self._fake_quantised(matrix, name, shape), outputs)
        trits = graph.initializer(
            f"{name}.trits", shape, ir.DataType.INT8, lambda: quantise.trits(matrix.tensor, matrix.beta)
        )
        scale = graph.initializer(f"{name}.scale", [], ir.DataType.FLOAT, lambda: [np.array([matrix.beta])])
        product = self._gemm(codes, graph.node("Cast", [trits], [shape], {"to": ir.DataType.FLOAT})[0], outputs)
        return graph.elementwise("Mul", product, graph.elementwise("Div", scale, s))

    def _fake_quantised(self, matrix: _Matrix, name: str, shape: tuple[int, int]) -> ir.Value:
        """`clamp(round(W / beta), -1, 1) * beta` of float masters, in the graph."""
        graph = self.graph
        w = graph.initializer(f"{name}.weight", shape, ir.DataType.FLOAT, matrix.tensor.blocks)
        mean = graph.node("ReduceMean", [graph.elementwise("Abs", w)], [(1, 1)], {"keepdims": 1})[0]
        scalar = graph.node("Squeeze", [mean], [()])[0]
        beta = graph.elementwise("Clip", scalar, graph.constant("floor", quantise.FLOOR))
        rounded = graph.elementwise("Round", graph.elementwise("Div", w, beta))
        limits = graph.constant("trits.min", -1.0), graph.constant("one", 1.0)
        return graph.elementwise("Mul", graph.elementwise("Clip", rounded, *limits), beta)

    def _gemm(self, x: ir.Value, w: ir.Value, outputs: int) -> ir.Value:
        return self.graph.node("Gemm", [x, w], [(1, outputs)], {"transB": 1})[0]

    def _layer(self, layer: int, x: ir.Value, state: ir.Value) -> tuple[ir.Value, ir.Value]:
        graph, name = self.graph, f"model.layers.{layer}"
        mixed, h = self._token_mixer(layer, self._norm(x, f"{name}.attn_norm"), state)
        x = graph.elementwise("Add", x, mixed)
        return graph.elementwise("Add", x, self._channel_mixer(name, self._norm(x, f"{name}.mlp_norm"))), h

    def _token_mixer(self, layer: int, a: ir.Value, state: ir.Value) -> tuple[ir.Value, ir.Value]:
        """HGRN: `h = f * h + silu(i) * (1 - f)`; the norm is on the gate g, the SiLU on the state."""
        graph, name, inner = self.graph, f"model.layers.{layer}.attn", self.config.inner
        core = self._norm_core(a, BIT_LINEAR_EPS)
        f = self._bounded(layer, graph.elementwise("Sigmoid", self._bit_linear(core, f"{name}.f_proj", inner)))
        i = self._silu(self._bit_linear(core, f"{name}.i_proj", inner))
        c = graph.elementwise("Mul", i, graph.elementwise("Sub", graph.constant("one", 1.0), f))
        h = graph.elementwise("Add", graph.elementwise("Mul", f, state), c)
        g = self._norm(self._bit_linear(core, f"{name}.g_proj", inner), f"{name}.g_norm")
        o = graph.elementwise("Mul", graph.elementwise("Mul", g, h), graph.elementwise("Sigmoid", h))
        return self._bit_linear(self._norm_core(o, BIT_LINEAR_EPS), f"{name}.o_proj", self.config.hidden), h

    def _bounded(self, layer: int, f: ir.Value) -> ir.Value:
        """`LB + (1 - LB) * f`; the bound of layer 0 is zero."""
        if self.bounds is None or layer == 0:
            return f
        graph, bound = self.graph, self.bounds[layer]
        lower = graph.constant(f"model.lower_bounds.{layer}", bound)
        rest = graph.constant(f"model.lower_bounds.{layer}.rest", np.float32(1.0) - bound)
        return graph.elementwise("Add", lower, graph.elementwise("Mul", rest, f))

    def _silu(self, x: ir.Value) -> ir.Value:
        return self.graph.elementwise("Mul", x, self.graph.elementwise("Sigmoid", x))

    def _channel_mixer(self, name: str, a: ir.Value) -> ir.Value:
        """GLU: `down(silu(u) * v)` with `[u | v] = gate(a)`."""
        graph, inner = self.graph, self.config.intermediate
        both = self._bit_linear(self._norm_core(a, BIT_LINEAR_EPS), f"{name}.mlp.gate_proj", 2 * inner)
        u, v = graph.node("Split", [both], [(1, inner), (1, inner)], {"axis": 1, "num_outputs": 2})
        y = graph.elementwise("Mul", self._silu(u), v)
        return self._bit_linear(self._norm_core(y, BIT_LINEAR_EPS), f"{name}.mlp.down_proj", self.config.hidden)
