"""csynth.xml, the report of HLS (Vitis HLS 2020.2 to 2026.1), and what only its log says.

Elements used: ReportVersion/Version, UserAssignments, PerformanceEstimates/{SummaryOfTimingAnalysis,
SummaryOfOverallLatency, SummaryOfLoopLatency, SummaryOfViolations}, AreaEstimates/{Resources,
AvailableResources}, ModuleInformation/Module. A loop's element is named after the loop; newer releases repeat
the name in a child. The wanted interval of a loop is in the log only.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ..errors import ToolError

_RESOURCES: Final = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "uram": "URAM"}
_DSP_BEFORE_2020_2: Final = "DSP48E"


@dataclass(frozen=True)
class Loop:
    """A loop of the kernel. Latencies in clock cycles; None where the tool gives none."""

    name: str
    module: str
    ii: int | None = None
    """Initiation interval achieved, of a pipelined loop."""
    wanted_ii: int | None = None
    """The interval asked for, where the log says."""
    trip_count: int | None = None
    latency: int | None = None
    location: str = ""
    """Source file and line: `include/tritloom/linear.h:64`."""
    issue: str = ""
    """What the report says is wrong: `II Violation`."""
    reason: str = ""
    """Why the interval was missed, in the tool's words."""

    @property
    def violated(self) -> bool:
        """Whether its interval is longer than the one asked for."""
        if self.ii is not None and self.wanted_ii is not None:
            return self.ii > self.wanted_ii
        return "II" in self.issue.split()

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value not in (None, "")}


