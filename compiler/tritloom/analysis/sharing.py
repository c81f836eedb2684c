"""Few adders for a constant ternary matrix: pairs of summands that several rows have are added once.

The pair that most rows have becomes an adder, until no pair is in two rows: the greedy choice of multiple constant
multiplication (Hartley, "Subexpression sharing in filters using canonic signed digit multipliers", 1996). With trits a
pair is a sum or a difference, and no shifts are needed. Many pairs are equally frequent: the one is taken after which
the others save most, and that is worth several percent of the adders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .adders import AdderGraph, GraphBuilder, Trits

Signs = NDArray[np.float32]
Counts = NDArray[Any]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

Summands = list[tuple[int, bool]]
"""Values of a row, and whether they are subtracted."""

_COLUMNS: Final = 2048
"""Wider matrices share within so many columns: the pairs of all would be too many to count."""
_CONSIDERED: Final = 512
"""Of more equally frequent pairs, so many are looked at: late rounds have thousands, which save an adder each."""
_AT_ONCE: Final = 16
"""One in so many of those becomes an adder before everything is counted again."""
_TRIES: Final = 4
_TRITS_TRIED: Final = 1 << 14
"""Trits that are shared in all, in so many orders of the columns at most."""
_KEPT: Final = 64
"""Graphs that `graph_of` remembers: a net's hard-wired layers, some MB."""


def graph_of(trits: Trits) -> AdderGraph:
    """`share`, once for each matrix: the folding, the estimate and the sources ask for the same one."""
    return _graph_of(np.ascontiguousarray(trits, np.int8).tobytes(), trits.shape)


@lru_cache(_KEPT)
def _graph_of(trits: bytes, shape: tuple[int, ...]) -> AdderGraph:
    return share(np.frombuffer(trits, np.int8).reshape(shape))


