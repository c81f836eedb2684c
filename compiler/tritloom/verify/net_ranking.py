"""The keys in a bundle's C++ against the exact scores of the ONNX file: does a larger key mean a larger score?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir import flow, tern
from ..ir.ranking import Ranking
from ..ir.store import WeightStore
from .net_kernel import KernelStage
from .net_tables import StageTables, by_channel
from .report import Check, Figure

Array = NDArray[Any]

_PAIRS: Final = 4000
"""Pairs of channels that are compared; of more, so many drawn at random."""
_SUMS: Final = 24
"""Sums of the first channel of a pair: the ends of the range, 0, and random ones."""
_SEED: Final = 20240604
_ROUNDED: Final = Fraction(1, 1 << 25)
"""Share of a product by which scales that are rounded may be off."""


def check_rankings(stages: Sequence[KernelStage], store: WeightStore) -> list[Check]:
    """Whether the keys in weights.h order the sums of any two channels as their scores; no check without a ranking.

    For a sum of one channel the sums of the other one that lie directly beside it in the order are compared with it.
    """
    ranked = [(stage, stage.op) for stage in stages if isinstance(stage.op, flow.TopKOp)]
    if not ranked:
        return []
    findings, pairs = [], 0
    for stage, op in ranked:
        keys = store.ranking(op.ranking.root_reference.data)
        low, high = tern.range_of(flow.stream_element(op.operand))
        chosen = list(_pairs(op.channels))
        pairs += len(chosen)
        wrong = _wrong(stage.tables, keys, op.channels, chosen, (low, high))
        findings += [f"{stage.label}: {text}" for text in wrong]
    figures: dict[str, Figure] = {"pairs": pairs, "wrong": len(findings)}
    if findings:
        return [Check("ranking", False, "the keys in weights.h do not order the scores", figures, findings)]
    return [Check("ranking", True, f"the keys in weights.h order the scores of {pairs:,} pairs of channels", figures)]


def _pairs(channels: int) -> Iterator[tuple[int, int]]:
    """Pairs of channels, a channel with itself included."""
    if channels * channels <= _PAIRS:
        yield from itertools.product(range(channels), repeat=2)
    else:
        drawn = np.random.default_rng(_SEED).integers(0, channels, (_PAIRS, 2))
        yield from ((int(c), int(d)) for c, d in drawn)


def _wrong(
    tables: StageTables, keys: Ranking, channels: int, pairs: Sequence[tuple[int, int]], reach: tuple[int, int]
) -> list[str]:
    """The first pair of sums whose keys are in another order than their scores."""
    rows = [[int(value) for value in by_channel(tables.array(name))] for name in ("multiplier", "bias")]
    multiplier, bias = (row * (channels // len(row)) for row in rows)
    scale, offset = (row * channels if len(row) == 1 else row for row in (keys.scale, keys.offset))
    slack = Fraction(0) if keys.exact else _ROUNDED
    random = np.random.default_rng(_SEED)
    low, high = reach
    sums = [low, high, 0, *random.integers(low, high, _SUMS - 3, endpoint=True).tolist()]
    for c, d in pairs:
        for a in sums:
            for b in _beside(scale[c] * a + offset[c], scale[d], offset[d], low, high):
                products = scale[c] * a, scale[d] * b
                distance = products[0] + offset[c] - products[1] - offset[d]
                if slack and abs(distance) <= slack * (abs(products[0]) + abs(products[1])):
                    continue
                key, other = multiplier[c] * a + bias[c], multiplier[d] * b + bias[d]
                if _sign(key - other) != _sign(distance):
                    return [f"channel {c} at {a} has key {key}, channel {d} at {b} has {other}: {_order(distance)}"]
    return []


def _beside(score: Fraction, scale: Fraction, offset: Fraction, low: int, high: int) -> list[int]:
    """Sums of a channel whose scores lie next to a score, within their range."""
    if not scale:
        return [low]
    place = math.floor((score - offset) / scale)
    return sorted({min(max(b, low), high) for b in (place - 1, place, place + 1)})


def _sign(value: Fraction | int) -> int:
    return (value > 0) - (value < 0)


def _order(distance: Fraction) -> str:
    """How two scores lie to each other."""
    if not distance:
        return "their scores are equal"
    return f"the first one's score is {'larger' if distance > 0 else 'smaller'} by {abs(float(distance)):.3g}"
