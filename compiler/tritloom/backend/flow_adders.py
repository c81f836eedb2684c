"""The adders of a hard-wired stage as C++ statements, every sum at the width it needs."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis.adders import ZERO, width_of
from ..analysis.sharing import graph_of
from .flow_design import Element, Stage
from .flow_roms import integer


def statements(stage: Stage, codes: Element) -> Iterator[str]:
    """One statement an adder, then one an output; `x` is the word of codes, `y` that of the sums."""
    graph = graph_of(stage.roms["weights"])

    def name(value: int) -> str:
        return f"x.lane[{value}]" if value < graph.inputs else f"a{value - graph.inputs}"

    bounds = graph.ranges(codes.low, codes.high)
    if all(value == ZERO for value in graph.outputs):
        yield "static_cast<void>(x);"
    for number, (adder, (low, high)) in enumerate(zip(graph.adders, bounds, strict=True)):
        left = "" if adder.left == ZERO else f"{name(adder.left)} "
        sign = ("-" if adder.subtract else "+") + (" " if left else "")
        yield f"const {_type(low, high)} a{number} = {left}{sign}{name(adder.right)};"
    for row, value in enumerate(graph.outputs):
        shown = "0" if value == ZERO else name(value)
        yield f"y.lane[{row}] = L::Out::type({shown});"


def _type(low: int, high: int) -> str:
    return f"{integer(Element(width_of(low, high), low < 0)).removeprefix('loom::')}::type"
