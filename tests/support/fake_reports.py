"""Reports of the fake tools, in the forms of public ones; the figures are ours, for the example on a KV260.

csynth.xml: the elements that public parsers of 2020.2 to 2025.2 reports read (hls4ml, allo, FINN); loops by
element name, from 2022 with a Name, violations by SummaryOfLoopViolations. Log: definelicht/hlslib#51 and
Xilinx/SLASH#51. Utilisation: the flat table has `Slice LUTs` on the 7 series and `CLB LUTs` on UltraScale+, and
from 2021.2 a column `Prohibited` (a7 example of chili-chips-ba, ZU+ tables of public READMEs); the hierarchical
one has `Total LUTs`, `FFs`, `RAMB36`, `RAMB18`, `DSP Blocks`. Timing: m-labs/VexRiscv-verilog#19 for a path.
Power: the summary box of public 2022.2 reports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

RESOURCES = ("lut", "ff", "bram18", "uram", "dsp")
ZYNQ, OTHERS = "xc7z", ""
HLS = {ZYNQ: (41_870, 46_300, 176, 0, 148), OTHERS: (78_412, 95_220, 214, 0, 431)}
"""What HLS is played to expect of the kernel: by the part's first letters, in the order of RESOURCES."""
IMPLEMENTED = {ZYNQ: (36_020, 43_115, 171, 0, 148), OTHERS: (66_105, 84_391, 219, 0, 431)}
"""The whole design, placed and routed."""
AVAILABLE = {ZYNQ: (53_200, 106_400, 280, 0, 220), OTHERS: (117_120, 234_240, 288, 64, 1_248)}


def figures(table: dict[str, tuple[int, ...]], part: str) -> dict[str, int]:
    """The row of a part."""
    row = next(row for prefix, row in table.items() if part.startswith(prefix))
    return dict(zip(RESOURCES, row, strict=True))


ARRAY = "dot_array_Config_StreamSource_Config_s"


@dataclass(frozen=True)
class Played:
    """A module with a pipelined loop: the first is the one that misses its interval, the second its clock."""

    module: str
    header: str
    function: str
    trips: int
    share: int
    """It takes one of so many LUTs of the kernel."""

    @property
    def line(self) -> int:
        return loop_line(self.header, self.function)

    @property
    def title(self) -> str:
        return f"VITIS_LOOP_{self.line}_1"


def played() -> tuple[Played, Played]:
    """Two modules of the kernel in the working folder: the engine's, or two stages of a net."""
    if Path("include/tritloom/quantize.h").is_file():
        return (
            Played("quantiser_Config_s", "quantize.h", "quantiser", 104, 20),
            Played(ARRAY, "array.h", "dot_array", 2560, 3),
        )
    first, second = re.findall(r"loom::mvau<(\w+)>", Path("top.cpp").read_text())[:2]
    return (
        Played(f"mvau_{first}_s", "flow/mvau.h", "mvau", 64, 20),
        Played(f"mvau_{second}_s", "flow/mvau.h", "mvau", 64, 3),
    )


def loop_line(header: str, function: str) -> int:
    """The line of the pipelined loop of a function, in the kernel library of the working folder."""
    lines = Path("include/tritloom", header).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if re.search(rf"\b{function}\(", line))
    pipeline = next(number for number in range(start, len(lines)) if "HLS PIPELINE" in lines[number])
    return max(number for number in range(start, pipeline) if re.search(r"\b(for|while) \(", lines[number])) + 1


def loop(name: str, trips: int, latency: int, ii: int | None, *, named: bool, nested: str = "") -> str:
    """A loop of SummaryOfLoopLatency."""
    title = f"<Name>{name}</Name>" if named else ""
    interval = f"<PipelineII>{ii}</PipelineII><PipelineDepth>9</PipelineDepth>" if ii is not None else ""
    return (
        f"<{name}>{title}<Slack>0.73</Slack><TripCount>{trips}</TripCount><Latency>{latency}</Latency>"
        f"<AbsoluteTimeLatency>0.52 us</AbsoluteTimeLatency>{interval}{nested}</{name}>"
    )


