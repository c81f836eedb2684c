"""Behind the scores: the best channels of a vector, and what the host makes of scores."""

from __future__ import annotations

from typing import ClassVar

from ..mlir import (
    Attribute,
    EnumAttribute,
    IntegerAttr,
    IRDLOperation,
    Operation,
    ParsePropInAttrDict,
    Pure,
    SpacedOpaqueSyntaxAttribute,
    SSAValue,
    StrEnum,
    SymbolRefAttr,
    VerifyException,
    f32,
    i64,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from .integers import element_of, integer_for, range_of, shape_of, tensor_of
from .net import PortAttr
from .quantisers import check_exact
from .symbols import RankingOp, check_vector, symbol, vector


def ranking(op: Operation, reference: SymbolRefAttr) -> RankingOp:
    """The ranking that `reference` names."""
    found = symbol(op, reference)
    if not isinstance(found, RankingOp):
        raise VerifyException(f"{op.name}: @{reference.root_reference.data} is no ranking")
    return found


def check_ranking(op: Operation, reference: SymbolRefAttr, channels: int) -> None:
    """Verify that `reference` names a ranking of so many channels, or one for all."""
    found = ranking(op, reference)
    if (count := max(found.multipliers.value.data, found.biases.value.data)) not in (1, channels):
        raise VerifyException(f"{op.name}: @{found.sym_name.data} has {count} channels, the operand {channels}")


@irdl_op_definition
class TopKOp(IRDLOperation):
    """The k channels of every vector whose scores are the largest, the best first: their indices, and their sums.

    Of equal scores the channel of the lower index goes first, with `last` that of the higher one. `ranks` is the ONNX
    tensor of the scores.
    """

    name = "tern.top_k"
    operand = operand_def()
    ranking = prop_def(SymbolRefAttr)
    k = prop_def(IntegerAttr)
    last = prop_def(IntegerAttr)
    ranks = opt_prop_def(PortAttr)
    indices = result_def()
    sums = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = (
        "$operand $ranking attr-dict `:` type($operand) `->` type($indices) `,` type($sums)"
    )
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, ranking: str, k: int, last: bool, ranks: PortAttr | None = None) -> None:
        shape = shape_of(operand)
        kept = (*shape[:-1], k)
        super().__init__(
            operands=[operand],
            properties={
                "ranking": SymbolRefAttr(ranking),
                "k": IntegerAttr(k, i64),
                "last": IntegerAttr(int(last), i64),
                "ranks": ranks,
            },
            result_types=[tensor_of(kept, integer_for(0, shape[-1] - 1)), tensor_of(kept, element_of(operand))],
        )

    def verify_(self) -> None:
        *pixels, channels = shape_of(self.operand)
        check_ranking(self, self.ranking, channels)
        if not 1 <= self.k.value.data <= channels:
            raise VerifyException(f"tern.top_k: {self.k.value.data} of {channels} channels")
        if {shape_of(value) for value in (self.indices, self.sums)} != {(*pixels, self.k.value.data)}:
            raise VerifyException(f"tern.top_k: the results have no {self.k.value.data} channels")
        check_indices(self, self.indices, channels)
        if element_of(self.sums) != element_of(self.operand):
            raise VerifyException("tern.top_k: operand and sums differ in element type")


def check_indices(op: Operation, indices: SSAValue, channels: int) -> None:
    """Verify that a tensor can hold the indices of so many channels."""
    low, high = range_of(element_of(indices))
    if low or high < channels - 1:
        raise VerifyException(f"{op.name}: {indices.type} does not hold indices of {channels} channels")


@irdl_op_definition
class UnpairOp(IRDLOperation):
    """Indices and sums of pairs {index, sum} that lie one behind the other along the channels."""

    name = "tern.unpair"
    operand = operand_def()
    indices = result_def()
    sums = result_def()

    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($indices) `,` type($sums)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, indices: Attribute, sums: Attribute) -> None:
        super().__init__(operands=[operand], result_types=[indices, sums])

    def verify_(self) -> None:
        *pixels, kept = shape_of(self.indices)
        if shape_of(self.operand) != (*pixels, 2 * kept) or shape_of(self.sums) != (*pixels, kept):
            raise VerifyException("tern.unpair: the operand does not hold a pair for each index and sum")
        element_of(self.operand)


@irdl_op_definition
class ScoresAtOp(IRDLOperation):
    """Scores of the channels that `indices` name: `float32(a) * scale[i] + offset[i]`, as `tern.scores` has them."""

    name = "tern.scores_at"
    operand = operand_def()
    indices = operand_def()
    scale = prop_def(SymbolRefAttr)
    offset = prop_def(SymbolRefAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = (
        "$operand `,` $indices attr-dict `:` type($operand) `,` type($indices) `->` type($result)"
    )
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, indices: SSAValue, scale: str, offset: str) -> None:
        super().__init__(
            operands=[operand, indices],
            properties={"scale": SymbolRefAttr(scale), "offset": SymbolRefAttr(offset)},
            result_types=[tensor_of(shape_of(operand), f32)],
        )

    def verify_(self) -> None:
        check_exact(self, self.operand)
        if len({shape_of(value) for value in (self.operand, self.indices, self.result)}) != 1:
            raise VerifyException("tern.scores_at: operands and result differ in shape")
        channels = vector(self, self.scale).length.value.data
        check_vector(self, self.offset, channels)
        check_indices(self, self.indices, channels)


@irdl_op_definition
class TakeOp(IRDLOperation):
    """The floats of the channels that `indices` name."""

    name = "tern.take"
    operand = operand_def()
    indices = operand_def()
    result = result_def()

    assembly_format: ClassVar[str] = (
        "$operand `,` $indices attr-dict `:` type($operand) `,` type($indices) `->` type($result)"
    )
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, indices: SSAValue) -> None:
        super().__init__(operands=[operand, indices], result_types=[tensor_of(shape_of(indices), f32)])

    def verify_(self) -> None:
        element_of(self.indices)
        if shape_of(self.indices) != shape_of(self.result):
            raise VerifyException("tern.take: indices and result differ in shape")
        if shape_of(self.operand)[:-1] != shape_of(self.result)[:-1]:
            raise VerifyException("tern.take: operand and result differ in rows or columns")


class Activation(StrEnum):
    """What the host makes of scores."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax"


@irdl_attr_definition
class ActivationAttr(EnumAttribute[Activation], SpacedOpaqueSyntaxAttribute):
    name = "tern.activation"


@irdl_op_definition
class ActivationOp(IRDLOperation):
    """A function of scores, in float32 (docs/numerics.md): of each alone, or over the channels of each vector."""

    name = "tern.activation"
    operand = operand_def()
    kind = prop_def(ActivationAttr)
    result = result_def()

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand attr-dict `:` type($operand) `->` type($result)"
    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, kind: Activation) -> None:
        super().__init__(
            operands=[operand],
            properties={"kind": ActivationAttr(kind)},
            result_types=[tensor_of(shape_of(operand), f32)],
        )

    def verify_(self) -> None:
        if self.operand.type != self.result.type or self.result.type != tensor_of(shape_of(self.result), f32):
            raise VerifyException("tern.activation: operand and result are one tensor of f32")
