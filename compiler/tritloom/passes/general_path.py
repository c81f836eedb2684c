"""Operations without an instruction of their own, as elementwise instructions that compute the same bits."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import engine, tern
from ..ir.mlir import FloatAttr, Operation, SSAValue, SymbolRefAttr

_FUNCTIONS = engine.FunctionKind


@dataclass
class Expression:
    """Collects the elementwise instructions of one expression."""

    ops: list[Operation]

    def add(self, op: Operation) -> SSAValue:
        """Append an operation; its last result."""
        self.ops.append(op)
        return op.results[-1]

    def apply(
        self,
        function: engine.FunctionKind,
        a: SSAValue,
        b: SSAValue | float | SymbolRefAttr | None = None,
    ) -> SSAValue:
        """`function(a, b)`, b a vector, a number, or a constant of the store."""
        match b:
            case SymbolRefAttr():
                return self.add(engine.ElementwiseOp(function, a, stream=b))
            case float():
                return self.add(engine.ElementwiseOp(function, a, imm=b))
            case _:
                return self.add(engine.ElementwiseOp(function, a, b))

    def fill(self, b: float | SymbolRefAttr, like: SSAValue) -> SSAValue:
        """A constant in vector memory, made from a vector of its length: `like * 0 + b`."""
        return self.apply(_FUNCTIONS.ADD, self.apply(_FUNCTIONS.MUL, like, 0.0), b)

    def center(self, x: SSAValue) -> SSAValue:
        """x less its mean."""
        return self.apply(_FUNCTIONS.SUB, x, self.add(engine.ReduceOp(x)))

    def rms_norm(self, x: SSAValue, gain: SymbolRefAttr, eps: FloatAttr) -> SSAValue:
        """`(x * factor) * gain`: a norm that no quantiser takes in."""
        return self.apply(_FUNCTIONS.MUL, self.apply(_FUNCTIONS.MUL, x, self.add(engine.ReduceOp(x, eps))), gain)

    def recurrence(
        self, forget: SSAValue | float | SymbolRefAttr, value: SSAValue | float | SymbolRefAttr, state: SSAValue
    ) -> tuple[SSAValue, SSAValue]:
        """`h = flush(forget*h + value)`: (next state, h). Only where one position is computed at a time."""
        old = self.add(engine.LoadStateOp(state))
        new = self.apply(_FUNCTIONS.ADD, self.apply(_FUNCTIONS.MUL, old, forget), value)
        stored = self.add(engine.StoreStateOp(new, state))
        return stored, self.add(engine.LoadStateOp(stored))

    def swiglu(self, x: SSAValue) -> SSAValue:
        """`silu(u) * v` of the halves of x."""
        length = engine.engine_length(x) // 2
        u, v = (self.add(engine.ViewOp(x, offset, length)) for offset in (0, length))
        return self.apply(_FUNCTIONS.MUL, self.apply(_FUNCTIONS.SILU, u), v)

    def hgrn(
        self, forget: SSAValue, value: SSAValue, state: SSAValue, lower: SymbolRefAttr | None
    ) -> tuple[SSAValue, SSAValue]:
        """The token mixer of docs/numerics.md: (next state, silu(h))."""
        f = self.apply(_FUNCTIONS.SIGMOID, forget)
        one = self.fill(1.0, f)
        if lower is not None:
            rest = self.apply(_FUNCTIONS.SUB, one, lower)
            f = self.apply(_FUNCTIONS.ADD, self.apply(_FUNCTIONS.MUL, rest, f), lower)
        complement = self.apply(_FUNCTIONS.SUB, one, f)
        gated = self.apply(_FUNCTIONS.MUL, self.apply(_FUNCTIONS.SILU, value), complement)
        next_state, h = self.recurrence(f, gated, state)
        return next_state, self.apply(_FUNCTIONS.SILU, h)


def constant_of(value: SSAValue) -> float | SymbolRefAttr | None:
    """The number or the symbol behind a constant of the `tern` dialect."""
    match value.owner:
        case tern.FillOp() as fill:
            return float(fill.value.value.data)
        case tern.LoadOp() as load:
            return load.vector
    return None
