"""Hard-wired matrices: every output a tree of adders, with and without sharing pairs of summands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .arithmetic import CYCLES, delayed, pack
from .cases import Case
from .simulation import Port, Trace
from .synthesis import Design


@dataclass(frozen=True)
class Term:
    """A node, with its sign and a factor of a power of two."""

    node: int
    negative: bool = False
    shift: int = 0


@dataclass
class Adders:
    """A graph of two-input adders, each with a register; node i < inputs is the i-th input."""

    inputs: int
    low: int
    high: int
    nodes: list[tuple[Term, Term]] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stages = [0] * self.inputs
        self.ranges = [(self.low, self.high)] * self.inputs

    def range_of(self, term: Term) -> tuple[int, int]:
        low, high = (bound << term.shift for bound in self.ranges[term.node])
        return (-high, -low) if term.negative else (low, high)

    def add(self, a: Term, b: Term) -> int:
        (low_a, high_a), (low_b, high_b) = self.range_of(a), self.range_of(b)
        self.nodes.append((a, b))
        self.stages.append(1 + max(self.stages[a.node], self.stages[b.node]))
        self.ranges.append((low_a + low_b, high_a + high_b))
        return self.inputs + len(self.nodes) - 1

    def total(self, terms: list[Term]) -> Term | None:
        """Adds the terms up, those first that are there first."""
        left = list(terms)
        while len(left) > 1:
            left.sort(key=lambda term: self.stages[term.node])
            a, b = left[:2]
            if a.negative and b.negative:
                both = Term(self.add(Term(a.node, shift=a.shift), Term(b.node, shift=b.shift)), negative=True)
            else:
                both = Term(self.add(b, a) if a.negative else self.add(a, b))
            left = [both, *left[2:]]
        return left[0] if left else None


def width(bounds: tuple[int, int]) -> int:
    low, high = bounds
    return max((low if low >= 0 else ~low).bit_length(), high.bit_length()) + 1


def plain(trits: np.ndarray, low: int, high: int) -> tuple[Adders, list[Term | None]]:
    """Each row a tree of its own."""
    graph = Adders(trits.shape[1], low, high)
    return graph, [graph.total([Term(int(k), bool(row[k] < 0)) for k in np.flatnonzero(row)]) for row in trits]


def shared(trits: np.ndarray, low: int, high: int) -> tuple[Adders, list[Term | None]]:
    """The pair that most rows have, up to the sign of both, becomes a node; again, until no pair is in two rows."""
    graph = Adders(trits.shape[1], low, high)
    rows = trits.astype(np.int32)
    while True:
        plus, minus = (rows > 0).astype(np.int32), (rows < 0).astype(np.int32)
        same = np.triu(plus.T @ plus + minus.T @ minus, 1)
        opposite = np.triu(plus.T @ minus + minus.T @ plus, 1)
        best = max(same.max(), opposite.max())
        if best < 2:
            break
        counts = same if same.max() >= opposite.max() else opposite
        i, j = (int(place) for place in np.unravel_index(np.argmax(counts), counts.shape))
        sign = 1 if counts is same else -1
        graph.add(Term(i), Term(j, negative=sign < 0))
        having = rows[:, i] * rows[:, j] == sign
        rows = np.concatenate([rows, np.where(having, rows[:, i], 0)[:, None]], axis=1)
        rows[having, i] = 0
        rows[having, j] = 0
    return graph, [graph.total([Term(int(k), bool(row[k] < 0)) for k in np.flatnonzero(row)]) for row in rows]


def verilog(graph: Adders, outputs: list[Term | None], bits: int, out: int) -> str:
    """A register after each adder, and as many on the way as make both operands arrive together."""
    last = max(graph.stages)
    lines: list[str] = []
    made: set[tuple[int, int]] = set()

    def at(node: int, stage: int) -> str:
        """The node's value `stage` clocks after the inputs."""
        name = f"n{node}_{stage}"
        if (node, stage) not in made and stage > graph.stages[node]:
            before = at(node, stage - 1)
            made.add((node, stage))
            lines.append(f"  reg signed [{width(graph.ranges[node]) - 1}:0] {name};")
            lines.append(f"  always @(posedge clk) {name} <= {before};")
        return name

    def value(term: Term, stage: int) -> str:
        return f"({at(term.node, stage)} <<< {term.shift})" if term.shift else at(term.node, stage)

    for k in range(graph.inputs):
        lines.append(f"  wire signed [{bits - 1}:0] n{k}_0 = x[{k * bits}+:{bits}];")
    for number, (a, b) in enumerate(graph.nodes):
        node = graph.inputs + number
        stage = graph.stages[node]
        name = f"n{node}_{stage}"
        left, right = value(a, stage - 1), value(b, stage - 1)
        lines.append(f"  reg signed [{width(graph.ranges[node]) - 1}:0] {name};")
        lines.append(f"  always @(posedge clk) {name} <= {left} {'-' if b.negative else '+'} {right};")
    for row, term in enumerate(outputs):
        text = "0" if term is None else ("-" if term.negative else "") + value(term, last)
        lines.append(f"  wire signed [{out - 1}:0] y{row} = {text};")
    joined = ", ".join(f"y{row}" for row in reversed(range(len(outputs))))
    body = "\n".join([*lines, f"  assign y = {{{joined}}};"])
    head = f"input clk, input [{graph.inputs * bits - 1}:0] x, output [{len(outputs) * out - 1}:0] y"
    return f"module matrix({head});\n{body}\nendmodule\n"


METHODS = {"plain": plain, "shared pairs": shared}


def matrix(method: str, rows: int, columns: int, bits: int, zeros: float, both: bool = False) -> Case:
    rng = np.random.default_rng(rows * columns)
    trits = rng.choice([-1, 0, 1], size=(rows, columns), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    graph, outputs = METHODS[method](trits, low, high)
    out = bits + columns.bit_length()

    def trace() -> Trace:
        x = np.random.default_rng(bits).integers(low, high, (CYCLES // 4, columns), endpoint=True)
        x[::5] = low
        inputs = {"x": Port(columns * bits, pack(x, bits))}
        return Trace(inputs, {"y": Port(rows * out, delayed(pack(x @ trits.T, out), max(graph.stages)))})

    design = Design("matrix", {}, {"matrix.v": verilog(graph, outputs, bits, out)})
    shown = {"rows": rows, "columns": columns, "bits": bits, "nonzero": int(np.count_nonzero(trits))}
    return Case(f"hard-wired, {method}", shown, design, trace, both)


def cases() -> Iterator[Case]:
    for method in METHODS:
        for bits in (2, 4, 8):
            yield matrix(method, 32, 32, bits, 0.4)
