"""report.json, the HTML report, the bundle's README and its notebook."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..resources import templates_dir
from ..targets import Target
from .data import ReportData
from .notebook import notebook
from .tables import RESOURCE_NAMES, estimate_tables, number, pass_rows, rate, ratio, size

Fed = Literal["tokens", "vectors", "frames"]
"""What a bundle is fed with: it says how it is used."""


def _percent(share: float, digits: int = 0) -> str:
    return f"{share:.{digits}%}"


def _mib(count: float) -> str:
    return f"{count / (1 << 20):,.1f}"


def environment(html: bool) -> Environment:
    """The templates of the bundle's documents, with the filters of their figures."""
    environment = Environment(
        loader=FileSystemLoader(templates_dir() / "bundle"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=html,
    )
    environment.filters |= {
        "bytes": size,
        "rate": rate,
        "number": number,
        "percent": _percent,
        "ratio": ratio,
        "resource": RESOURCE_NAMES.__getitem__,
        "mib": _mib,
    }
    return environment


def report_json(data: ReportData) -> dict[str, Any]:
    """Content of report/report.json: figures for programs, and the same tables that the terminal shows."""
    return {
        "schema": 1,
        "model": data.model,
        "board": data.board,
        "version": data.version,
        "facts": data.facts,
        "passes": [dict(zip(("name", "before", "after", "seconds"), row, strict=True)) for row in data.passes],
        "estimate": data.estimate.as_dict(),
        "images": [dataclasses.asdict(image) for image in data.images],
        "program": list(data.program),
        "verification": None
        if data.verification is None
        else [dataclasses.asdict(check) for check in data.verification],
        "tables": [table.as_dict() for table in estimate_tables(data.estimate)],
        "pass_table": pass_rows(data.passes).as_dict(),
    }


def render_report(data: ReportData) -> str:
    """The report as one HTML file that needs no other file and no network."""
    return render_page(report_json(data))


def render_page(content: Mapping[str, Any]) -> str:
    """The HTML report of what report.json holds; `tritloom build` adds to that, and draws the page again."""
    estimate = content["estimate"]
    stages = estimate.get("stages", ())
    values = {
        "data": content,
        "estimate": estimate,
        "implementation": content.get("implementation"),
        "slowest": max((row["seconds"] for row in content["passes"]), default=0.0) or 1.0,
        "biggest": max((image["bytes"] for image in content.get("images", ())), default=0) or 1,
        "slowest_stage": max(stages, key=lambda stage: float(stage["cycles"]), default=None),
    }
    template = "net_report.html.j2" if content.get("kind") == "net" else "report.html.j2"
    return environment(html=True).get_template(template).render(values)


def render_readme(data: ReportData, target: Target, fed: Fed = "tokens") -> str:
    """The bundle's README.md: what to do next, for this board and this model."""
    return environment(html=False).get_template("README.md.j2").render(
        data=data, estimate=data.estimate, target=target, fed=fed
    )  # fmt: skip


class Titled(Protocol):
    """Data of any report."""

    @property
    def model(self) -> str: ...

    @property
    def version(self) -> str: ...


def render_notebook(data: Titled, target: Target, fed: Fed = "tokens") -> str:
    """The bundle's notebook.ipynb: load, generate or run, plot latency, throughput and power."""
    script = environment(html=False).get_template("notebook.py.j2").render(
        data=data, target=target, fed=fed
    )  # fmt: skip
    return notebook(script)


def report_files(data: ReportData, target: Target, fed: Fed = "tokens") -> dict[str, str]:
    """Every file that this package adds to a bundle, by path inside the bundle."""
    return {
        "report/report.json": json.dumps(report_json(data), indent=1) + "\n",
        "report/index.html": render_report(data),
        "README.md": render_readme(data, target, fed),
        "notebook.ipynb": render_notebook(data, target, fed),
    }
