"""Hard-wired matrices: every output a tree of adders, with and without sharing pairs of summands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
from tritloom.analysis.adders import ZERO, AdderGraph, GraphBuilder, Trits, width_of
from tritloom.analysis.sharing import share

from .arithmetic import CYCLES, delayed, pack
from .cases import Case
from .simulation import Port, Trace
from .synthesis import Design


def plain(trits: Trits) -> AdderGraph:
    """Each row a tree of its own."""
    builder = GraphBuilder(trits.shape[1])
    rows = [[(int(k), bool(row[k] < 0)) for k in np.flatnonzero(row)] for row in trits]
    return builder.graph([builder.tree(row) for row in rows])


def verilog(graph: AdderGraph, low: int, high: int, out: int) -> str:
    """A register after each adder, and as many on the way as make both operands arrive together."""
    bits, levels, last = width_of(low, high), graph.levels(), graph.depth()
    ranges = [(low, high)] * graph.inputs + graph.ranges(low, high)
    lines: list[str] = []
    made: set[tuple[int, int]] = set()

    def declare(kind: str, value: int, level: int) -> str:
        name, signed = f"n{value}_{level}", "signed " if ranges[value][0] < 0 else ""
        lines.append(f"  {kind} {signed}[{width_of(*ranges[value]) - 1}:0] {name};")
        return name

    def at(value: int, level: int) -> str:
        """The value `level` clocks after the inputs, as a signed number."""
        if value == ZERO:
            return "1'sd0"
        name = f"n{value}_{level}"
        if (value, level) not in made and level > levels[value]:
            before = at(value, level - 1)
            made.add((value, level))
            declare("reg", value, level)
            lines.append(f"  always @(posedge clk) {name} <= {before};")
        return name if ranges[value][0] < 0 else f"$signed({{1'b0, {name}}})"

    for k in range(graph.inputs):
        lines.append(f"  assign {declare('wire', k, 0)} = x[{k * bits}+:{bits}];")
    for number, adder in enumerate(graph.adders):
        value = graph.inputs + number
        level = levels[value]
        left, right = at(adder.left, level - 1), at(adder.right, level - 1)
        name = declare("reg", value, level)
        lines.append(f"  always @(posedge clk) {name} <= {left} {'-' if adder.subtract else '+'} {right};")
    for row, value in enumerate(graph.outputs):
        lines.append(f"  wire signed [{out - 1}:0] y{row} = {at(value, last)};")
    joined = ", ".join(f"y{row}" for row in reversed(range(len(graph.outputs))))
    body = "\n".join([*lines, f"  assign y = {{{joined}}};"])
    head = f"input clk, input [{graph.inputs * bits - 1}:0] x, output [{len(graph.outputs) * out - 1}:0] y"
    return f"module matrix({head});\n{body}\nendmodule\n"


METHODS: Final[Mapping[str, Callable[[Trits], AdderGraph]]] = {"plain": plain, "shared pairs": share}


def random_trits(rows: int, columns: int, zeros: int) -> Trits:
    """With so many percent zeros."""
    weight = (1 - zeros / 100) / 2
    rng = np.random.default_rng(rows * columns)
    return rng.choice(np.array([-1, 0, 1], np.int8), size=(rows, columns), p=[weight, zeros / 100, weight])


def codes_of(bits: int, kind: str) -> tuple[int, int]:
    """The range of codes."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind == "signed" else (0, (1 << bits) - 1)


def matrix(method: str, rows: int, columns: int, bits: int, kind: str, zeros: int) -> Case:
    trits = random_trits(rows, columns, zeros)
    low, high = codes_of(bits, kind)
    graph = METHODS[method](trits)
    out = bits + columns.bit_length() + 1

    def trace() -> Trace:
        x = np.random.default_rng(bits).integers(low, high, (CYCLES // 4, columns), endpoint=True)
        x[::5] = low
        inputs = {"x": Port(columns * bits, pack(x, bits))}
        return Trace(inputs, {"y": Port(rows * out, delayed(pack(x @ trits.T, out), graph.depth()))})

    design = Design("matrix", {}, {"matrix.v": verilog(graph, low, high, out)})
    shown = {"rows": rows, "columns": columns, "bits": bits, "kind": kind, "zeros": zeros}
    return Case(f"hard-wired, {method}", {**shown, "adders": len(graph.adders)}, design, trace)


POINTS: Final = (
    (32, 32, 2, "signed", 40),
    (32, 32, 4, "signed", 40),
    (32, 32, 8, "signed", 40),
    (16, 9, 8, "unsigned", 70),
    (10, 64, 2, "unsigned", 40),
    (64, 64, 2, "unsigned", 50),
    (32, 144, 4, "unsigned", 60),
)


def cases() -> Iterator[Case]:
    for point in POINTS[:3]:
        yield matrix("plain", *point)
    for point in POINTS:
        yield matrix("shared pairs", *point)
