"""The patterns, tried in this order; the first that matches wins. A new one is a file and a line here."""

from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from ..graph import Graph
from ..problems import Refusal
from ..scalars import is_scalar, scalar_factor
from . import (
    constant,
    elementwise,
    embedding,
    gelu,
    grid,
    layer_norm,
    linear,
    quantizer,
    range_quantizer,
    recurrence,
    rms_norm,
    silu,
    source,
    split,
    state,
    static_quantizer,
)
from .base import Match, Pattern
from .linear import as_codes
from .quantizer import unrounded_by

Find = Callable[[Graph, ir.Value], Match | Refusal | None]


def _of_codes(match: Find) -> Find:
    """The pattern of a quantiser: only what a product asks for as codes."""

    def find(graph: Graph, value: ir.Value) -> Match | Refusal | None:
        held = graph.held_as_codes(value)
        return None if held is None else match(graph, held)

    return find


PATTERNS: Final = (
    Pattern("constant", constant.match),
    Pattern("source", source.match),
    Pattern("state", state.match),
    Pattern("recurrence", recurrence.match),
    Pattern("embedding", embedding.match),
    Pattern("linear", linear.match),
    Pattern("layer-norm", layer_norm.match),
    Pattern("rms-norm", rms_norm.match),
    Pattern("absmax-quantizer", _of_codes(quantizer.match)),
    Pattern("range-quantizer", _of_codes(range_quantizer.match)),
    Pattern("static-quantizer", _of_codes(static_quantizer.match)),
    Pattern("silu", silu.match),
    Pattern("gelu", gelu.match),
    Pattern("split", split.match),
    Pattern("grid", grid.match),
    Pattern("elementwise", elementwise.match),
)


def scale_of_a_pattern(graph: Graph, value: ir.Value) -> bool:
    """Whether a scalar is the scale of a quantiser or of a norm: no operation of its own, so no error of its own."""
    if not is_scalar(graph, value):
        return False
    bases = scalar_factor(graph, value).powers
    return all(
        quantizer.absmax_of(graph, base)
        or rms_norm.root_of(graph, base)
        or graph.producer(base, "DynamicQuantizeLinear") is not None
        for base in bases
    )


__all__ = ["PATTERNS", "Match", "Pattern", "as_codes", "scale_of_a_pattern", "unrounded_by"]
