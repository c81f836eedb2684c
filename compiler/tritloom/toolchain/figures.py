"""The tools' figures beside the estimate: read from the reports, written into report.json and the HTML report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..report import render_page
from .checks import comparison
from .errors import ToolError
from .project import Project
from .record import StageRecord
from .reports import (
    HlsReport,
    Timing,
    Utilisation,
    read_csynth,
    read_hierarchy,
    read_power,
    read_timing,
    read_utilisation,
)
from .stages import NAMES, REPORTS

KERNEL_MODULE: Final = "_kernel_"
"""What Vivado calls the kernel's cell: DESIGN_kernel_0."""


@dataclass(frozen=True)
class Figures:
    """What the reports of the finished stages say."""

    hls: HlsReport | None = None
    utilisation: Utilisation | None = None
    kernel: Mapping[str, float] = field(default_factory=dict)
    """Resources of the kernel alone, once implemented."""
    timing: Timing | None = None
    power: Mapping[str, float | str] = field(default_factory=dict)


def read_figures(project: Project, stage: str) -> Figures:
    """Read the reports of a stage and of those before it.

    Raises:
        ToolError: the report of HLS is missing or damaged. Vivado's may be missing where it failed early.
    """
    log = project.logs / "hls.log"
    hls = read_csynth(project.csynth(), log)
    if NAMES.index(stage) < NAMES.index("impl"):
        return Figures(hls)
    places = {name: project.build / file for name, file in REPORTS.items()}
    found: dict[str, Any] = {"hls": hls}
    with suppress(ToolError):
        found["utilisation"] = read_utilisation(places["utilisation"])
    with suppress(ToolError):
        found["kernel"] = read_hierarchy(places["hierarchy"], KERNEL_MODULE)
    with suppress(ToolError):
        found["timing"] = read_timing(places["timing"])
    with suppress(ToolError):
        found["power"] = read_power(places["power"])
    return Figures(**found)


def implementation(project: Project, figures: Figures, finished: Mapping[str, StageRecord]) -> dict[str, Any]:
    """The member `implementation` of report.json."""
    used = figures.utilisation.used if figures.utilisation is not None else None
    return {
        "stages": {name: {"tool": dict(stage.tool), "seconds": stage.seconds} for name, stage in finished.items()},
        "comparison": comparison(project, figures.hls, used),
        "hls": figures.hls.as_dict() if figures.hls is not None else None,
        "resources": None if used is None else {"design": dict(used), "kernel": dict(figures.kernel)},
        "timing": figures.timing.as_dict() if figures.timing is not None else None,
        "power": dict(figures.power) or None,
        "label": "implemented, not run on hardware" if used is not None else "estimated by HLS",
    }


def write_report(project: Project, figures: Figures, finished: Mapping[str, StageRecord]) -> None:
    """Put the tools' figures into report/report.json, and draw report/index.html from it again."""
    content = {**project.report, "implementation": implementation(project, figures, finished)}
    folder = project.root / "report"
    _replace(folder / "report.json", json.dumps(content, indent=1) + "\n")
    _replace(folder / "index.html", render_page(content))


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
