"""Limits of an engine kernel: what a bitstream is, apart from the board it is for (docs/kernel.md)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .encoding import SLICE_TRITS


@dataclass(frozen=True)
class KernelLimits:
    """Compile-time parameters of the engine kernel. Lengths are in the units that docs/kernel.md gives."""

    ports: int
    """Weight ports."""
    port_bits: int
    """Width of a weight port: 128 or 512."""
    batch: int
    """Positions that share one pass over the weights."""
    lanes: int
    """Floats in a word of vector memory and of the gain stream: 4, 8 or 16."""
    k_max: int
    """Longest quantised vector, a multiple of 80 and of 16."""
    vector_words: int
    """Floats of vector memory a position."""
    state_words: int
    """Floats of state."""
    program_max: int
    """Instructions."""
    code_slots: int = 3
    topk: int = 8
    port_fifo: int = 512
    """Depth of a port's FIFO, in beats."""
    gain_fifo: int = 512
    """Depth of the gain FIFO, in words."""
    gate_ii: int = 3
    """Cycles a row takes in the epilogue of a linear; more cycles share the float units."""
    burst_beats: int = 64
    outstanding: int = 16

    def __post_init__(self) -> None:
        problems = [
            (self.ports < 1 or self.ports > 32, "ports must be 1 to 32"),
            (self.port_bits not in (128, 512), "port_bits must be 128 or 512"),
            (self.lanes not in (4, 8, 16), "lanes must be 4, 8 or 16"),
            (self.batch < 1, "batch must be at least 1"),
            (self.code_slots < 1, "code_slots must be at least 1"),
            (self.program_max < 1, "program_max must be at least 1"),
            (self.topk < 1, "topk must be at least 1"),
            (min(self.port_fifo, self.gain_fifo) < 1, "port_fifo and gain_fifo must be at least 1"),
            (self.gate_ii < 1, "gate_ii must be at least 1"),
            (min(self.burst_beats, self.outstanding) < 1, "burst_beats and outstanding must be at least 1"),
            (self.k_max % SLICE_TRITS != 0 or self.k_max < 1, "k_max must be a multiple of 80"),
            (self.vector_words % 16 != 0 or self.vector_words < 0, "vector_words must be a multiple of 16"),
            (self.state_words % 16 != 0 or self.state_words < 0, "state_words must be a multiple of 16"),
        ]
        for wrong, message in problems:
            if wrong:
                raise ValueError(f"kernel limits: {message}")

    @property
    def slices(self) -> int:
        """Slices (of 80 trits) that the array takes a cycle."""
        return self.ports * self.port_bits // 128

    @property
    def head_ii(self) -> int:
        """Cycles a row of the head takes."""
        return (self.gate_ii + 1) // 2

    @property
    def trits_per_cycle(self) -> int:
        return self.slices * SLICE_TRITS

    def as_dict(self) -> dict[str, int]:
        """The manifest's `limits` object, `slices` included."""
        return {**dataclasses.asdict(self), "slices": self.slices}
