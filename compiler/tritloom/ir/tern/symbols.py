"""Names of constants. Their values stay in the weight store; the IR holds shape, scale and hash."""

from __future__ import annotations

from ..mlir import (
    ArrayAttr,
    Attribute,
    FloatAttr,
    IntegerAttr,
    IRDLOperation,
    ModuleOp,
    Operation,
    ParsePropInAttrDict,
    StringAttr,
    SymbolOpInterface,
    SymbolRefAttr,
    VerifyException,
    f32,
    i64,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    traits_def,
)

TABLE_FORMATS = ("f32", "f16", "bf16")


@irdl_op_definition
class WeightOp(IRDLOperation):
    """A ternary matrix [rows, cols] with one scale: `W = scale * T`. `hash` is the sha256 of its int8 trits, row-major.

    With `parts` it is these weights' rows one below the other.
    """

    name = "tern.weight"
    sym_name = prop_def(StringAttr)
    rows = prop_def(IntegerAttr)
    cols = prop_def(IntegerAttr)
    scale = prop_def(FloatAttr)
    hash = prop_def(StringAttr)
    parts = opt_prop_def(ArrayAttr)
    layout = opt_prop_def()
    """`#engine.packed`, once pack-weights has chosen it."""

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name attr-dict"
    traits = traits_def(SymbolOpInterface())

    def __init__(self, name: str, rows: int, cols: int, scale: float, digest: str, parts: tuple[str, ...] = ()) -> None:
        super().__init__(
            properties={
                "parts": ArrayAttr([SymbolRefAttr(part) for part in parts]) if parts else None,
                "sym_name": StringAttr(name),
                "rows": IntegerAttr(rows, i64),
                "cols": IntegerAttr(cols, i64),
                "scale": FloatAttr(scale, f32),
                "hash": StringAttr(digest),
            }
        )

    def part_names(self) -> list[str]:
        """Symbols whose rows this weight joins; empty for a root."""
        return [ref.root_reference.data for ref in _references(self.parts)]

    def verify_(self) -> None:
        if self.rows.value.data < 1 or self.cols.value.data < 1:
            raise VerifyException(f"weight @{self.sym_name.data}: rows and cols must be positive")
        if not 0.0 < self.scale.value.data < float("inf"):
            raise VerifyException(f"weight @{self.sym_name.data}: the scale must be positive and finite")
        parts = [part for part in (weight(self, ref) for ref in _references(self.parts)) if _stands_above(part, self)]
        if len(parts) != len(_references(self.parts)):
            raise VerifyException(f"weight @{self.sym_name.data}: its parts must stand above it")
        if parts and sum(part.rows.value.data for part in parts) != self.rows.value.data:
            raise VerifyException(f"weight @{self.sym_name.data}: its parts have another number of rows together")
        if any(part.cols != self.cols for part in parts):
            raise VerifyException(f"weight @{self.sym_name.data}: its parts have another number of columns")


@irdl_op_definition
class VectorOp(IRDLOperation):
    """A float32 vector: a root of the store, the elementwise product of other vectors (`factors`, left to right), or
    one value repeated (`splat`)."""

    name = "tern.vector"
    sym_name = prop_def(StringAttr)
    length = prop_def(IntegerAttr)
    factors = opt_prop_def(ArrayAttr)
    splat = opt_prop_def(FloatAttr)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name attr-dict"
    traits = traits_def(SymbolOpInterface())

    def __init__(self, name: str, length: int, factors: tuple[str, ...] = (), splat: float | None = None) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "length": IntegerAttr(length, i64),
                "factors": ArrayAttr([SymbolRefAttr(factor) for factor in factors]) if factors else None,
                "splat": FloatAttr(splat, f32) if splat is not None else None,
            }
        )

    def factor_names(self) -> list[str]:
        """Symbols whose product this vector is; empty for a root."""
        return [ref.root_reference.data for ref in _references(self.factors)]

    def verify_(self) -> None:
        if self.length.value.data < 1:
            raise VerifyException(f"vector @{self.sym_name.data}: the length must be positive")
        if self.factors is not None and self.splat is not None:
            raise VerifyException(f"vector @{self.sym_name.data}: it has either factors or splat")
        for reference in _references(self.factors):
            check_vector(self, reference, self.length.value.data)
            if not _stands_above(symbol(self, reference), self):
                raise VerifyException(f"vector @{self.sym_name.data}: its factors must stand above it")


@irdl_op_definition
class TableOp(IRDLOperation):
    """An embedding table [rows, cols], stored as f32, f16 or bf16 (`format`)."""

    name = "tern.table"
    sym_name = prop_def(StringAttr)
    rows = prop_def(IntegerAttr)
    cols = prop_def(IntegerAttr)
    format = prop_def(StringAttr)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name attr-dict"
    traits = traits_def(SymbolOpInterface())

    def __init__(self, name: str, rows: int, cols: int, format: str) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "rows": IntegerAttr(rows, i64),
                "cols": IntegerAttr(cols, i64),
                "format": StringAttr(format),
            }
        )

    def verify_(self) -> None:
        if self.rows.value.data < 1 or self.cols.value.data < 1:
            raise VerifyException(f"table @{self.sym_name.data}: rows and cols must be positive")
        if self.format.data not in TABLE_FORMATS:
            raise VerifyException(
                f"table @{self.sym_name.data}: format {self.format.data} is not one of {TABLE_FORMATS}"
            )


