"""Programs that the kernel tests run: a small MatMul-free language model with random weights, and others."""

from __future__ import annotations

import numpy as np
from reference_machine import Program
from tritloom.ir.instruction import Epilogue, QuantizeFunction, TableFormat, VectorFlag, VectorFunction
from tritloom.ir.kernel import KernelLimits


def trits(rng: np.random.Generator, rows: int, length: int) -> np.ndarray:
    return rng.integers(-1, 2, (rows, length), dtype=np.int8)


def gain(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.uniform(0.3, 1.7, n).astype(np.float32)


def language_model(
    kernel: KernelLimits,
    seed: int = 0,
    *,
    width: int = 100,
    inner: int = 152,
    vocabulary: int = 70,
    layers: int = 2,
    form: TableFormat = TableFormat.F32,
) -> Program:
    """The instruction sequence of the flagship: hgrn mixer, gated channel mixer, ternary head."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(vocabulary, width)).astype(np.float16).astype(np.float32)
    if form == TableFormat.BF16:
        table = (table.view(np.uint32) & 0xFFFF0000).view(np.float32)
    step = -(-max(width, inner) // 16) * 16
    x, i, h, g, m = range(0, 5 * step, step)
    scale = float(np.float32(0.04 / 127))
    program = Program(kernel)
    program.embed(table, x, form)
    for layer in range(layers):
        state = layer * (-(-width // 16) * 16)
        norms = {"func": QuantizeFunction.TWO, "eps0": 1e-6, "eps1": 1e-6}
        program.quantize(width, x, 0, gain(rng, width), gain(rng, width), **norms)
        program.quantize(width, x, 1, gain(rng, width), new=False, **norms)
        program.quantize(width, x, 2, gain(rng, width), new=False, **norms)
        program.linear(trits(rng, width, width), Epilogue.STORE, 0, scale, dst=i)
        lower = rng.uniform(0, 0.5, width).astype(np.float32)
        program.linear(trits(rng, width, width), Epilogue.HGRN, 1, scale, src0=i, dst=h, state=state, lower=lower)
        program.linear(trits(rng, width, width), Epilogue.STORE, 2, scale, dst=g)
        program.quantize(width, g, 0, gain(rng, width), gain(rng, width), b=h, **norms)
        program.linear(trits(rng, width, width), Epilogue.ADD, 0, scale, src0=x, dst=x)
        program.quantize(width, x, 1, gain(rng, width), gain(rng, width), **norms)
        program.linear(trits(rng, 2 * inner, width), Epilogue.SWIGLU, 1, scale, dst=m)
        program.quantize(inner, m, 0, gain(rng, inner), func=QuantizeFunction.ONE, eps0=1e-6)
        program.linear(trits(rng, width, inner), Epilogue.ADD, 0, scale, src0=x, dst=x)
    program.quantize(width, x, 0, gain(rng, width), func=QuantizeFunction.ONE, eps0=1e-6)
    program.linear(trits(rng, vocabulary, width), Epilogue.LOGITS, 0, scale, dst=-(-vocabulary // 4) * 4)
    return program


def general_model(kernel: KernelLimits, seed: int = 0, *, width: int = 50, vocabulary: int = 70) -> Program:
    """Layer norm with gain and bias, asymmetric and fixed quantisers; scales and bias of rows under every epilogue."""
    rng = np.random.default_rng(seed)
    step = -(-2 * width // 16) * 16
    x, c, i, h, m = range(0, 5 * step, step)
    stream, factor = int(VectorFlag.B_STREAM), int(VectorFlag.B_FACTOR)
    vector = lambda n: rng.normal(size=n).astype(np.float32)  # noqa: E731
    program = Program(kernel)
    program.embed(rng.normal(0.5, 1, size=(vocabulary, width)).astype(np.float32), x)
    program.reduce(width, x)
    program.vector(VectorFunction.SUB, width, src0=x, dst=c, flags=factor)
    program.reduce(width, c, eps=1e-5)
    program.vector(VectorFunction.MUL, width, src0=c, dst=c, flags=factor)
    program.vector(VectorFunction.MUL, width, gain(rng, width), src0=c, dst=c, flags=stream)
    program.vector(VectorFunction.ADD, width, vector(width), src0=c, dst=c, flags=stream)
    program.quantize_range(width, c, 0)
    program.linear(trits(rng, width, width), Epilogue.STORE, 0, 0.04, dst=i, zero=True, bias=vector(width))
    lower = rng.uniform(0, 0.5, width).astype(np.float32)
    rows = {"row_scales": gain(rng, width), "bias": vector(width)}
    program.linear(
        trits(rng, width, width), Epilogue.HGRN, 0, 0.04, src0=i, dst=h, state=16, zero=True, lower=lower, **rows
    )
    program.quantize_static(width, h, 1, 0.01, -128, -128, 127)
    program.linear(trits(rng, width, width), Epilogue.ADD, 1, 0.04, src0=x, dst=x, zero=True, bias=vector(width))
    program.quantize_static(width, x, 2, 0.02, 0, -127, 127)
    rows = {"row_scales": gain(rng, 2 * width), "bias": vector(2 * width)}
    program.linear(trits(rng, 2 * width, width), Epilogue.SWIGLU, 2, 0.04, dst=m, **rows)
    program.quantize_range(width, m, 0)
    rows = {"row_scales": gain(rng, vocabulary), "bias": vector(vocabulary)}
    program.linear(
        trits(rng, vocabulary, width), Epilogue.LOGITS, 0, 0.04, dst=-(-vocabulary // 4) * 4, zero=True, **rows
    )
    return program


def elementwise(kernel: KernelLimits, seed: int = 0, n: int = 37, *, with_state: bool = True) -> Program:
    """Every function of `vector`, each operand form, and a state kept by it."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(9, n)).astype(np.float32)
    program = Program(kernel)
    program.embed(table, 0)
    program.vector(VectorFunction.MUL, n, rng.normal(size=n).astype(np.float32), flags=int(VectorFlag.B_STREAM), dst=48)
    for index, func in enumerate(VectorFunction):
        dst = 96 + 48 * index
        if func < VectorFunction.COPY:
            program.vector(func, n, src0=0, src1=48, dst=dst)
            program.vector(func, n, src0=dst, dst=dst, flags=int(VectorFlag.B_IMMEDIATE), imm=float(np.float32(0.7)))
        elif func == VectorFunction.SQRT:
            program.vector(VectorFunction.MUL, n, src0=0, src1=0, dst=dst)
            program.vector(func, n, src0=dst, dst=dst)
        else:
            program.vector(func, n, src0=0, dst=dst)
    if with_state:
        both = int(VectorFlag.A_STATE | VectorFlag.DST_STATE)
        program.vector(VectorFunction.ADD, n, src1=48, state=16, flags=both)
        program.vector(VectorFunction.COPY, n, state=16, dst=0, flags=int(VectorFlag.A_STATE))
    program.quantize(n, 0, 0, gain(rng, n), func=QuantizeFunction.NONE)
    program.linear(trits(rng, 9, n), Epilogue.LOGITS, 0, 0.01, dst=12)
    return program
