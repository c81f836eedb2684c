"""The report of a feed-forward net: tables, report.json, HTML and README."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..analysis.net_estimate import NetEstimate
from ..targets import Target
from .data import Check, PassRow
from .render import environment, render_notebook, render_page
from .tables import Align, TableData, number, pass_rows, rate, resource_rows, size


@dataclass(frozen=True)
class NetReportData:
    """Everything in a net's report. `model` and `board` are names for people."""

    model: str
    board: str
    passes: Sequence[PassRow]
    estimate: NetEstimate
    input: str
    """Name of the net's input."""
    outputs: Sequence[str]
    """Names of its outputs."""
    verification: Sequence[Check] | None = None
    version: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def net_tables(found: NetEstimate) -> list[TableData]:
    """Speed, stages, resources; at most 80 columns wide."""
    speed = (
        ("frames per second", rate(found.frames_per_second)),
        ("cycles per frame", number(found.cycles_per_frame)),
        ("clock", f"{found.clock_mhz:g} MHz"),
        ("slowest stage", found.slowest.name),
        ("contiguous memory", f"{size(found.contiguous_bytes)} for {found.frames} frames a start"),
    )
    stages = tuple(
        (
            stage.name,
            str(stage.lanes_in),
            str(stage.lanes_out),
            number(stage.cycles),
            number(stage.resources.lut),
            number(stage.resources.dsp),
            number(stage.resources.bram36),
        )
        for stage in found.stages
    )
    columns: tuple[tuple[str, Align], ...] = (
        ("stage", "left"),
        ("in", "right"),
        ("out", "right"),
        ("cycles", "right"),
        ("LUT", "right"),
        ("DSP", "right"),
        ("BRAM36", "right"),
    )
    return [
        TableData(f"{found.board_title} (estimated)", (("figure", "left"), ("value", "left")), speed),
        TableData("Stages: lanes in and out, cycles a frame (estimated)", columns, stages),
        resource_rows(found.resources),
    ]


def net_report_json(data: NetReportData) -> dict[str, Any]:
    """Content of report/report.json: figures for programs, and the same tables that the terminal shows."""
    checks = None if data.verification is None else [dataclasses.asdict(check) for check in data.verification]
    return {
        "schema": 1,
        "kind": "net",
        "model": data.model,
        "board": data.board,
        "version": data.version,
        "facts": data.facts,
        "passes": [dict(zip(("name", "before", "after", "seconds"), row, strict=True)) for row in data.passes],
        "estimate": data.estimate.as_dict(),
        "verification": checks,
        "tables": [table.as_dict() for table in net_tables(data.estimate)],
        "pass_table": pass_rows(data.passes).as_dict(),
    }


def net_report_files(data: NetReportData, target: Target) -> dict[str, str]:
    """Every file that this package adds to the bundle of a net, by path inside the bundle."""
    values = {"data": data, "estimate": data.estimate, "tables": net_tables(data.estimate)}
    readme = environment(html=False).get_template("net_readme.md.j2")
    content = net_report_json(data)
    return {
        "report/report.json": json.dumps(content, indent=1) + "\n",
        "report/index.html": render_page(content),
        "README.md": readme.render(**values, target=target),
        "notebook.ipynb": render_notebook(data, target, fed="frames"),
    }
