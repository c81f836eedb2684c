"""A MatMul-free LM with random weights, built directly as `tern` IR: what the importer makes of an export."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tritloom.ir.mlir import Block, ModuleOp, Operation, SSAValue
from tritloom.ir.store import WeightStore, trits_hash
from tritloom.ir.tern import (
    AddOp,
    DequantizeOp,
    DotOp,
    EmbeddingOp,
    FillOp,
    LoadOp,
    ModelOp,
    MulOp,
    QuantizeAbsmaxOp,
    RecurrenceOp,
    ReturnOp,
    RmsNormOp,
    SigmoidOp,
    SiluOp,
    SliceOp,
    StateType,
    SubOp,
    TableOp,
    VectorOp,
    WeightOp,
    length_of,
)

EPS = 1e-6


@dataclass(frozen=True)
class Shape:
    """Sizes of a model."""

    hidden: int = 48
    inner: int = 96
    layers: int = 2
    vocabulary: int = 70


class Builder:
    """Emits operations and keeps the values of their constants."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.random = np.random.default_rng(seed)
        self.store = WeightStore()
        self.module = ModuleOp([])
        states = [StateType.of(shape.hidden, f"state.{i}", f"state.{i}.out") for i in range(shape.layers)]
        self.model = ModelOp("synthetic", "input_ids", ["logits"], states)
        self.block: Block = self.model.body.block

    def add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[-1]

    def weight(self, name: str, rows: int, cols: int) -> WeightOp:
        trits = self.random.integers(-1, 2, (rows, cols)).astype(np.int8)
        scale = float(np.float32(self.random.uniform(0.01, 0.1)))
        self.store.add(name, lambda: trits)
        op = WeightOp(name, rows, cols, scale, trits_hash(trits))
        self.module.body.block.add_op(op)
        return op

    def vector(self, name: str, values: np.ndarray) -> str:
        constant = values.astype(np.float32)
        self.store.add(name, lambda: constant)
        self.module.body.block.add_op(VectorOp(name, len(constant)))
        return name

    def gain(self, name: str, length: int) -> str:
        return self.vector(name, self.random.uniform(0.5, 1.5, length))

    def norm(self, x: SSAValue, name: str) -> SSAValue:
        return self.add(RmsNormOp(x, self.gain(name, length_of(x)), EPS))

    def bit_linear(self, x: SSAValue, name: str, rows: int) -> SSAValue:
        normed = self.norm(x, f"{name}.norm")
        quantizer = QuantizeAbsmaxOp(normed)
        self.add(quantizer)
        matrix = self.weight(name, rows, length_of(x))
        acc = self.add(DotOp(quantizer.codes, name, rows))
        return self.add(DequantizeOp(acc, quantizer.scale, matrix.scale.value.data))

    def mixer(self, x: SSAValue, layer: int, state: SSAValue) -> tuple[SSAValue, SSAValue]:
        d, prefix = self.shape.hidden, f"layers.{layer}"
        a = self.norm(x, f"{prefix}.attn_norm")
        f0 = self.bit_linear(a, f"{prefix}.f", d)
        i0 = self.bit_linear(a, f"{prefix}.i", d)
        g0 = self.bit_linear(a, f"{prefix}.g", d)
        f = self.add(SigmoidOp(f0))
        if layer:
            bound = self.random.uniform(0.05, 0.9, d).astype(np.float32)
            lower = self.add(LoadOp(self.vector(f"{prefix}.lower", bound), d))
            rest = self.add(LoadOp(self.vector(f"{prefix}.rest", np.float32(1.0) - bound), d))
            f = self.add(AddOp(lower, self.add(MulOp(rest, f))))
        complement = self.add(SubOp(self.add(FillOp(1.0, d)), f))
        c = self.add(MulOp(self.add(SiluOp(i0)), complement))
        recurrence = RecurrenceOp(f, c, state)
        h = self.add(recurrence)
        gn = self.norm(g0, f"{prefix}.g_norm")
        o = self.add(MulOp(self.add(MulOp(gn, h)), self.add(SigmoidOp(h))))
        return self.add(AddOp(x, self.bit_linear(o, f"{prefix}.o", d))), recurrence.next_state

    def channel_mixer(self, x: SSAValue, layer: int) -> SSAValue:
        d, inner, prefix = self.shape.hidden, self.shape.inner, f"layers.{layer}"
        m = self.norm(x, f"{prefix}.mlp_norm")
        uv = self.bit_linear(m, f"{prefix}.gate", 2 * inner)
        u, v = self.add(SliceOp(uv, 0, inner)), self.add(SliceOp(uv, inner, inner))
        y = self.add(MulOp(self.add(SiluOp(u)), v))
        return self.add(AddOp(x, self.bit_linear(y, f"{prefix}.down", d)))

    def build(self) -> ModuleOp:
        d, vocabulary = self.shape.hidden, self.shape.vocabulary
        table = self.random.standard_normal((vocabulary, d)).astype(np.float32)
        self.store.add("embedding", lambda: table)
        self.module.body.block.add_op(TableOp("embedding", vocabulary, d, "f32"))
        x = self.add(EmbeddingOp(self.block.args[0], "embedding", d))
        states = []
        for layer in range(self.shape.layers):
            x, state = self.mixer(x, layer, self.block.args[1 + layer])
            states.append(state)
            x = self.channel_mixer(x, layer)
        logits = self.bit_linear(self.norm(x, "norm"), "lm_head", vocabulary)
        self.block.add_op(ReturnOp([logits, *states]))
        self.module.body.block.add_op(self.model)
        self.module.verify()
        return self.module


def synthetic_model(shape: Shape = Shape(), seed: int = 0) -> tuple[ModuleOp, WeightStore]:
    """Module and store of a random model."""
    builder = Builder(shape, seed)
    return builder.build(), builder.store