def violation(name: str, kind: str, place: str) -> str:
    """The violations of a module's loop."""
    return (
        f"<SummaryOfViolations><IssueType>-</IssueType><SummaryOfLoopViolations><{name}><Name>{name}</Name>"
        f"<IssueType>{kind}</IssueType><ViolationType>{'Carried Dependence' if kind != '-' else '-'}</ViolationType>"
        f"<SourceLocation>{place}</SourceLocation></{name}></SummaryOfLoopViolations></SummaryOfViolations>"
    )


def area(tag: str, *, lut: int, ff: int, bram18: int, dsp: int, uram: int) -> str:
    return (
        f"<{tag}><BRAM_18K>{bram18}</BRAM_18K><DSP>{dsp}</DSP><FF>{ff}</FF><LUT>{lut}</LUT><URAM>{uram}</URAM></{tag}>"
    )


def module(name: str, loops: str, violations: str, lut: int) -> str:
    return (
        f"<Module><Name>{name}</Name><PerformanceEstimates><SummaryOfLoopLatency>{loops}</SummaryOfLoopLatency>"
        f"{violations}</PerformanceEstimates>"
        f"<AreaEstimates>{area('Resources', lut=lut, ff=lut, bram18=4, dsp=12, uram=0)}</AreaEstimates></Module>"
    )


def csynth_xml(what: str, version: str, part: str, period: float) -> str:
    """csynth.xml: `what` is success, ii, resources or clock."""
    located = version >= "2022.1"
    used = figures(HLS, part)
    lut = 131_000 if what == "resources" else used["lut"]
    estimated = period * 1.21 if what == "clock" else period * 0.73
    slow = 3 if what == "ii" else 1
    modules = ""
    missed, late = played()
    for which, ii, issue in (
        (missed, slow, "II Violation" if what == "ii" else "-"),
        (late, 1, "Timing Violation" if what == "clock" else "-"),
    ):
        body = loop(which.title, which.trips, which.trips * ii + 9, ii, named=located)
        place = f"include/tritloom/{which.header}:{which.line}"
        said = violation(which.title, issue, place) if located else ""
        modules += module(which.module, body, said, lut // which.share)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<profile><ReportVersion><Version>{version}</Version></ReportVersion>"
        f"<UserAssignments><unit>ns</unit><ProductFamily>zynquplus</ProductFamily><Part>{part}</Part>"
        f"<TopModelName>tritloom</TopModelName><TargetClockPeriod>{period:.2f}</TargetClockPeriod>"
        f"<ClockUncertainty>{period * 0.27:.2f}</ClockUncertainty><FlowTarget>vivado</FlowTarget></UserAssignments>"
        "<PerformanceEstimates><PipelineType>dataflow</PipelineType><SummaryOfTimingAnalysis><unit>ns</unit>"
        f"<EstimatedClockPeriod>{estimated:.3f}</EstimatedClockPeriod></SummaryOfTimingAnalysis>"
        "<SummaryOfOverallLatency><unit>clock cycles</unit><Best-caseLatency>undef</Best-caseLatency>"
        "<Worst-caseLatency>undef</Worst-caseLatency></SummaryOfOverallLatency></PerformanceEstimates>"
        f"<AreaEstimates>{area('Resources', **{**used, 'lut': lut})}"
        f"{area('AvailableResources', **figures(AVAILABLE, part))}</AreaEstimates>"
        f"<ModuleInformation>{modules}</ModuleInformation></profile>\n"
    )


def csynth_log(what: str) -> str:
    """What HLS prints while it schedules."""
    missed, late = played()
    place = f"include/tritloom/{missed.header}:{missed.line + 2}"
    reason = (
        "Unable to enforce a carried dependence constraint (II = {0}, distance = 1, offset = 1) between 'store' "
        f"operation ('sum_write', {place}) of variable 'value' and 'load' operation ('sum_load', {place}) on local "
        "variable 'sum'."
    )
    said = f"WARNING: [HLS 200-880] The II Violation in module '{missed.module}' (loop '{missed.title}'): "
    lines = []
    for which, ii in ((missed, 3 if what == "ii" else 1), (late, 1)):
        lines += [
            f"INFO: [HLS 200-42] -- Implementing module '{which.module}' ",
            f"INFO: [SCHED 204-61] Pipelining loop '{which.title}'.",
            *(said + reason.format(tried) for tried in range(1, ii)),
            f"INFO: [HLS 200-1470] Pipelining result : Target II = 1, Final II = {ii}, Depth = 9, loop '{which.title}'",
        ]
    return "\n".join(lines)


