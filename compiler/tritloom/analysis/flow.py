"""The memory streams against the engine, as a fluid model: a FIFO shifts time, it makes none.

The engine takes its instructions one after the other. While one runs, the streams run on and fill their FIFOs,
bounded by the width of a port, by what the memory delivers, and by the room that is left. An instruction ends when
its units are done *and* everything that it takes from a stream has arrived. So a barrier costs nothing while
the FIFO has room and the array is faster than the ports; where the array is no faster, the full barrier is paid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..ir.kernel import KernelLimits
from ..targets import Target
from .timing import Work

Bound = Literal["stream", "gains", "array", "vector", "latency"]


@dataclass(frozen=True)
class Supply:
    """What the memory gives, in bytes per clock cycle, and how much the buffers hold, in bytes."""

    memory: float
    """All ports together: bandwidth that long bursts reach, over the clock."""
    weights: float
    """All weight ports together: their wires."""
    gains: float
    """The gain port's wire."""
    weight_room: int
    gain_room: int

    @staticmethod
    def of(limits: KernelLimits, target: Target) -> Supply:
        """Supply of a kernel on a board.

        A port carries its own width or the board's, whichever is less. FIFO and the adapter's buffer of requested
        bursts both count as room.
        """
        wire = min(limits.port_bits, target.ports.width) / 8
        beat = limits.port_bits // 8
        buffered = limits.burst_beats * limits.outstanding
        return Supply(
            memory=target.delivered_by(limits.ports) * 1e9 / target.clock_hz,
            weights=wire * limits.ports,
            gains=min(128, target.ports.width) / 8,
            weight_room=(limits.port_fifo + buffered) * beat * limits.ports,
            gain_room=limits.gain_fifo * 4 * limits.lanes + 16 * buffered,
        )


@dataclass(frozen=True)
class Levels:
    """Bytes waiting in the FIFOs."""

    weights: float = 0.0
    gains: float = 0.0


@dataclass(frozen=True)
class Step:
    """How an instruction went."""

    cycles: float
    bound: Bound
    levels: Levels
    """Levels at its end."""
    arrived: float
    """Bytes that came meanwhile."""


def _weight_time(need: float, gain_rate: float, gain_limit: float, supply: Supply) -> float:
    """Cycles until `need` bytes of weights have arrived, gains taking `gain_rate` until `gain_limit` bytes."""
    if need <= 0:
        return 0.0
    by_wire = need / supply.weights
    spare = supply.memory - gain_rate
    while_gains = need / spare if spare > 0 else math.inf
    after_gains = (need + gain_limit) / supply.memory
    return max(by_wire, min(while_gains, after_gains))


def _weights_in(cycles: float, gain_rate: float, gain_limit: float, supply: Supply) -> float:
    """Bytes of weights that can arrive in `cycles`."""
    gains = min(gain_limit, gain_rate * cycles)
    return max(0.0, min(supply.weights * cycles, supply.memory * cycles - gains))


def step(work: Work, before: Levels, limits: KernelLimits, supply: Supply) -> Step:
    """Run one instruction from the given FIFO levels."""
    weight_bytes = work.beats * limits.ports * limits.port_bits // 8
    gain_bytes = work.gain_words * 4 * limits.lanes
    gain_rate = min(supply.gains, supply.memory)
    gain_limit = max(0.0, supply.gain_room - before.gains + gain_bytes)

    times: dict[Bound, float] = {
        "array": float(work.beats),
        "vector": float(max(work.vector, work.gain_words)),
        "gains": max(0.0, gain_bytes - before.gains) / gain_rate,
        "stream": _weight_time(weight_bytes - before.weights, gain_rate, gain_limit, supply),
    }
    bound = max(times, key=lambda name: times[name])
    busy = times[bound]
    cycles = busy + work.latency
    if work.latency > busy:
        bound = "latency"

    gains_in = min(gain_limit, gain_rate * cycles)
    room = supply.weight_room - before.weights + weight_bytes
    weights_in = min(room, _weights_in(cycles, gain_rate, gain_limit, supply))
    levels = Levels(
        max(0.0, before.weights + weights_in - weight_bytes),
        max(0.0, before.gains + gains_in - gain_bytes),
    )
    return Step(cycles, bound, levels, weights_in + gains_in)


def run(
    works: Sequence[Work], limits: KernelLimits, supply: Supply, overhead: int = 0, passes: int = 2
) -> tuple[list[Step], float]:
    """Run a program `passes` times, so that the last pass begins with what the one before left in the FIFOs.

    Returns the steps of the last pass and its cycles, `overhead` included.
    """
    levels = Levels()
    steps: list[Step] = []
    for _ in range(passes):
        steps = []
        for work in works:
            steps.append(step(work, levels, limits, supply))
            levels = steps[-1].levels
        levels = step(Work(latency=overhead), levels, limits, supply).levels
    return steps, sum(one.cycles for one in steps) + overhead
