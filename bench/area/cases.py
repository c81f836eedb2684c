"""The blocks that are measured: what is synthesised, and the trace that its netlist must give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .simulation import Stream, Trace
from .synthesis import Design


@dataclass(frozen=True)
class Case:
    """A point of a block: the parameters that its cost depends on, the design, the model of its behaviour."""

    block: str
    parameters: Mapping[str, int | str]
    design: Design
    trace: Callable[[], Trace | Stream]
    both_families: bool = False
    """Synthesised for UltraScale+ too."""

    def key(self, family: str) -> tuple[str, str, str]:
        return self.block, json.dumps(self.parameters), family

    @property
    def name(self) -> str:
        return f"{self.block} " + " ".join(f"{key}={value}" for key, value in self.parameters.items())