def header(version: str, command: str) -> str:
    return (
        "Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.\n"
        f"| Tool Version : Vivado v.{version} (lin64) Build 5076996\n| Command      : {command}\n"
        "| Design       : tritloom_wrapper\n| Design State : Routed\n\n"
    )


def utilisation(version: str, part: str) -> str:
    """report_utilization, flat."""
    site = "CLB" if part.startswith(("xck", "xczu", "xcu")) else "Slice"
    prohibited = version >= "2021.2"
    used, there = figures(IMPLEMENTED, part), figures(AVAILABLE, part)
    rows = (
        (f"{site} LUTs", used["lut"], there["lut"]),
        ("  LUT as Logic", used["lut"] - 5_098, there["lut"]),
        ("  LUT as Memory", 5_098, there["lut"] // 2),
        (f"{site} Registers", used["ff"], there["ff"]),
        ("Block RAM Tile", used["bram18"] / 2, there["bram18"] // 2),
        ("  RAMB36/FIFO*", used["bram18"] // 3, there["bram18"] // 2),
        *((("URAM", 0, 64),) if there["uram"] else ()),
        ("DSPs", used["dsp"], there["dsp"]),
    )
    heading = ["Site Type", "Used", "Fixed", *(["Prohibited"] if prohibited else []), "Available", "Util%"]
    lines = ["| " + " | ".join(heading) + " |"]
    for name, used, there in rows:
        cells = [f"{name:27}", str(used), "0", *(["0"] if prohibited else []), str(there), f"{100 * used / there:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return header(version, "report_utilization") + "Utilization Design Information\n\n" + "\n".join(lines) + "\n"


def utilisation_by_hierarchy(version: str, part: str) -> str:
    """report_utilization -hierarchical."""
    used = figures(IMPLEMENTED, part)
    heading = (
        "| Instance | Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs | RAMB36 | RAMB18 | URAM | DSP Blocks |"
    )
    lines = [heading]
    for name, module, share in (
        ("tritloom_wrapper", "(top)", 1.0),
        ("  tritloom_i", "tritloom", 1.0),
        ("    kernel", "tritloom_kernel_0", 0.9),
        ("    intc", "tritloom_intc_0", 0.01),
    ):
        lut, ff = int(used["lut"] * share), int(used["ff"] * share)
        ram = (used["bram18"] // 3, used["bram18"] % 3) if share > 0.5 else (0, 0)
        cells = (name, module, lut, lut - 30, 20, 10, ff, *ram, 0, used["dsp"] if share > 0.5 else 0)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return header(version, "report_utilization -hierarchical") + "\n".join(lines) + "\n"


def timing(version: str, slack: float) -> str:
    """report_timing_summary."""
    failing = 57 if slack < 0 else 0
    state = "VIOLATED" if slack < 0 else "MET"
    grp = f"grp_{ARRAY}_fu_1520"
    return (
        header(version, "report_timing_summary")
        + "------------\n| Design Timing Summary\n| ---------------------\n------------\n\n"
        "    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)"
        "  THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)\n"
        "    -------      -------  ---------------------  -------------------      -------      -------"
        "  ---------------------  -------------------     --------     --------\n"
        f"     {slack:.3f}       {min(slack, 0) * 40:.3f}          {failing}         210344        0.010        0.000"
        "          0         210344        0.500        0.000\n\n"
        "Max Delay Paths\n------------\n"
        f"Slack ({state}) :        {slack:.3f}ns  (required time - arrival time)\n"
        f"  Source:                 tritloom_i/kernel/inst/{grp}/partial_reg[3]/C\n"
        "                            (rising edge-triggered cell FDRE clocked by clk_pl_0  {rise@0.000ns})\n"
        f"  Destination:            tritloom_i/kernel/inst/{grp}/sum_reg[21]/D\n"
        "  Path Group:             clk_pl_0\n"
    )


def power(version: str) -> str:
    """report_power."""
    return (
        header(version, "report_power") + "1. Summary\n----------\n\n"
        "| Total On-Chip Power (W)  | 5.124        |\n| Design Power Budget (W)  | Unspecified* |\n"
        "| Dynamic (W)              | 4.699        |\n| Device Static (W)        | 0.425        |\n"
        "| Junction Temperature (C) | 37.0         |\n| Confidence Level         | Low          |\n"
    )