def share(trits: Trits) -> AdderGraph:
    """Adders of a matrix [N, K]: never more than `plain_adders`, and the same in every run.

    What no pair can take is added in a tree, row by row, the operands that are there first before the others. Of small
    matrices the best of several orders of the columns is taken: what ties are left fall otherwise.
    """
    inputs = trits.shape[1]
    tries = min(_TRIES, max(1, _TRITS_TRIED // max(1, trits.size)))
    orders = [np.arange(inputs), *(np.random.default_rng(seed).permutation(inputs) for seed in range(1, tries))]
    return min((_shared(trits, order) for order in orders), key=lambda graph: len(graph.adders))


def _shared(trits: Trits, order: Indices) -> AdderGraph:
    builder = GraphBuilder(len(order))
    summands: list[Summands] = [[] for _ in trits]
    for start in range(0, len(order), _COLUMNS):
        sharing = _Sharing(builder, summands, trits, order[start : start + _COLUMNS])
        while (pairs := sharing.most_frequent()) is not None:
            sharing.replace(pairs.disjoint(sharing.losses(pairs)))
            sharing.settle()
        sharing.finish()
    return builder.graph([builder.tree(row) for row in summands])


@dataclass(frozen=True)
class _Pairs:
    """Pairs of lines of a `_Sharing`."""

    first: Indices
    second: Indices
    differ: Flags
    """Whether their signs do: a difference, not a sum."""

    def take(self, which: Indices | Flags) -> _Pairs:
        return _Pairs(self.first[which], self.second[which], self.differ[which])

    def disjoint(self, losses: NDArray[np.int64]) -> _Pairs:
        """Those of the least losses that have no line in common: each leaves the counts of the others as they are."""
        wanted = max(1, len(losses) // _AT_ONCE)
        taken: set[int] = set()
        found: list[int] = []
        for pair in np.argsort(losses, kind="stable").tolist():
            lines = {int(self.first[pair]), int(self.second[pair])}
            if not taken & lines:
                taken |= lines
                found.append(pair)
            if len(found) == wanted:
                break
        return self.take(np.array(found))


class _Sharing:
    """What is left to be added up: a line for each value that rows still have."""

    def __init__(self, builder: GraphBuilder, summands: list[Summands], trits: Trits, columns: Indices) -> None:
        self._builder = builder
        self._summands = summands
        """What no pair will take, of each row."""
        self._values = columns
        self._signs: Signs = np.ascontiguousarray(trits[:, columns].T, np.float32)
        """1 or -1 where a row has the value of a line."""
        self._counts = _count(self._signs, self._signs)
        """Rows that have two lines: with equal signs, then with different ones."""
        self._counts[:, range(len(columns)), range(len(columns))] = 0
        self._most: Counts = self._counts.max(axis=(0, 2), initial=0)
        """No pair of a line is in more rows."""

    def most_frequent(self) -> _Pairs | None:
        """Pairs that most rows have, at least two."""
        while (most := self._most.max(initial=0)) > 1:
            lines = np.flatnonzero(self._most == most)
            counts = self._counts[:, lines]
            differ, place, second = np.nonzero(counts == most)
            if len(differ):
                found = _Pairs(lines[place], second, differ == 1)
                found = found.take(found.first < found.second)
                number = len(found.first)
                return found.take(np.linspace(0, number - 1, min(number, _CONSIDERED)).astype(np.intp))
            self._most[lines] = counts.max(axis=(0, 2))
        return None

    def losses(self, pairs: _Pairs) -> NDArray[np.int64]:
        """How much less all others save once a pair is an adder, up to a constant.

        A pair in n rows saves n - 1 adders. If a third value is in a rows with the first, in b with the second and in
        x with both, its pairs promise a - 1 and b - 1. With the adder they promise x - 1 with the sum, a - x - 1 with
        what is left of the first, and b - x - 1 with what is left of the second, each at least 0: less by x - 1, by
        one more if 0 < x < a, and by one more if 0 < x < b.
        """
        both = _count(self._rows_of(pairs), self._signs)
        numbers = np.arange(len(both[0]))
        both[:, numbers, pairs.first] = both[:, numbers, pairs.second] = 0
        first, second = self._counts[:, pairs.first], self._counts[:, pairs.second]
        second[:, pairs.differ] = second[::-1, pairs.differ]  # as the signs of the first have it
        some = both > 0
        lost = np.maximum(both, 1) + (some & (both < first)) + (some & (both < second))
        total: NDArray[np.int64] = lost.sum(axis=(0, 2), dtype=np.int64)
        return total

    def replace(self, pairs: _Pairs) -> None:
        """An adder for each pair, and a line for it that takes the rows which have the pair."""
        new = self._rows_of(pairs)
        for lines in (pairs.first, pairs.second):
            self._signs[lines] = np.where(new, 0, self._signs[lines])
        swapped = pairs.differ & (new.sum(axis=1) < 0)  # most rows have the difference the other way round
        new[swapped] *= -1
        left = self._values[np.where(swapped, pairs.second, pairs.first)].tolist()
        right = self._values[np.where(swapped, pairs.first, pairs.second)].tolist()
        made = list(map(self._builder.add, left, right, pairs.differ.tolist()))
        self._values = np.append(self._values, made)
        self._signs = np.concatenate([self._signs, new])
        self._recount(np.concatenate([pairs.first, pairs.second]), len(made))

    def settle(self) -> None:
        """Hand what no further pair can take to the trees of the rows, once that is worth the copying."""
        used = self._most > 1
        if 10 * np.count_nonzero(used) < 9 * len(used):
            self._collect(~used)
            self._values, self._signs, self._most = self._values[used], self._signs[used], self._most[used]
            self._counts = self._counts[:, used][:, :, used]

    def finish(self) -> None:
        """Hand all that is left to the trees."""
        self._collect(np.ones(len(self._values), np.bool_))

    def _rows_of(self, pairs: _Pairs) -> Signs:
        """For each pair the rows that have it, with the sign of its first value."""
        first, second = self._signs[pairs.first], self._signs[pairs.second]
        first[first * second != np.where(pairs.differ, -1, 1)[:, np.newaxis]] = 0
        return first

    def _recount(self, changed: Indices, new: int) -> None:
        """Counts of lines that have lost rows, and of the `new` last ones."""
        old, size = len(self._counts[0]), len(self._values)
        counts = np.zeros((2, size, size), self._counts.dtype)
        counts[:, :old, :old] = self._counts
        lines = np.concatenate([changed, np.arange(size - new, size)])
        found = _count(self._signs[lines], self._signs)
        found[:, range(len(lines)), lines] = 0
        counts[:, lines], counts[:, :, lines] = found, found.transpose(0, 2, 1)
        self._counts = counts
        # Of the other lines none gets a larger one: rows that have a sum had its first value.
        self._most = np.append(self._most, np.zeros(new, self._most.dtype))
        self._most[lines] = found.max(axis=(0, 2))

    def _collect(self, lines: Flags) -> None:
        for line, row in np.argwhere((self._signs != 0) & lines[:, np.newaxis]).tolist():
            self._summands[row].append((int(self._values[line]), bool(self._signs[line, row] < 0)))


def _count(some: Signs, lines: Signs) -> Counts:
    """Rows that each of some lines has together with each of all: with equal signs, then with different ones."""
    either, product = np.abs(some) @ np.abs(lines).T, some @ lines.T
    counts = np.stack([either + product, either - product])
    counts *= np.float32(0.5)
    found: Counts = counts.astype(np.min_scalar_type(-lines.shape[1] - 3))  # `losses` adds 2
    return found
