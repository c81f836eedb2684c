"""Depths of the FIFOs of a dataflow design, computed from the schedules of its stages.

What a stage must have read before it writes a word is a closed form of its geometry. Where branches of a fork meet
again, the shorter branch must hold what the fork has sent by the time the longer one delivers: `least` is the smallest
depth without deadlock, whatever the clock does; the depth that is built adds what passes during the latency of the
longer branch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..ir import flow
from ..ir.flow import stream_of
from ..ir.mlir import SSAValue
from .initiations import window_rows
from .stage_cost import work_of
from .stage_traits import kernel_of, traits_of

Counts = NDArray[np.int64]

SLACK: Final = 2
"""Words that every FIFO holds, so that two stages run at once."""
_FRAMES: Final = 2
"""Frames that are looked at: the second one overlaps the first as all later ones do."""
_STAGE_LATENCY: Final = 8
"""Cycles from a word in to its word out, of a pipelined stage (estimated)."""


@dataclass(frozen=True)
class Depth:
    """Words of one FIFO."""

    words: int
    """What is built."""
    least: int
    """The smallest depth without deadlock."""


def words_needed(stage: flow.Stage, operand: int) -> Counts:
    """For each word that a stage writes in the frames looked at: words of an operand that it has read before."""
    source, result = stream_of(stage.streams_in()[operand]), stream_of(stage.streams_out()[0])
    out = np.arange(_FRAMES * result.words, dtype=np.int64)
    if isinstance(stage, flow.ResizeOp):
        return -(-(out + 1) * result.lanes.data // source.lanes.data)
    if isinstance(stage, flow.WindowOp):
        return _of_window(stage, out)
    if isinstance(stage, flow.MvauOp):
        taken, made = _of_vector(stage)
        return (out // made + 1) * taken
    if isinstance(stage, flow.PoolOp):
        return (out + 1) * stage.taps
    if isinstance(stage, flow.GlobalPoolOp):
        return (out // result.words + 1) * source.words
    if isinstance(stage, flow.ConcatOp):
        return _of_concat(stage, operand, out)
    return out + 1


def _of_window(stage: flow.WindowOp, out: Counts) -> Counts:
    traits, source, result = traits_of(stage), stream_of(stage.operand), stream_of(stage.result)
    frame, word = np.divmod(out, result.words)
    rows = np.array(window_rows(traits), np.int64)[word // (result.words // traits["OUT_HEIGHT"])]
    needed: Counts = frame * source.words + rows * (source.words // traits["HEIGHT"])
    return needed


def _of_vector(stage: flow.MvauOp) -> tuple[int, int]:
    """Words that a unit takes of a vector before it writes any, and words that it makes of it."""
    traits, kernel = traits_of(stage), kernel_of(stage)
    if kernel == "mvau":
        return traits["INPUTS"] // traits["SIMD"], traits["OUTPUTS"] // traits["PE"]
    return (traits["TAPS"], 1) if kernel == "vvau" else (1, 1)


def _of_concat(stage: flow.ConcatOp, operand: int, out: Counts) -> Counts:
    left, right = (
        flow.channels_of(stream_of(value)) // stream_of(value).lanes.data for value in (stage.lhs, stage.rhs)
    )
    pixel, word = np.divmod(out, left + right)
    first: Counts = pixel * left + np.minimum(word + 1, left)
    second: Counts = pixel * right + np.maximum(word + 1 - left, 0)
    return first if operand == 0 else second


def depths(stages: Sequence[flow.Stage]) -> dict[SSAValue, Depth]:
    """The depth of every stream of a folded design."""
    found: dict[SSAValue, Depth] = {}
    for stage in stages:
        for position, value in enumerate(stage.streams_in()):
            found[value] = Depth(max(SLACK, _bursts(stage, position)), 1)
    period = max(work_of(stage).frame for stage in stages)
    for fork in stages:
        if isinstance(fork, flow.ForkOp):
            for value, depth in _behind(fork, stages, period).items():
                old = found[value]
                found[value] = Depth(max(old.words, depth.words), max(old.least, depth.least))
    return found


def _bursts(stage: flow.Stage, position: int) -> int:
    """Words that come while a stage does not read, though it is as fast as the others over a frame."""
    value = stage.streams_in()[position]
    if isinstance(stage, flow.WindowOp):
        stream = stream_of(value)
        return SLACK + flow.channels_of(stream) // stream.lanes.data
    if isinstance(stage, flow.MvauOp) and not isinstance(value.owner, flow.WindowOp):
        taken, made = _of_vector(stage)
        return SLACK + taken - taken // made
    return SLACK


def _behind(fork: flow.ForkOp, stages: Sequence[flow.Stage], period: int) -> dict[SSAValue, Depth]:
    """Depths of the operands of joins behind a fork."""
    sent: dict[SSAValue, Counts] = {}
    latency: dict[SSAValue, int] = {}
    sources: dict[SSAValue, frozenset[int]] = {}
    """The copies that a stream is made of. Streams of the same copies parted behind a later fork, which counts them."""
    rate = stream_of(fork.operand).words / period
    found: dict[SSAValue, Depth] = {}
    for index, value in enumerate(fork.copies):
        sent[value] = np.arange(1, _FRAMES * stream_of(value).words + 1, dtype=np.int64)
        latency[value], sources[value] = 0, frozenset([index])
    for stage in stages:
        reached = [(i, value) for i, value in enumerate(stage.streams_in()) if value in sent]
        if stage is fork or not reached:
            continue
        waits = {value: _at(sent[value], words_needed(stage, i)) for i, value in reached} if stage.streams_out() else {}
        if len({sources[value] for _, value in reached}) > 1 and waits:
            found |= _join(stage, [value for _, value in reached], waits, sent, latency, rate)
        for result in stage.streams_out():
            sources[result] = frozenset().union(*(sources[value] for _, value in reached))
            sent[result] = np.maximum.reduce([waits[value] for _, value in reached])
            latest = max((value for _, value in reached), key=lambda value: latency[value])
            latency[result] = latency[latest] + _latency(stage)
    return found


def _at(sent: Counts, needed: Counts) -> Counts:
    """Words that the fork has sent when so many words of a stream are there."""
    return np.where(needed > 0, sent[np.clip(needed, 1, len(sent)) - 1], 0)


def _latency(stage: flow.Stage) -> int:
    """Cycles from the last word that an output needs to the output."""
    if isinstance(stage, flow.MvauOp):
        taken, made = _of_vector(stage)
        return taken * made + _STAGE_LATENCY
    if isinstance(stage, flow.PoolOp):
        return stage.taps + _STAGE_LATENCY
    return _STAGE_LATENCY


def _join(
    stage: flow.Stage,
    operands: Sequence[SSAValue],
    waits: Mapping[SSAValue, Counts],
    sent: Mapping[SSAValue, Counts],
    latency: Mapping[SSAValue, int],
    rate: float,
) -> dict[SSAValue, Depth]:
    """What each operand of a join must hold while the join waits for the others.

    A join takes the words of all operands at once, and a fork writes all copies at once, or none.
    """
    found = {}
    for value in operands:
        read = words_needed(stage, list(stage.streams_in()).index(value))
        taken = np.concatenate([[0], read[:-1]])
        least, extra = 1, 0
        for other in operands:
            if other is not value:
                held = np.searchsorted(sent[value], waits[other], side="right") - taken
                least = max(least, int(held.max()))
                extra = max(extra, latency[other] - latency[value])
        scale = stream_of(value).words / max(len(sent[value]) // _FRAMES, 1)
        found[value] = Depth(least + SLACK + int(np.ceil(max(extra, 0) * rate * scale)), least)
    return found