@dataclass(frozen=True)
class HlsReport:
    """What HLS expects of the kernel."""

    version: str
    part: str
    top: str
    target_ns: float
    uncertainty_ns: float
    estimated_ns: float
    resources: Mapping[str, float]
    """Used: lut, ff, dsp, uram, and bram36 (half as many as blocks of 18 kbit)."""
    available: Mapping[str, float]
    loops: tuple[Loop, ...] = ()
    modules: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Resources of each module, those below it included."""

    @property
    def timing_met(self) -> bool:
        return self.estimated_ns <= self.target_ns

    def as_dict(self) -> dict[str, Any]:
        return {
            "tool_version": self.version,
            "clock_ns": {
                "target": self.target_ns,
                "uncertainty": self.uncertainty_ns,
                "estimated": self.estimated_ns,
            },
            "resources": dict(self.resources),
            "loops": [loop.as_dict() for loop in self.loops],
            "label": "estimated by HLS",
        }


def _text(element: ET.Element | None, path: str) -> str:
    found = element.findtext(path) if element is not None else None
    return (found or "").strip()


def _count(text: str) -> int | None:
    """A whole number; None for `-`, `undef`, `?`, and the lower end of a range `3 ~ 64`."""
    found = re.match(r"-?\d+", text)
    return int(found.group()) if found else None


def _number(element: ET.Element | None, path: str, file: Path, otherwise: float | None = None) -> float:
    text = _text(element, path)
    try:
        return float(text)
    except ValueError as error:
        if otherwise is not None and not text:
            return otherwise
        raise ToolError(f"{file}: {path} is {text!r}, no number", "build the stage again with --force") from error


def _resources(element: ET.Element | None, file: Path) -> dict[str, float]:
    found = {name: _number(element, tag, file, 0.0) for name, tag in _RESOURCES.items()}
    if element is not None and element.find(_DSP_BEFORE_2020_2) is not None:
        found["dsp"] = _number(element, _DSP_BEFORE_2020_2, file)
    found["bram36"] = _number(element, "BRAM_18K", file, 0.0) / 2
    return found


def _loops_of(module: str, estimates: ET.Element | None) -> Iterator[Loop]:
    if estimates is None:
        return
    violations = estimates.find("SummaryOfViolations/SummaryOfLoopViolations")
    issues = {} if violations is None else {_text(item, "Name") or item.tag: item for item in violations}
    for summary in estimates.iter("SummaryOfLoopLatency"):
        for element in summary.iter():
            if element.find("TripCount") is None:
                continue
            name = _text(element, "Name") or element.tag
            issue = issues.get(name)
            said = _text(issue, "IssueType")
            yield Loop(
                name=name,
                module=module,
                ii=_count(_text(element, "PipelineII")),
                trip_count=_count(_text(element, "TripCount")),
                latency=_count(_text(element, "Latency")),
                location=_text(issue, "SourceLocation"),
                issue="" if said in ("", "-") else said,
            )


def read_csynth(file: Path, log: Path | None = None) -> HlsReport:
    """Read csynth.xml, and from HLS's log the intervals asked for and why one was missed.

    Raises:
        ToolError: it is not there, no such report, or lacks a figure.
    """
    try:
        root = ET.parse(file).getroot()
    except OSError as error:
        raise ToolError(f"HLS left no report {file}: {error.strerror}", "see its log") from error
    except ET.ParseError as error:
        raise ToolError(f"{file} is damaged: {error}", "build the stage again with --force") from error
    if root.tag != "profile":
        raise ToolError(f"{file} is no csynth.xml: its root is <{root.tag}>", "build the stage again with --force")
    assignments, estimates = root.find("UserAssignments"), root.find("PerformanceEstimates")
    top = _text(assignments, "TopModelName")
    loops = dict.fromkeys(_loops_of(top, estimates))
    modules = {_text(module, "Name"): module for module in root.iterfind("ModuleInformation/Module")}
    for name, module in modules.items():
        loops |= dict.fromkeys(_loops_of(name, module.find("PerformanceEstimates")))
    achieved = _from_log(log)
    return HlsReport(
        version=_text(root, "ReportVersion/Version"),
        part=_text(assignments, "Part"),
        top=top,
        target_ns=_number(assignments, "TargetClockPeriod", file),
        uncertainty_ns=_number(assignments, "ClockUncertainty", file, 0.0),
        estimated_ns=_number(estimates, "SummaryOfTimingAnalysis/EstimatedClockPeriod", file),
        resources=_resources(root.find("AreaEstimates/Resources"), file),
        available=_resources(root.find("AreaEstimates/AvailableResources"), file),
        loops=tuple(_joined(loop, achieved) for loop in _without_copies(list(loops), top)),
        modules={name: _resources(module.find("AreaEstimates/Resources"), file) for name, module in modules.items()},
    )


def _without_copies(loops: list[Loop], top: str) -> list[Loop]:
    """The top level of a report repeats the loops of its modules: those of the modules stay."""
    below = {loop.name for loop in loops if loop.module != top}
    return [loop for loop in loops if loop.module != top or loop.name not in below]


@dataclass(frozen=True)
class _Scheduled:
    """What the log says of a loop."""

    wanted_ii: int
    ii: int
    reason: str
    location: str


_MODULE: Final = re.compile(r"-- Implementing module '([^']+)'")
_PIPELINING: Final = re.compile(r"Pipelining (?:loop|function) '([^']+)'")
_RESULT: Final = re.compile(r"Pipelining result : Target II = (\d+|NA), Final II = (\d+)")
_VIOLATION: Final = re.compile(
    r"The II Violation in module '([^']+)' \((?:loop|function):? '?([^',)]+)'?[^)]*\): (.*)", re.IGNORECASE
)
_PLACE: Final = re.compile(r"([\w./+-]+\.(?:h|hpp|cpp)):(\d+)")


def _from_log(log: Path | None) -> dict[tuple[str, str], _Scheduled]:
    """Module and loop -> its schedule, from the lines of the scheduler.

    `Pipelining loop 'L'.`, then `The II Violation in module 'M' (loop 'L'): why` for each interval tried, then
    `Pipelining result : Target II = 1, Final II = 3, Depth = 9`. A target of NA is the tool's own choice.
    """
    if log is None or not log.is_file():
        return {}
    found: dict[tuple[str, str], _Scheduled] = {}
    reasons: dict[tuple[str, str], str] = {}
    module = loop = ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _MODULE.search(line):
            module = match[1]
        elif match := _PIPELINING.search(line):
            loop = match[1]
        elif match := _VIOLATION.search(line):
            reasons.setdefault((match[1], match[2]), match[3].strip())
        elif (match := _RESULT.search(line)) and match[1] != "NA":
            reason = reasons.get((module, loop), "")
            place = _PLACE.search(reason)
            at = f"{place[1]}:{place[2]}" if place else ""
            found[module, loop] = _Scheduled(int(match[1]), int(match[2]), reason, at)
    return found


def _joined(loop: Loop, scheduled: Mapping[tuple[str, str], _Scheduled]) -> Loop:
    said = scheduled.get((loop.module, loop.name))
    if said is None:
        return loop
    return replace(
        loop,
        ii=loop.ii if loop.ii is not None else said.ii,
        wanted_ii=said.wanted_ii,
        reason=said.reason,
        location=loop.location or said.location,
    )
