"""Depths of the FIFOs of a dataflow design, computed from the schedules of its stages.

Where branches of a fork meet again, the FIFOs in front of the join must take what the fork has to send before the
slowest branch delivers. `least` is the smallest depth without deadlock, where a stage that waits to write holds what it
has read for that word, and reads no more. So does the bounded simulation, and it is the latest that the hardware reads:
a window that waits may have read further. But a pipeline of a single clock would hold nothing, so the depth that is
built counts neither stages nor FIFOs on the way, and adds what passes during the latency of the slower branch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..ir import flow
from ..ir.flow import channels_of, stream_of
from ..ir.mlir import SSAValue
from .stage_cost import work_of
from .stream_reads import words_of_vector
from .stream_ways import Block, Way, blocks, events_at

SLACK: Final = 2
"""Words that every FIFO holds, so that two stages run at once."""
_STAGE_LATENCY: Final = 8
"""Cycles from a word in to its word out, of a pipelined stage (estimated)."""


@dataclass(frozen=True)
class Depth:
    """Words of one FIFO."""

    words: int
    """What is built."""
    least: int
    """The smallest depth without deadlock, where the others have theirs."""


def depths(stages: Sequence[flow.Stage]) -> dict[SSAValue, Depth]:
    """The depth of every stream of a folded design."""
    words = {value: _bursts(stage, value) for stage in stages for value in stage.streams_in()}
    least = dict.fromkeys(words, 1)
    period = max(work_of(stage).frame for stage in stages)
    for block in blocks(stages):
        for value, depth in _least(block).items():
            least[value] = depth
            words[value] = max(words[value], depth)
        for fork in (node for node in block.nodes if isinstance(node, flow.ForkOp)):
            for value, held in _held(block, fork, period).items():
                words[value] = max(words[value], held)
    return {value: Depth(words[value] + SLACK, least[value]) for value in words}


def _bursts(stage: flow.Stage, value: SSAValue) -> int:
    """Words that come while a stage does not read, though it is as fast as the others over a frame."""
    if isinstance(stage, flow.WindowOp):
        stream = stream_of(value)
        return channels_of(stream) // stream.lanes.data
    if isinstance(stage, flow.MvauOp) and not isinstance(value.owner, flow.WindowOp):
        taken, made = words_of_vector(stage)
        return taken - taken // made
    return 0


def _least(block: Block) -> dict[SSAValue, int]:
    """The least depths in front of the joins of a block, one after the other.

    A FIFO is deep enough if its source can write, whatever the join has taken, all that must be written before the join
    takes the next word. What that is depends on the room in the other FIFOs. Those further on have no limit yet: less
    room never helps, so a depth stays the least when the later ones are found. Of FIFOs that can stand in for each
    other, the first is the shallower.
    """
    found: dict[SSAValue, int] = {}
    rooms = {way: way.makes_room(1) for way in block.ways if len(way.target.streams_in()) == 1}
    for way in block.ways:
        if way not in rooms:
            takes, _ = block.before(way.source, rooms)
            enough = np.searchsorted(way.room(np.arange(way.read[-1] + 1)), takes[way.target])
            found[way.value] = max(1, int((enough - way.taken).max()))
            rooms[way] = way.makes_room(found[way.value])
    return found


def _held(block: Block, fork: flow.ForkOp, period: int) -> dict[SSAValue, int]:
    """Words in front of the joins that a fork's branches meet at, by the time that the slowest branch delivers: all
    that can have come by then."""
    found: dict[SSAValue, int] = {}
    _, writes = block.before(fork, {})
    latency = _latencies(block, fork)
    for join in block.joins_of(fork):
        ways = [way for way in latency if way.target is join]
        for way in ways:
            others = [other for other in ways if other is not way]
            must_send = np.maximum.reduce([events_at(writes[other.source], other.needed - 1) for other in others])
            sent = events_at(writes[way.source], way.needs(np.arange(1, way.read[-1] + 1)) - 1)
            come = np.searchsorted(sent, must_send, side="right") - way.taken
            later = max(latency[other] for other in others) - latency[way]
            passing = max(0, math.ceil(later * stream_of(way.value).words / period))
            found[way.value] = max(1, int(come.max())) + passing
    return found


def _latencies(block: Block, fork: flow.ForkOp) -> dict[Way, int]:
    """Cycles from a fork to the end of each way behind it, of a word that waits for no other."""
    behind: dict[flow.Stage, int] = {fork: 0}
    found: dict[Way, int] = {}
    for way in block.ways:
        if way.source in behind:
            found[way] = behind[way.source] + sum(map(_latency, way.between))
            behind[way.target] = max(behind.get(way.target, 0), found[way] + _latency(way.target))
    return found


def _latency(stage: flow.Stage) -> int:
    """Cycles from the last word that an output needs to the output."""
    if isinstance(stage, flow.MvauOp):
        taken, made = words_of_vector(stage)
        return taken * made + _STAGE_LATENCY
    if isinstance(stage, flow.PoolOp):
        return stage.taps + _STAGE_LATENCY
    return _STAGE_LATENCY
