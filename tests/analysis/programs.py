"""Programs of MatMul-free language models, as the compiler emits them, for tests of the analysis."""

from __future__ import annotations

from dataclasses import dataclass

from tritloom.analysis import Label, ModelNeeds
from tritloom.ir.instruction import Epilogue, Instruction, Opcode, QuantizeFlag, QuantizeFunction, TableFormat


@dataclass(frozen=True)
class Shape:
    """Sizes of a MatMul-free LM."""

    d: int
    layers: int
    vocab: int = 32000

    @property
    def inner(self) -> int:
        return 256 * -(-(8 * self.d // 3) // 256)

    @property
    def weights(self) -> int:
        layer = 4 * self.d * self.d + 3 * self.d * self.inner
        return self.layers * layer + self.vocab * self.d

    def needs(self) -> ModelNeeds:
        return ModelNeeds(
            longest_k=self.inner,
            vector_words=5 * self.d + self.inner,
            state_words=self.layers * self.d,
            instructions=2 + self.layers * 11 + 2,
        )


M370 = Shape(1024, 24)
M1300 = Shape(2048, 24)
M2700 = Shape(2560, 32)
EXAMPLE = Shape(384, 6, 2048)


def _linear(rows: int, k: int, epilogue: Epilogue, op: int) -> Instruction:
    return Instruction(Opcode.LINEAR, epilogue, length=k, rows=rows, slices=-(-k // 80), scale=0.01, op=op)


def _quantize(k: int, norms: QuantizeFunction, flags: int, op: int) -> Instruction:
    return Instruction(Opcode.QUANTIZE, norms, flags, length=k, eps0=1e-6, eps1=1e-6, op=op)


def program(shape: Shape) -> list[Instruction]:
    """One decoding step: embed; per layer seven projections (gate and up merged) and six quantisers; the head."""
    d, inner, new, has_b = shape.d, shape.inner, QuantizeFlag.NEW_STATS, QuantizeFlag.HAS_B
    out = [Instruction(Opcode.EMBED, TableFormat.BF16, length=d, rows=shape.vocab)]
    for layer in range(shape.layers):
        op = 1 + layer * 6
        out += [
            _quantize(d, QuantizeFunction.TWO, new, op),
            _quantize(d, QuantizeFunction.TWO, 0, op),
            _quantize(d, QuantizeFunction.TWO, 0, op),
            _linear(d, d, Epilogue.STORE, op),
            _linear(d, d, Epilogue.HGRN, op + 1),
            _linear(d, d, Epilogue.STORE, op + 2),
            _quantize(d, QuantizeFunction.TWO, new | has_b, op + 3),
            _linear(d, d, Epilogue.ADD, op + 3),
            _quantize(d, QuantizeFunction.TWO, new, op + 4),
            _linear(2 * inner, d, Epilogue.SWIGLU, op + 4),
            _quantize(inner, QuantizeFunction.ONE, new, op + 5),
            _linear(d, inner, Epilogue.ADD, op + 5),
        ]
    return [
        *out,
        _quantize(d, QuantizeFunction.TWO, new, 1 + shape.layers * 6),
        _linear(shape.vocab, d, Epilogue.LOGITS, 1 + shape.layers * 6),
    ]


def labels(shape: Shape) -> list[Label]:
    names = ("i_proj", "f_proj", "g_proj", "o_proj", "gate_proj", "down_proj")
    layers = [
        Label(f"tern.linear @layers.{layer}.{name}", f"/model/layers.{layer}/{name}/MatMul")
        for layer in range(shape.layers)
        for name in names
    ]
    return [
        Label("tern.embedding @embeddings", "/model/embeddings/Gather"),
        *layers,
        Label("tern.linear @lm_head"),
    ]
