"""A program of the engine, run in numpy: instructions one by one over `tritloom.ir.numerics`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from kernel_library import GREEDY, STOP_TOKEN, Image
from tritloom.ir import numerics
from tritloom.ir.encoding import pack_linear, slices_of
from tritloom.ir.instruction import (
    Epilogue,
    Instruction,
    LinearFlag,
    Opcode,
    QuantizeFlag,
    QuantizeFunction,
    TableFormat,
    VectorFlag,
    VectorFunction,
)
from tritloom.ir.kernel import KernelLimits

F32 = np.float32
_BINARY = {
    VectorFunction.ADD: np.add,
    VectorFunction.SUB: np.subtract,
    VectorFunction.MUL: np.multiply,
    VectorFunction.DIV: np.divide,
    VectorFunction.MAX: np.maximum,
    VectorFunction.MIN: np.minimum,
}
_UNARY = {
    VectorFunction.COPY: lambda x: x,
    VectorFunction.SIGMOID: numerics.sigmoid,
    VectorFunction.SILU: numerics.silu,
    VectorFunction.SQRT: np.sqrt,
    VectorFunction.RELU: numerics.relu,
}


@dataclass
class Step:
    """An instruction with its operands that live in memory images."""

    op: Instruction
    trits: np.ndarray | None = None
    gains: tuple[np.ndarray, ...] = ()


@dataclass
class Program:
    """Steps, the embedding table, and where things end."""

    kernel: KernelLimits
    steps: list[Step] = field(default_factory=list)
    table: np.ndarray | None = None

    def add(self, op: Instruction, trits: np.ndarray | None = None, gains: tuple[np.ndarray, ...] = ()) -> None:
        self.steps.append(Step(op, trits, gains))

    def embed(self, table: np.ndarray, dst: int, form: TableFormat = TableFormat.F32) -> None:
        self.table = table
        self.add(Instruction(Opcode.EMBED, form, length=table.shape[1], rows=table.shape[0], dst=dst))

    def quantize(self, n: int, src: int, slot: int, w2: np.ndarray, w1: np.ndarray | None = None, **fields) -> None:
        """Norms from `func`; `b` is the address of the second operand; `new` computes the factor."""
        b, new = fields.pop("b", None), fields.pop("new", True)
        flags = (QuantizeFlag.NEW_STATS if new else 0) | (QuantizeFlag.HAS_B if b is not None else 0)
        op = Instruction(Opcode.QUANTIZE, flags=int(flags), length=n, src0=src, src1=b or 0, slot=slot, **fields)
        two = op.func == QuantizeFunction.TWO and new
        self.add(op, gains=(w1, w2) if two else (w2,))

    def reduce(self, n: int, src: int, eps: float | None = None) -> None:
        """The mean, or with `eps` the norm factor, to the register."""
        func = QuantizeFunction.MEAN if eps is None else QuantizeFunction.ONE
        flags = int(QuantizeFlag.NEW_STATS | QuantizeFlag.FACTOR_ONLY)
        self.add(Instruction(Opcode.QUANTIZE, func, flags=flags, length=n, src0=src, eps0=eps or 0.0))

    def quantize_range(self, n: int, src: int, slot: int) -> None:
        self.add(Instruction(Opcode.QUANTIZE, QuantizeFunction.RANGE, length=n, src0=src, slot=slot))

    def quantize_static(self, n: int, src: int, slot: int, step: float, zero: int, low: int, high: int) -> None:
        codes = {"zero": zero, "low": low, "high": high}
        inverse = float(numerics.inverse_step(step))
        op = Instruction(
            Opcode.QUANTIZE, QuantizeFunction.STATIC, length=n, src0=src, slot=slot, scale=step, eps0=inverse, **codes
        )
        self.add(op)

    def linear(self, trits: np.ndarray, func: Epilogue, slot: int, scale: float, **fields) -> None:
        """`zero`: the codes may have another zero; `row_scales`, `bias`, `lower`: vectors by row."""
        rows, length = trits.shape
        sums = trits.sum(axis=1, dtype=np.int32).view(F32) if fields.pop("zero", False) else None
        row_scales, bias, lower = (fields.pop(name, None) for name in ("row_scales", "bias", "lower"))
        flags = LinearFlag(0)
        for flag, vector in zip(LinearFlag, (sums, row_scales, bias), strict=True):
            flags |= flag if vector is not None else LinearFlag(0)
        op = Instruction(
            Opcode.LINEAR,
            func,
            flags=int(flags),
            rows=rows,
            length=length,
            slot=slot,
            scale=scale,
            slices=slices_of(length),
            **fields,
        )
        self.add(op, trits, tuple(vector for vector in (sums, row_scales, bias, lower) if vector is not None))

    def vector(self, func: VectorFunction, n: int, constant: np.ndarray | None = None, **fields) -> None:
        self.add(
            Instruction(Opcode.VECTOR, func, length=n, **fields), gains=(constant,) if constant is not None else ()
        )

    def image(self) -> Image:
        kernel = self.kernel
        ports = [b""] * kernel.ports
        gains = []
        stride = 0
        state = 0
        for step in self.steps:
            op = step.op
            if step.trits is not None:
                runs = pack_linear(step.trits, kernel.slices, kernel.ports)
                ports = [old + new for old, new in zip(ports, runs, strict=True)]
            if step.gains:
                words = [
                    np.pad(v, (0, -len(v) % kernel.lanes)).astype(F32).reshape(-1, kernel.lanes) for v in step.gains
                ]
                gains.append(np.stack(words, axis=1).tobytes())
            if op.opcode == Opcode.LINEAR and op.func == Epilogue.LOGITS:
                stride = op.dst
            if op.opcode == Opcode.LINEAR and op.func == Epilogue.HGRN:
                state = max(state, op.state + op.rows)
            if op.opcode == Opcode.VECTOR and op.flags & (VectorFlag.A_STATE | VectorFlag.DST_STATE):
                state = max(state, op.state + op.length)
        program = b"".join(step.op.encode() for step in self.steps)
        return Image(ports, b"".join(gains), program, self._table_bytes(), state, stride)

    def _table_bytes(self) -> bytes:
        if self.table is None:
            return b""
        form = next(step.op.func for step in self.steps if step.op.opcode == Opcode.EMBED)
        table = self.table.astype(F32)
        if form == TableFormat.F16:
            data = table.astype(np.float16).view(np.uint16)
        elif form == TableFormat.BF16:
            data = (table.view(np.uint32) >> 16).astype(np.uint16)
        else:
            data = table.view(np.uint32)
        row = data.view(np.uint8).reshape(len(table), -1)
        return np.pad(row, ((0, 0), (0, -row.shape[1] % 16))).tobytes()


class Machine:
    """Vector memory, codes and state; `trace` in the kernel's order."""

    def __init__(self, program: Program, state: np.ndarray | None = None):
        self.program = program
        kernel = program.kernel
        self.state = np.zeros(kernel.state_words, F32)
        if state is not None:
            self.state[: state.size] = state
        self.trace: list[tuple[tuple[int, int, int, str], np.ndarray]] = []
        self.logits: dict[int, np.ndarray] = {}
        self.factor: dict[int, np.ndarray] = {}

    def run(self, tokens: list[int], B: int = 1, N: int = 0, mode: int = 0, stop_token: int = 0) -> list[int]:
        """Positions one after the other, in passes as the kernel takes them. Returns the generated tokens."""
        made: list[int] = []
        number = 0
        for first in range(0, len(tokens), B):
            self._pass(number, first, tokens[first : first + B])
            number += 1
        wanted = N if mode & GREEDY else 0
        while len(made) < wanted:
            made.append(int(np.argmax(self.logits[max(self.logits)])))
            if len(made) == wanted or (mode & STOP_TOKEN and made[-1] == stop_token):
                break
            self._pass(number, len(tokens) + len(made) - 1, [made[-1]])
            number += 1
        return made

    def _pass(self, number: int, first: int, tokens: list[int]) -> None:
        positions = range(first, first + len(tokens))
        vectors = {p: np.zeros(self.program.kernel.vector_words, F32) for p in positions}
        codes: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]] = {}
        for index, step in enumerate(self.program.steps):
            for position, token in zip(positions, tokens, strict=True):
                shown = self._step(step, position, token, vectors[position], codes)
                self.trace += [((number, index, position, what), data) for what, data in shown]

    def _step(self, step, position, token, vector, codes):
        op = step.op
        if op.opcode == Opcode.EMBED:
            vector[op.dst : op.dst + op.length] = self.program.table[token]
            return [("out", vector[op.dst : op.dst + op.length].copy())]
        if op.opcode == Opcode.QUANTIZE:
            if op.flags & QuantizeFlag.FACTOR_ONLY:
                a = vector[op.src0 : op.src0 + op.length]
                mean = op.func == QuantizeFunction.MEAN
                self.factor[position] = numerics.mean(a) if mean else numerics.norm_factor(a, F32(op.eps0))
                return [("scale", self.factor[position])]
            q, scale, zero = self._quantize(op, step.gains, position, vector)
            codes[position, op.slot] = q, scale, zero
            return [("codes", q), ("scale", scale)]
        if op.opcode == Opcode.LINEAR:
            return self._linear(step, position, vector, *codes[position, op.slot])
        return self._vector(op, step.gains, vector, position)

    def _quantize(self, op, gains, position, vector):
        a = vector[op.src0 : op.src0 + op.length]
        if op.func == QuantizeFunction.RANGE:
            q, scale, zero = numerics.quantize_range(a)
            return q, scale, int(zero[0])
        if op.func == QuantizeFunction.STATIC:
            q = numerics.quantize_static(a, F32(op.eps0), op.zero, op.low, op.high)
            return q, F32([op.scale]), op.zero
        b = vector[op.src1 : op.src1 + op.length] if op.flags & QuantizeFlag.HAS_B else None
        u = a * gains[-1].astype(F32)
        u = u * b if b is not None else u
        q, largest = numerics.quantize(u)
        if op.func == QuantizeFunction.NONE:
            return q, largest * F32(1), 0
        if op.flags & QuantizeFlag.NEW_STATS:
            if op.func == QuantizeFunction.ONE:
                factor = numerics.norm_factor(a, F32(op.eps0))
            else:
                z = a * gains[0].astype(F32)
                z = z * b if b is not None else z
                factor = numerics.double_norm_factor(a, z, F32(op.eps0), F32(op.eps1))
            self.factor[position] = factor
        return q, largest * self.factor[position], 0

    def _linear(self, step, position, vector, q, scale, zero):
        op, constants = step.op, list(step.gains)
        acc = (step.trits.astype(np.int32) @ q[: op.length].astype(np.int32)).astype(np.int32)
        if op.flags & LinearFlag.ROW_SUMS:
            acc = acc - zero * constants.pop(0).view(np.int32)
        y = numerics.dequantize(acc, scale, F32(op.scale))
        if op.flags & LinearFlag.ROW_SCALES:
            y = y * constants.pop(0)
        if op.flags & LinearFlag.BIAS:
            y = y + constants.pop(0)
        shown = [("acc", acc)]
        if op.func == Epilogue.LOGITS:
            self.logits[position] = y
            return [*shown, ("out", y)]
        source = vector[op.src0 : op.src0 + op.rows].copy()
        if op.func == Epilogue.ADD:
            y = source + y
        elif op.func == Epilogue.SWIGLU:
            y = numerics.silu(y[0::2]) * y[1::2]
        elif op.func == Epilogue.HGRN:
            state = self.state[op.state : op.state + op.rows]
            state[:], y = numerics.hgrn(y, source, constants[0].astype(F32), state.copy())
        vector[op.dst : op.dst + len(y)] = y
        shown.append(("out", y.copy()))
        if op.func == Epilogue.HGRN:
            shown.append(("state", state.copy()))
        return shown

    def _vector(self, op, gains, vector, position):
        state = self.state[op.state : op.state + op.length]
        a = state.copy() if op.flags & VectorFlag.A_STATE else vector[op.src0 : op.src0 + op.length].copy()
        if op.func in _UNARY:
            result = _UNARY[VectorFunction(op.func)](a)
        else:
            b = vector[op.src1 : op.src1 + op.length]
            if op.flags & VectorFlag.B_STREAM:
                b = gains[0].astype(F32)
            if op.flags & VectorFlag.B_IMMEDIATE:
                b = F32(op.imm)
            if op.flags & VectorFlag.B_FACTOR:
                b = self.factor[position]
            result = _BINARY[VectorFunction(op.func)](a, b)
        if op.flags & VectorFlag.DST_STATE:
            state[:] = numerics.flush(result)
            return [("state", state.copy())]
        vector[op.dst : op.dst + op.length] = result
        return [("out", result.copy())]


def top(logits: np.ndarray, count: int) -> list[int]:
    """Indices of the largest values: larger first, then lower index."""
    return sorted(range(len(logits)), key=lambda i: (-float(logits[i]), i))[:count]


def compare_traces(got, expected) -> None:
    """Both traces, entry by entry, bit by bit; names the first difference."""
    assert [key for key, _ in got] == [key for key, _ in expected]
    for (key, left), (_, right) in zip(got, expected, strict=True):
        same = left.view(np.uint8) == right.reshape(-1).view(np.uint8)
        assert same.all(), f"{key}: {left[:8]} against {right.reshape(-1)[:8]}"
