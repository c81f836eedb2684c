"""Synthesises and simulates cases; keeps what came out in results.json."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from .cases import Case
from .simulation import simulate
from .synthesis import script, synthesise

RESULTS = Path(__file__).resolve().parent / "results.json"


@dataclass(frozen=True)
class Result:
    """Cells of a case on a family, and how many output values of its netlist were compared (0: not simulated)."""

    block: str
    parameters: dict[str, int | str]
    family: str
    lut: int
    ff: int
    dsp: int
    bram36: float
    carry: int
    compared: int
    command: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.block, json.dumps(self.parameters), self.family


def measure(case: Case, family: str) -> Result:
    """Netlists of the 7 series are simulated; yosys has no models of UltraScale+'s DSPs and block RAMs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = synthesise(case.design, family, folder)
        compared = simulate(case.design.top, case.trace(), folder) if family == "xc7" else 0
    command = "; ".join(script(case.design, family)[1:-3])
    return Result(case.block, dict(case.parameters), family, **asdict(cells), compared=compared, command=command)


def load() -> list[Result]:
    if not RESULTS.exists():
        return []
    return [Result(**entry) for entry in json.loads(RESULTS.read_text())["results"]]


def save(results: list[Result], yosys: str) -> None:
    lines = ",\n".join("    " + json.dumps(asdict(result)) for result in results)
    RESULTS.write_text(f'{{\n  "yosys": {json.dumps(yosys)},\n  "results": [\n{lines}\n  ]\n}}\n')
