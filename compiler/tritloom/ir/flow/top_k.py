"""The stage that ranks scores: it keeps the best channels of every vector."""

from __future__ import annotations

from typing import ClassVar

from ..mlir import (
    IntegerAttr,
    ParsePropInAttrDict,
    SSAValue,
    SymbolRefAttr,
    VerifyException,
    i64,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
)
from ..tern import TopKOp as TopKLayer
from ..tern import check_ranking, element_of, integer_for, range_of, shape_of, tensor_of
from .stage import Stage, channels_of, lanes_divide_channels
from .types import StreamType, stream_element, stream_of


@irdl_op_definition
class TopKOp(Stage):
    """The indices of the k best channels of every vector, the best first, or with `pairs` {index, sum} of each.

    All that it keeps of a vector is one word.
    """

    name = "flow.top_k"
    operand = operand_def(StreamType)
    ranking = prop_def(SymbolRefAttr)
    k = prop_def(IntegerAttr)
    last = prop_def(IntegerAttr)
    pairs = prop_def(IntegerAttr)
    result = result_def(StreamType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format: ClassVar[str] = "$operand $ranking attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, layer: TopKLayer, pairs: bool) -> None:
        """The stage of a layer."""
        *pixels, kept = shape_of(layer.indices)
        element = element_of(layer.indices)
        if pairs:
            ends = [end for value in (layer.indices, layer.sums) for end in range_of(element_of(value))]
            element = integer_for(min(ends), max(ends))
        kept *= 1 + pairs
        super().__init__(
            operands=[operand],
            properties={
                "ranking": layer.ranking,
                "k": layer.k,
                "last": layer.last,
                "pairs": IntegerAttr(int(pairs), i64),
            },
            result_types=[StreamType.of(tensor_of((*pixels, kept), element), kept)],
        )

    @property
    def channels(self) -> int:
        return channels_of(stream_of(self.operand))

    @property
    def kept(self) -> int:
        """Elements that it keeps of a vector, and lanes of the word that holds them."""
        return self.k.value.data * (2 if self.pairs.value.data else 1)

    def verify_(self) -> None:
        source, result = stream_of(self.operand), stream_of(self.result)
        check_ranking(self, self.ranking, self.channels)
        lanes_divide_channels(self, self.operand)
        if not 1 <= self.k.value.data <= self.channels:
            raise VerifyException(f"flow.top_k: {self.k.value.data} of {self.channels} channels")
        if result.shape != (*source.shape[:-1], self.kept) or result.lanes.data != self.kept:
            raise VerifyException(f"flow.top_k: the result is no word of {self.kept} elements a vector")
        held = [self.channels - 1, *(range_of(stream_element(self.operand)) if self.pairs.value.data else ())]
        low, high = range_of(stream_element(self.result))
        if min(held) < low or max(held) > high:
            raise VerifyException(f"flow.top_k: {result.tensor} does not hold what it keeps")