@irdl_op_definition
class StepsOp(IRDLOperation):
    """Name of a step function: a root of the store, or with `sum_of` that function of two operands as one of their sum.

    `hash` is its digest; `channels` is 1 where all channels are alike.
    """

    name = "tern.steps"
    sym_name = prop_def(StringAttr)
    channels = prop_def(IntegerAttr)
    operands_ = prop_def(IntegerAttr, prop_name="operands")
    low = prop_def(IntegerAttr)
    step = prop_def(IntegerAttr)
    levels = prop_def(IntegerAttr)
    hash = prop_def(StringAttr)
    sum_of = opt_prop_def(SymbolRefAttr)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name attr-dict"
    traits = traits_def(SymbolOpInterface())

    def __init__(
        self,
        name: str,
        channels: int,
        operands: int,
        low: int,
        step: int,
        levels: int,
        digest: str,
        sum_of: str | None = None,
    ) -> None:
        numbers = {"channels": channels, "operands": operands, "low": low, "step": step, "levels": levels}
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                **{key: IntegerAttr(value, i64) for key, value in numbers.items()},
                "hash": StringAttr(digest),
                "sum_of": SymbolRefAttr(sum_of) if sum_of is not None else None,
            }
        )

    @property
    def high(self) -> int:
        return self.low.value.data + self.step.value.data * self.levels.value.data

    def verify_(self) -> None:
        numbers = (self.channels, self.operands_, self.step, self.levels)
        if any(number.value.data < 1 for number in numbers):
            raise VerifyException(f"steps @{self.sym_name.data}: channels, operands, step and levels must be positive")
        if self.sum_of is None:
            return
        two = symbol(self, self.sum_of)
        if not isinstance(two, StepsOp) or two.operands_.value.data != 2 or not _stands_above(two, self):
            raise VerifyException(f"steps @{self.sym_name.data}: sum_of names steps of two operands above it")


@irdl_op_definition
class RankingOp(IRDLOperation):
    """Name of the keys that order sums as their scores are ordered (`ir.ranking`).

    `multipliers` and `biases` are 1 where all channels have the same; `bits` are those of a key, `multiplier_bits`
    those of the widest multiplier, 0 where shifts do; `hash` is the digest of the tables.
    """

    name = "tern.ranking"
    sym_name = prop_def(StringAttr)
    multipliers = prop_def(IntegerAttr)
    biases = prop_def(IntegerAttr)
    bits = prop_def(IntegerAttr)
    multiplier_bits = prop_def(IntegerAttr)
    hash = prop_def(StringAttr)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name attr-dict"
    traits = traits_def(SymbolOpInterface())

    def __init__(self, name: str, multipliers: int, biases: int, bits: int, multiplier_bits: int, digest: str) -> None:
        numbers = {"multipliers": multipliers, "biases": biases, "bits": bits, "multiplier_bits": multiplier_bits}
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                **{key: IntegerAttr(value, i64) for key, value in numbers.items()},
                "hash": StringAttr(digest),
            }
        )

    def verify_(self) -> None:
        counts = (self.multipliers.value.data, self.biases.value.data)
        if min(*counts, self.bits.value.data) < 1 or self.multiplier_bits.value.data < 0:
            raise VerifyException(f"ranking @{self.sym_name.data}: multipliers, biases and bits must be positive")
        if 1 not in counts and counts[0] != counts[1]:
            raise VerifyException(f"ranking @{self.sym_name.data}: {counts[0]} multipliers and {counts[1]} biases")


def _references(symbols: ArrayAttr[Attribute] | None) -> list[SymbolRefAttr]:
    return [ref for ref in symbols if isinstance(ref, SymbolRefAttr)] if symbols is not None else []


def _stands_above(op: Operation, other: Operation) -> bool:
    """Whether `op` is declared before `other`, so that no symbol is made of itself."""
    return op is not other and op.is_before_in_block(other)


_SYMBOLS = (WeightOp, VectorOp, TableOp, StepsOp, RankingOp)


def symbol(op: Operation, reference: SymbolRefAttr) -> Operation:
    """The module-level operation that `reference`, used by `op`, names.

    Raises:
        VerifyException: there is none.
    """
    module: Operation | None = op
    while module is not None and not isinstance(module, ModuleOp):
        module = module.parent_op()
    wanted = reference.root_reference
    if isinstance(module, ModuleOp):
        for candidate in module.body.block.ops:
            # The name first: this loop is half of the time that verifying takes.
            if candidate.properties.get("sym_name") == wanted and isinstance(candidate, _SYMBOLS):
                return candidate
    raise VerifyException(f"{op.name}: @{wanted.data} names no constant of the module")


def weight(op: Operation, reference: SymbolRefAttr) -> WeightOp:
    """The weight that `reference` names."""
    found = symbol(op, reference)
    if not isinstance(found, WeightOp):
        raise VerifyException(f"{op.name}: @{reference.root_reference.data} is not a weight")
    return found


def vector(op: Operation, reference: SymbolRefAttr) -> VectorOp:
    """The vector that `reference` names."""
    found = symbol(op, reference)
    if not isinstance(found, VectorOp):
        raise VerifyException(f"{op.name}: @{reference.root_reference.data} is not a vector")
    return found


def check_vector(op: Operation, reference: SymbolRefAttr | None, length: int) -> None:
    """Verify that `reference`, if given, names a vector of `length` elements."""
    if reference is None:
        return
    found = vector(op, reference)
    if found.length.value.data != length:
        raise VerifyException(
            f"{op.name}: @{found.sym_name.data} has {found.length.value.data} elements, the operand {length}"
        )
