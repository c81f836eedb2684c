"""What a report says that must stop a build: a missed interval, missed timing, more logic than the board has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .errors import ToolError
from .loops import describe, loop_of_path
from .project import Project
from .reports import HlsReport, Timing

GO_ON: Final = "to go on all the same: --keep-going"
NAMES: Final = {"lut": "LUT", "ff": "FF", "bram36": "BRAM36", "uram": "URAM", "dsp": "DSP"}


def check_hls(project: Project, report: HlsReport) -> list[ToolError]:
    """What HLS missed, the worst first: intervals, resources, its estimate of the clock."""
    return [*_intervals(project, report), *_resources(project, report), *_clock(project, report)]


def _intervals(project: Project, report: HlsReport) -> list[ToolError]:
    missed = [loop for loop in report.loops if loop.violated]
    if not missed:
        return []
    first = missed[0]
    wanted = f" instead of {first.wanted_ii}" if first.wanted_ii is not None else ""
    more = f" (and {len(missed) - 1} more)" if len(missed) > 1 else ""
    text = f"II violation: an iteration starts every {first.ii} cycles{wanted}{more}\n  "
    text += describe(first, project.hls, project.origins())
    if first.reason:
        text += f"\n  {_short(first.reason)}"
    return [ToolError(text, f"the kernel is right but slower than estimated; {GO_ON}")]


def _resources(project: Project, report: HlsReport) -> list[ToolError]:
    over = {
        name: (report.resources[name], there)
        for name, there in project.board_resources().items()
        if report.resources[name] > there
    }
    if not over:
        return []
    figures = ", ".join(f"{NAMES[name]} {used:,.0f} of {there:,.0f}" for name, (used, there) in over.items())
    worst = max(over, key=lambda name: over[name][0] / max(over[name][1], 0.5))
    text = f"resources over the board, as HLS estimates them: {figures}"
    if largest := _largest(project, report, worst):
        text += f"\n  most {NAMES[worst]}: {largest}"
    hint = f"compile with fewer --lanes or a smaller --batch, or for a larger board; {GO_ON}"
    return [ToolError(text, hint)]


def _largest(project: Project, report: HlsReport, resource: str) -> str:
    """The loop whose module takes most of a resource."""
    with_loops = {loop.module: loop for loop in reversed(report.loops) if loop.module in report.modules}
    if not with_loops:
        return ""
    module = max(with_loops, key=lambda name: report.modules[name][resource])
    return describe(with_loops[module], project.hls, project.origins())


def _clock(project: Project, report: HlsReport) -> list[ToolError]:
    if report.timing_met:
        return []
    text = f"HLS expects a clock of {report.estimated_ns:g} ns, {report.target_ns:g} ns are asked for"
    slow = [loop for loop in report.loops if "Timing" in loop.issue]
    if slow:
        text += "\n  " + describe(slow[0], project.hls, project.origins())
    return [ToolError(text, f"give a board file with a lower clock_mhz; {GO_ON}")]


def timing_failure(project: Project, timing: Timing, report: HlsReport | None) -> ToolError:
    """The error of a routed design that misses its clock."""
    slack = f"setup slack {timing.wns:g} ns" if timing.wns < 0 else f"hold slack {timing.whs:g} ns"
    text = (
        f"timing is not met at {project.kernel['clock_mhz']:g} MHz: worst {slack}, {timing.failing:,} end points fail"
    )
    loop = loop_of_path(timing.path, report.loops) if report is not None and timing.path else None
    if loop is not None:
        text += "\n  " + describe(loop, project.hls, project.origins())
    elif timing.path:
        text += f"\n  {_short(timing.path)}"
    return ToolError(
        text, "give a board file with a lower clock_mhz, or compile with fewer --lanes or a smaller --batch"
    )


def _short(text: str, width: int = 150) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def comparison(
    project: Project, hls: HlsReport | None, implemented: Mapping[str, float] | None
) -> list[dict[str, float | str | None]]:
    """Estimate, HLS, implemented, by resource. HLS knows the kernel only, so it has an estimate of its own.

    A ratio is the tool's figure over ours; None where we expect none or the tool has not run.
    """
    rows: list[dict[str, float | str | None]] = []
    around = _around_the_kernel(project)
    for use in project.report["estimate"]["resources"]:
        name, expected = str(use["resource"]), float(use["used"])
        kernel = expected - around.get(name, 0.0)
        by_hls = hls.resources[name] if hls is not None else None
        final = implemented[name] if implemented is not None else None
        rows.append(
            {
                "resource": name,
                "available": float(use["available"]),
                "estimate": expected,
                "estimate_kernel": kernel,
                "hls": by_hls,
                "hls_ratio": _ratio(by_hls, kernel),
                "implemented": final,
                "implemented_ratio": _ratio(final, expected),
            }
        )
    return rows


def _around_the_kernel(project: Project) -> dict[str, float]:
    """Estimated resources of what Vivado adds to the kernel."""
    blocks = project.report["estimate"].get("blocks", [])
    outside = [block for block in blocks if str(block["name"]).startswith("interconnect")]
    return {name: sum(float(block.get(name) or 0) for block in outside) for name in NAMES}


def _ratio(figure: float | None, expected: float) -> float | None:
    return round(figure / expected, 3) if figure is not None and expected > 0 else None
