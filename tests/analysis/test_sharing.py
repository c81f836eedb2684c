"""Shared pairs of summands: the graph is the matrix, and has fewer adders than others find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from matrices import TRITS, matrix_of
from tritloom.analysis.adders import ZERO, plain_adders
from tritloom.analysis.sharing import _shared, share


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.int8)


@given(trits=TRITS)
def test_a_graph_is_its_matrix(trits):
    graph = share(trits)
    np.testing.assert_array_equal(matrix_of(graph), trits)
    assert len(graph.adders) <= plain_adders(trits)


@pytest.mark.parametrize("shape", [(2, 2100), (300, 20), (40, 1)])
def test_wide_and_high_matrices(shape: tuple[int, int]) -> None:
    """More columns than are shared at once; more rows than a byte counts."""
    trits = drawn(*shape)
    np.testing.assert_array_equal(matrix_of(share(trits)), trits)


@pytest.mark.parametrize("rows", [1, 2, 124, 125, 126, 127, 128, 300])
def test_equal_rows_are_one(rows: int) -> None:
    trits = np.tile(np.array([1, -1, -1, 0, 1, 1], np.int8), (rows, 1))
    trits[::2] *= -1
    graph = share(trits)
    np.testing.assert_array_equal(matrix_of(graph), trits)
    assert sum(adder.left != ZERO for adder in graph.adders) == 4


def one_at_a_time(trits: np.ndarray) -> int:
    """Adders of the textbook's greedy: the first of the most frequent pairs, everything counted again."""
    rows, made = trits.astype(np.int64), 0
    while True:
        either, product = np.abs(rows).T @ np.abs(rows), rows.T @ rows
        counts = np.triu(np.stack([either + product, either - product]) // 2, 1)
        if counts.max() < 2:
            return made + int(np.maximum(np.count_nonzero(rows, axis=1) - 1, 0).sum())
        kind, i, j = np.unravel_index(counts.argmax(), counts.shape)
        having = rows[:, i] * rows[:, j] == (-1 if kind else 1)
        rows = np.concatenate([rows, np.where(having, rows[:, i], 0)[:, None]], axis=1)
        rows[having, i] = rows[having, j] = 0
        made += 1


@pytest.mark.parametrize("size", [32, 48])
def test_it_shares_more_than_the_textbook(size: int) -> None:
    """Looking at what a pair leaves over is worth some percent."""
    matrices = [drawn(size, size, seed=seed) for seed in range(4)]
    ours = sum(len(share(trits).adders) for trits in matrices)
    assert ours < 0.98 * sum(map(one_at_a_time, matrices))


@pytest.mark.parametrize(("rows", "columns", "theirs"), [(32, 32, 323), (64, 64, 1131), (128, 128, 4113)])
def test_it_shares_more_than_da4ml(rows: int, columns: int, theirs: int) -> None:
    """By `bench/peers/da4ml_race.py`; neither is deeper."""
    graph = share(drawn(rows, columns))
    assert len(graph.adders) < 0.99 * theirs
    assert graph.depth() <= {32: 6, 64: 7, 128: 8}[rows]


def test_small_matrices_are_shared_in_several_orders():
    matrices = [drawn(40, 40, seed=seed) for seed in range(4)]
    once = [len(_shared(trits, np.arange(40)).adders) for trits in matrices]
    ours = [len(share(trits).adders) for trits in matrices]
    assert all(fewer <= count for fewer, count in zip(ours, once, strict=True))
    assert sum(ours) < sum(once)


def test_it_is_the_same_in_every_run():
    assert share(drawn(24, 40)) == share(drawn(24, 40))


def test_rows_without_weights_and_negated_ones():
    graph = share(np.array([[0, 0, 0], [1, -1, 1], [1, -1, 1], [-1, 0, 0]], np.int8))
    assert graph.outputs[0] == ZERO
    assert graph.outputs[1] == graph.outputs[2]
    assert (len(graph.adders), graph.depth()) == (3, 2)
