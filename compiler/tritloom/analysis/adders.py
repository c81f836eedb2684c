"""A constant ternary matrix as a graph of adders: what a hard-wired matrix-vector unit is built of.

Pairs of summands that several rows have are added once. The greedy choice of the most frequent pair is the classic
one of multiple constant multiplication (Hartley, "Subexpression sharing in filters using canonic signed digit
multipliers", 1996); with trits a pair is a sum or a difference, and no shifts are needed.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Trits = NDArray[np.int8]
Matrix = NDArray[np.float32]

ZERO: Final = -1
"""The operand, or the output of a row without weights, that is 0."""


@dataclass(frozen=True)
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

    def depth(self) -> int:
        """Adders between an input and an output, at most."""
        levels = [0] * self.inputs
        for adder in self.adders:
            levels.append(1 + max(levels[adder.left] if adder.left != ZERO else 0, levels[adder.right]))
        return max((levels[value] for value in self.outputs if value != ZERO), default=0)


def plain_adders(trits: Trits) -> int:
    """Adders of a matrix whose rows share nothing: of n summands n - 1, and one more where all are subtracted."""
    count = np.count_nonzero(trits, axis=1)
    negated = (count > 0) & ~(trits > 0).any(axis=1)
    return int((np.maximum(count - 1, 0) + negated).sum())


def share(trits: Trits) -> AdderGraph:
    """Adders of a matrix [N, K]: never more than `plain_adders`.

    The pair that most rows have, up to the sign of both, becomes an adder, until no pair is in two rows; among pairs
    that equally many have, the one of the lower values comes first. What is left of a row is added in a tree, the
    operands that are there first before the others.
    """
    builder = _Builder(trits.shape[1])
    terms: list[list[_Term]] = [[] for _ in range(len(trits))]
    matrix, values = trits.astype(np.float32), list(range(trits.shape[1]))
    while True:
        often = np.count_nonzero(matrix, axis=0) > 1
        _collect(terms, matrix[:, ~often], [values[i] for i in np.flatnonzero(~often)], builder)
        matrix, values = matrix[:, often], [values[i] for i in np.flatnonzero(often)]
        pairs = _disjoint(_most_frequent(matrix))
        if not pairs:
            break
        matrix, values = _replace(builder, matrix, values, pairs)
    _collect(terms, matrix, values, builder)
    outputs = tuple(builder.tree(row) for row in terms)
    return AdderGraph(trits.shape[1], tuple(builder.adders), outputs)


@dataclass(frozen=True, order=True)
class _Term:
    """A summand of a row."""

    level: int
    """Adders in front of it."""
    value: int
    negative: bool


class _Builder:
    """Appends adders, and keeps how deep each value is."""

    def __init__(self, inputs: int) -> None:
        self.adders: list[Adder] = []
        self.levels = [0] * inputs

    def level(self, value: int) -> int:
        return 0 if value == ZERO else self.levels[value]

    def add(self, left: int, right: int, *, subtract: bool) -> int:
        self.adders.append(Adder(left, right, subtract))
        self.levels.append(1 + max(self.level(left), self.level(right)))
        return len(self.levels) - 1

    def tree(self, terms: list[_Term]) -> int:
        """The value of a row."""
        heap = [*terms]
        if heap and all(term.negative for term in heap):
            heap.append(_Term(0, ZERO, False))
        heapq.heapify(heap)
        while len(heap) > 1:
            heapq.heappush(heap, self._sum(heapq.heappop(heap), heapq.heappop(heap)))
        return heap[0].value if heap else ZERO

    def _sum(self, a: _Term, b: _Term) -> _Term:
        """The sum of two; where both are subtracted, what is subtracted is their sum."""
        first, second = (b, a) if a.negative and not b.negative else (a, b)
        value = self.add(first.value, second.value, subtract=first.negative != second.negative)
        return _Term(self.levels[value], value, first.negative)


def _collect(terms: list[list[_Term]], matrix: Matrix, values: list[int], builder: _Builder) -> None:
    """Hand what no further pair can take to the trees of the rows."""
    for row, column in np.argwhere(matrix != 0):
        value = values[column]
        terms[row].append(_Term(builder.level(value), value, bool(matrix[row, column] < 0)))


def _most_frequent(matrix: Matrix) -> list[tuple[int, int, int]]:
    """The pairs of columns that most rows have, at least two: first column, second one, 1 for a sum or -1."""
    if matrix.shape[1] < 2:
        return []
    either = np.abs(matrix)
    both, product = either.T @ either, matrix.T @ matrix
    counts = np.triu(np.maximum(both + product, both - product), 1)
    most = counts.max()
    if most < 4:  # twice the number of rows
        return []
    found = []
    for i, j in np.argwhere(counts == most).tolist():
        found.append((i, j, 1 if both[i, j] + product[i, j] == most else -1))
    return found


def _disjoint(pairs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The first pairs that have no column in common: each leaves the numbers of the others as they are."""
    taken: set[int] = set()
    found = []
    for i, j, sign in pairs:
        if i not in taken and j not in taken:
            taken |= {i, j}
            found.append((i, j, sign))
    return found


def _replace(
    builder: _Builder, matrix: Matrix, values: list[int], pairs: list[tuple[int, int, int]]
) -> tuple[Matrix, list[int]]:
    """An adder for each pair, and a column for it in the place of its two."""
    new = np.zeros((len(matrix), len(pairs)), np.float32)
    made = []
    for place, (i, j, sign) in enumerate(pairs):
        having = matrix[:, i] * matrix[:, j] == sign
        new[having, place] = matrix[having, i]
        matrix[having, i] = matrix[having, j] = 0
        left, right = values[i], values[j]
        if sign < 0 and new[:, place].sum() < 0:  # most rows have the difference the other way round
            left, right, new[:, place] = right, left, -new[:, place]
        made.append(builder.add(left, right, subtract=sign < 0))
    return np.concatenate([matrix, new], axis=1), values + made
