"""The forks and joins of a dataflow design, and what must happen at one before something can at another.

Only where branches of a fork meet again can a design deadlock, or words pile up. In front of, behind and between such
blocks a design is a chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from ..ir import flow
from ..ir.flow import stream_of
from ..ir.mlir import SSAValue
from .stream_reads import Counts, words_read

Events = dict[flow.Stage, Counts]
"""Words of one stage that must have been written, for each word that the stages write."""

_FRAMES: Final = 3
"""Frames that are looked at: two that overlap as all do, and what those wait for."""


@dataclass(frozen=True, eq=False)
class Way:
    """From a fork or join to the next one: stages of one operand and one result, and FIFOs of a word between them."""

    source: flow.Stage
    between: tuple[flow.Stage, ...]
    """The last one first."""
    target: flow.Stage
    operand: int
    value: SSAValue
    """The stream that the target reads."""

    @staticmethod
    def to(target: flow.Stage, operand: int) -> Way:
        """The way to an operand."""
        value, between = target.streams_in()[operand], []
        stage = _maker(value)
        while not is_node(stage):
            between.append(stage)
            stage = _maker(stage.streams_in()[0])
        return Way(stage, tuple(between), target, operand, value)

    def needs(self, read: Counts) -> Counts:
        """Words that the source must have written before so many can be read at the end."""
        for stage in self.between:
            read = np.where(read > 0, words_read(stage, 0, np.maximum(read - 1, 0)), 0)
        return read

    def room(self, written: Counts) -> Counts:
        """Words that the source can write when so many fit behind the last stage: each stage has one ready that it
        cannot write, and each FIFO is full."""
        for stage in self.between:
            written = words_read(stage, 0, written) + 1
        return written

    @cached_property
    def read(self) -> Counts:
        """For each word that the target writes: words of the operand that it reads before."""
        return words_read(self.target, self.operand, words_of(self.target))

    @property
    def taken(self) -> Counts:
        """What is read before the word in front of it."""
        return np.append(0, self.read[:-1])

    @cached_property
    def needed(self) -> Counts:
        """What is read, in words of the source."""
        return self.needs(self.read)

    def makes_room(self, depth: int) -> Counts:
        """For each word that the source writes: the word of the target whose operands must be taken before, to leave
        room in a last FIFO of that depth; where none need, the number of its words."""
        fit = self.room(np.arange(depth, depth + self.read[-1] + 1))
        taken = np.searchsorted(fit, words_of(self.source) + 1)
        return np.where(taken > 0, np.searchsorted(self.read, taken), len(self.read))


@dataclass(frozen=True)
class Block:
    """A fork, the last join of its branches, and the forks and joins between them, in order."""

    nodes: Sequence[flow.Stage]
    ways: Sequence[Way]
    """In the order of their targets."""
    passed: Mapping[flow.Stage, set[flow.Stage]]
    """The stages on every way to a node, itself included."""

    def joins_of(self, fork: flow.Stage) -> Iterator[flow.Stage]:
        """The joins of several branches of a fork, unless all those pass one stage: that one counts for it then."""
        reached = {fork}
        for node in self.nodes:
            sources = [way.source for way in self.ways if way.target is node and way.source in reached]
            if sources:
                reached.add(node)
            last = max((self.nodes.index(each) for each in self.nodes if each in self.passed[node] - {node}), default=0)
            if len(sources) > 1 and last <= self.nodes.index(fork):
                yield node

    def before(self, source: flow.Stage, rooms: Mapping[Way, Counts]) -> tuple[Events, Events]:
        """For each word that a node writes: words that `source` must have written before the node takes its operands,
        and before it writes; `rooms` are those of ways that have a depth.

        A node takes its operands when they are there and its last word is written. It writes when it has taken them,
        and when the nodes behind it have taken enough to leave room.
        """
        takes = {node: np.zeros_like(words_of(node)) for node in self.nodes}
        writes = {node: np.zeros_like(words_of(node)) for node in self.nodes}
        takes[source], writes[source] = words_of(source), words_of(source) + 1
        changed = True
        while changed:
            changed = False
            for node in [*self.nodes, *reversed(self.nodes)]:
                if node is not source:
                    there = [events_at(writes[way.source], way.needed - 1) for way in self.ways if way.target is node]
                    fits = [events_at(takes[way.target], room) for way, room in rooms.items() if way.source is node]
                    taken = np.maximum.reduce([takes[node], *there])
                    written = np.maximum.accumulate(np.maximum.reduce([taken, *fits]))
                    changed = changed or not np.array_equal(written, writes[node])
                    takes[node], writes[node] = np.maximum(taken, np.append(0, written[:-1])), written
        return takes, writes


def is_node(stage: flow.Stage) -> bool:
    """Whether it is more than a link of a chain."""
    return len(stage.streams_in()) != 1 or len(stage.streams_out()) != 1


def words_of(node: flow.Stage) -> Counts:
    """The numbers of the words that a fork or a join writes in the frames looked at."""
    return np.arange(_FRAMES * stream_of(node.streams_out()[0]).words, dtype=np.int64)


def blocks(stages: Sequence[flow.Stage]) -> Iterator[Block]:
    """The parallel parts of a design: what lies between two stages that every word passes."""
    passed: dict[flow.Stage, set[flow.Stage]] = {}
    for stage in stages:
        behind = [passed[_maker(value)] for value in stage.streams_in()]
        passed[stage] = {stage} | (set.intersection(*behind) if behind else set())
    cuts = [index for index, stage in enumerate(stages) if stage in passed[stages[-1]]]
    for first, last in pairwise(cuts):
        if last - first > 1:
            nodes = [stage for stage in stages[first : last + 1] if is_node(stage)]
            ways = [Way.to(node, i) for node in nodes[1:] for i in range(len(node.streams_in()))]
            yield Block(nodes, ways, passed)


def _maker(value: SSAValue) -> flow.Stage:
    if not isinstance(value.owner, flow.Stage):
        raise TypeError(f"{value.owner} is no stage")
    return value.owner


def events_at(events: Counts, index: Counts) -> Counts:
    """The events of those numbers; 0 where there is no such number."""
    found: Counts = np.append(events, 0)[np.where(index < 0, len(events), np.minimum(index, len(events)))]
    return found
