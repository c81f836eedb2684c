"""Text reports of Vivado 2020.2 to 2026.1: report_utilization, report_timing_summary, report_power."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ToolError

SITES: Final = {
    "lut": ("CLB LUTs", "Slice LUTs"),
    "ff": ("CLB Registers", "Slice Registers"),
    "bram36": ("Block RAM Tile",),
    "uram": ("URAM",),
    "dsp": ("DSPs", "DSP Slices"),
}
"""Resource -> its row in the flat report; the 7 series counts slices, UltraScale+ CLBs."""

COLUMNS: Final = {
    "lut": ("Total LUTs",),
    "ff": ("FFs",),
    "ramb36": ("RAMB36",),
    "ramb18": ("RAMB18",),
    "uram": ("URAM",),
    "dsp": ("DSP Blocks", "DSP48 Blocks", "DSPs"),
}
"""Resource -> its column in the hierarchical report."""


@dataclass(frozen=True)
class Utilisation:
    """A design's resources: lut, ff, bram36, uram, dsp."""

    used: Mapping[str, float]
    available: Mapping[str, float]


@dataclass(frozen=True)
class Timing:
    """The design's timing in ns. A negative slack is a violation."""

    wns: float
    """Worst setup slack."""
    tns: float
    whs: float
    """Worst hold slack."""
    failing: int
    """End points that miss setup."""
    path: str = ""
    """Source and destination of the worst setup path."""

    @property
    def met(self) -> bool:
        return self.wns >= 0 and self.whs >= 0

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "met": self.met}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ToolError(f"Vivado left no report {file}: {error.strerror}", "see its log") from error


def _rows(text: str) -> Iterator[list[str]]:
    """Cells of every row of every table."""
    for line in text.splitlines():
        if line.lstrip().startswith("|"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def _value(text: str) -> float:
    """A count: `117,120`, `9.5`, `<0.1`; empty is zero."""
    return float(text.replace(",", "").lstrip("<") or 0)


def read_utilisation(file: Path) -> Utilisation:
    """The totals of a flat report; its columns are found by their headings, which changed in 2021.2.

    Raises:
        ToolError: the report is not there, or no such report.
    """
    used: dict[str, float] = {}
    available: dict[str, float] = {}
    place: dict[str, int] = {}
    names = {site: name for name, sites in SITES.items() for site in sites}
    for cells in _rows(_read(file)):
        if "Used" in cells and "Available" in cells:
            place = {heading: index for index, heading in enumerate(cells)}
        name = names.get(cells[0].rstrip("*")) if place and len(cells) == len(place) else None
        if name is not None and name not in used:  # a later table may repeat a row
            used[name] = _value(cells[place["Used"]])
            available[name] = _value(cells[place["Available"]])
    if not {"lut", "ff"} <= used.keys():
        raise ToolError(f"{file} is no utilisation report that can be read here", "report it with the file")
    zero = dict.fromkeys(SITES, 0.0)
    return Utilisation(zero | used, zero | available)


def read_hierarchy(file: Path, module: str) -> dict[str, float]:
    """What the instances of a module use, from a hierarchical report; empty where it has none.

    Args:
        file: the report.
        module: a part of the module's name, which Vivado wraps in the block design's.

    Raises:
        ToolError: the report is not there.
    """
    place: dict[str, int] = {}
    for cells in _rows(_read(file)):
        if cells[0] == "Instance":
            place = {heading: index for index, heading in enumerate(cells)}
        elif place and len(cells) == len(place) and module in cells[place["Module"]]:
            found = {}
            for name, headings in COLUMNS.items():
                column = next((place[heading] for heading in headings if heading in place), None)
                found[name] = _value(cells[column]) if column is not None else 0.0
            return {
                "lut": found["lut"],
                "ff": found["ff"],
                "bram36": found["ramb36"] + found["ramb18"] / 2,
                "uram": found["uram"],
                "dsp": found["dsp"],
            }
    return {}


def read_timing(file: Path) -> Timing:
    """The design's summary, and the worst setup path.

    Raises:
        ToolError: the report is not there, or has no figures (a design without clocks).
    """
    lines = _read(file).splitlines()
    for number, line in enumerate(lines):
        if line.split()[:2] == ["WNS(ns)", "TNS(ns)"]:
            figures = next((row.split() for row in lines[number + 2 : number + 5] if row.strip()), [])
            try:
                return Timing(
                    wns=float(figures[0]), tns=float(figures[1]), failing=int(figures[2]), whs=float(figures[4]),
                    path=_worst_path("\n".join(lines[number:])),
                )  # fmt: skip
            except (IndexError, ValueError) as error:
                raise ToolError(f"{file} has no slack: {' '.join(figures)!r}", "is the design constrained?") from error
    raise ToolError(f"{file} is no timing summary that can be read here", "report it with the file")


def _worst_path(text: str) -> str:
    """Ends of the first violated path."""
    found = re.search(
        r"Slack \(VIOLATED\)[^\n]*\n(?:.*\n){0,2}?\s*Source:\s+(\S+)(?:.*\n)+?\s*Destination:\s+(\S+)", text
    )
    return f"{found[1]} -> {found[2]}" if found else ""


def read_power(file: Path) -> dict[str, float | str]:
    """Estimated power of the implemented design in W, at the report's confidence; without activity it is a guess.

    Raises:
        ToolError: the report is not there, or no such report.
    """
    names = {
        "Total On-Chip Power (W)": "total_w",
        "Dynamic (W)": "dynamic_w",
        "Device Static (W)": "static_w",
    }
    found: dict[str, float | str] = {}
    for cells in _rows(_read(file)):
        if len(cells) == 2 and cells[0] in names:
            found[names[cells[0]]] = _value(cells[1])
        elif len(cells) == 2 and cells[0] == "Confidence Level" and "confidence" not in found:
            found["confidence"] = cells[1].lower()
    if "total_w" not in found:
        raise ToolError(f"{file} is no power report that can be read here", "report it with the file")
    return {**found, "label": "estimated by Vivado"}
