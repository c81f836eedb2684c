"""A constant ternary matrix as a graph of adders: what a hard-wired matrix-vector unit is built of."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Trits = NDArray[np.int8]

ZERO: Final = -1
"""The operand, or the output of a row without weights, that is 0."""


@dataclass(frozen=True, slots=True)
class Adder:
    """left + right, or left - right."""

    left: int
    """A value, or ZERO in front of a subtraction."""
    right: int
    subtract: bool


@dataclass(frozen=True)
class AdderGraph:
    """Adders of two operands. Value k < inputs is the k-th code of a vector, value inputs + i the result of adder i."""

    inputs: int
    adders: tuple[Adder, ...]
    outputs: tuple[int, ...]
    """The value of each row; ZERO where it has no weights."""

    def ranges(self, low: int, high: int) -> list[tuple[int, int]]:
        """Smallest and largest result of each adder, for codes from `low` to `high`; each can occur.

        The operands of an adder have no code in common, so its bounds are the sums of theirs.
        """
        bounds = [(low, high)] * self.inputs
        for adder in self.adders:
            left = bounds[adder.left] if adder.left != ZERO else (0, 0)
            right = bounds[adder.right]
            signed = (-right[1], -right[0]) if adder.subtract else right
            bounds.append((left[0] + signed[0], left[1] + signed[1]))
        return bounds[self.inputs :]

    def levels(self) -> list[int]:
        """Adders between the inputs and each value, at most."""
        levels = [0] * self.inputs
        for adder in self.adders:
            levels.append(1 + max(levels[adder.left] if adder.left != ZERO else 0, levels[adder.right]))
        return levels

    def depth(self) -> int:
        """Adders between an input and an output, at most."""
        levels = self.levels()
        return max((levels[value] for value in self.outputs if value != ZERO), default=0)

    def wanted(self) -> list[set[int]]:
        """For each value the levels at which it is taken: below an adder, or as an output where the deepest one is."""
        levels, taken = self.levels(), [set[int]() for _ in range(self.inputs + len(self.adders))]
        for adder, level in zip(self.adders, levels[self.inputs :], strict=True):
            for value in {adder.left, adder.right} - {ZERO}:
                taken[value].add(level - 1)
        depth = self.depth()
        for value in set(self.outputs) - {ZERO}:
            taken[value].add(depth)
        return taken


def width_of(low: int, high: int) -> int:
    """Bits of the narrowest type that holds a range; it is signed where `low` is negative.

    >>> width_of(0, 3), width_of(-4, 3), width_of(0, 0)
    (2, 3, 1)
    """
    if low >= 0:
        return max(1, high.bit_length())
    return 1 + max((~low).bit_length(), high.bit_length() if high > 0 else 0)


def plain_adders(trits: Trits) -> int:
    """Adders of a matrix whose rows share nothing: of n summands n - 1, and one more where all are subtracted."""
    count = np.count_nonzero(trits, axis=1)
    negated = (count > 0) & ~(trits > 0).any(axis=1)
    return int((np.maximum(count - 1, 0) + negated).sum())


def block_diagonal(trits: Trits, groups: int) -> Trits:
    """The matrix [N, groups * K] of the groups' rows [N, K] side by side: zeros for the inputs of other groups."""
    rows, columns = trits.shape
    whole = np.zeros((groups, rows // groups, groups, columns), np.int8)
    for group, own in enumerate(np.split(trits, groups)):
        whole[group, :, group] = own
    return whole.reshape(rows, groups * columns)


@dataclass(frozen=True, order=True)
class _Term:
    """A summand of a row. The order is that of a tree: what is there first comes first, of that the narrowest."""

    level: int
    """Adders in front of it."""
    codes: int
    """How many codes it adds up."""
    value: int
    negative: bool


class GraphBuilder:
    """Appends adders to a graph."""

    def __init__(self, inputs: int) -> None:
        self.adders: list[Adder] = []
        self._inputs = inputs
        self._levels = [0] * inputs
        self._codes = [1] * inputs

    def add(self, left: int, right: int, subtract: bool) -> int:
        """The value of a new adder."""
        a, b = self._term(left), self._term(right)
        self.adders.append(Adder(left, right, subtract))
        self._levels.append(1 + max(a.level, b.level))
        self._codes.append(a.codes + b.codes)
        return len(self._levels) - 1

    def tree(self, summands: Iterable[tuple[int, bool]]) -> int:
        """The value of a row: the sum of values, each negated or not."""
        heap = [self._term(value, negative) for value, negative in summands]
        if heap and all(term.negative for term in heap):
            heap.append(self._term(ZERO))
        heapq.heapify(heap)
        while len(heap) > 1:
            heapq.heappush(heap, self._sum(heapq.heappop(heap), heapq.heappop(heap)))
        return heap[0].value if heap else ZERO

    def graph(self, outputs: Iterable[int]) -> AdderGraph:
        """All adders so far, with the value of each row."""
        return AdderGraph(self._inputs, tuple(self.adders), tuple(outputs))

    def _term(self, value: int, negative: bool = False) -> _Term:
        if value == ZERO:
            return _Term(0, 0, ZERO, negative)
        return _Term(self._levels[value], self._codes[value], value, negative)

    def _sum(self, a: _Term, b: _Term) -> _Term:
        """The sum of two; where both are subtracted, what is subtracted is their sum."""
        first, second = (b, a) if a.negative and not b.negative else (a, b)
        value = self.add(first.value, second.value, first.negative != second.negative)
        return self._term(value, first.negative)
