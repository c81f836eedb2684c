"""The first real error in a tool's log, with file, line and a hint.

A failing tool prints one cause and then a trail of consequences: "failed due to earlier errors", "caught Tcl
error". The cause is wanted. Where Vivado runs a step in a process of its own, it stands in that run's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MESSAGE: Final = re.compile(r"^\s*(?:\[[\d:]+\]\s*)?(ERROR|CRITICAL WARNING): (?:\[([^\]]+)\] ?)?(.*)$")

SOURCE: Final = re.compile(
    r"(?<![\w./-])((?:[\w.+-]*/)*[\w.+-]+\.(?:cpp|hpp|h|cc|c|sv|vhd|v|tcl|xdc|cfg))(?::(\d+)|\" line (\d+)| line (\d+))"
)
"""A source file and a line, as HLS (`x.cpp:12:3`), Vivado (`[x.v:12]`) and Tcl (`file "x.tcl" line 12`) put it."""


@dataclass(frozen=True)
class Known:
    """A message, and what to do about it."""

    pattern: str
    """Regular expression for `[id] text`."""
    hint: str
    source: str
    """Where the message was seen, or "assumed"."""


KNOWN: Final = (
    Known(
        r"valid license was not found|Failed to get the license|Common 17-34[58]",
        "the device needs a licence: see the board's page in docs/boards.md, and the Vivado License Manager",
        "lowRISC/opentitan#18098, Xilinx/AVED#5",
    ),
    Known(
        r"Place 30-640|VPL 30-640|DRC UTLZ-1",
        "compile with fewer --lanes or a smaller --batch, or for a larger board",
        "optimsoc#70, vivado-risc-v#54, Xilinx/QNN-MO-PYNQ#12, Xilinx/CHaiDNN#56",
    ),
    Known(
        r"did not meet timing|failed to meet (the )?timing|timing is not met|Timing 38-282|VPL 101-2",
        "give a board file with a lower clock_mhz, or compile with fewer --lanes or a smaller --batch",
        "ptrkrysik/uhd#3, firesim#1293, xup_vitis_network_example#42",
    ),
    Known(
        r"part .*(not (found|installed|valid)|is not supported)|Coretcl 2-106|no board matches",
        "install the device (and the board files) with AMD's installer: Help, Add Design Tools or Devices",
        "assumed",
    ),
    Known(
        r"Unknown option '-flow_target'|unknown option '-flow_target'",
        "this release does not know the option: tell --tool-version another, and report it",
        "thesps/conifer#67",
    ),
    Known(
        r"core_revision|is an invalid argument\. Please specify an integer value|bad lexical cast",
        "the y2k22 fault of Vivado 2021.2 and before: install AMD's patch AR76960",
        "Xilinx/kria-vitis-platforms#12, sld-columbia/esp#282",
    ),
    Known(
        r"HLS 200-997|HLS 200-779|HLS 200-994|failed dataflow checking",
        "the kernel's dataflow region was refused: report it with this log",
        "ScaleHLS-HIDA#12, UCLA-VAST/Stream-HLS#2",
    ),
    Known(
        r"[Nn]o space left on device|disk is full",
        "make room on the disk; the build goes on where it stopped",
        "assumed",
    ),
    Known(
        r"[Oo]ut of memory|bad_alloc|Common 17-69.*memory",
        "the machine has too little memory: fewer --jobs, or --remote to a larger one",
        "assumed",
    ),
    Known(
        r"libtinfo\.so|libncurses|GLIBC_|cannot open shared object file",
        "a library of the operating system is missing: install what AMD's release notes list",
        "assumed",
    ),
)
"""Messages that have a known remedy; the first that fits is taken."""

KILLED_HINT: Final = "most often Linux, for want of memory (dmesg says): fewer --jobs, or --remote to a larger machine"

CONSEQUENCES: Final = (
    r"due to earlier errors",  # Common 17-39, VoltCyclone/PCILeechFWGenerator#408
    r"Failed runs?\(s\)|due to failures in the following run",  # Vivado 12-13638, Common 17-70
    r"Encountered problem during source synthesis|Pre-synthesis failed",  # HLS 200-1715, 200-70, ScaleHLS-HIDA#12
    r"caught Tcl error|Failed to build kernel|compilation failed to complete|Failed to finish|60-599|60-592|60-704",
    r"Command failed: .*(please see|failed)",  # Common 17-69 after the cause
    r"sourcing script .* failed",  # VPL 101-3, firesim#1293
    r"ended as '",  # our own check of a run's progress
)
"""What follows from an error printed before, or elsewhere."""


@dataclass(frozen=True)
class Finding:
    """An error in a log."""

    tag: str
    """The tool's number of the message: `Place 30-640`; "" where it has none."""
    text: str
    log: Path
    line: int
    file: str = ""
    """Source file and line that the message names: `top.cpp:12`."""

    @property
    def message(self) -> str:
        return f"[{self.tag}] {self.text}" if self.tag else self.text

    @property
    def hint(self) -> str:
        """What to do about it; "" where the message is not known."""
        return next((known.hint for known in KNOWN if re.search(known.pattern, self.message)), "")

    @property
    def consequence(self) -> bool:
        """Whether it follows from another error."""
        return any(re.search(pattern, self.message) for pattern in CONSEQUENCES)


def source_of(text: str) -> str:
    """The source file and line that a message names: `file.cpp:12`, or "".

    >>> source_of("syntax error near ')' [/a/top.sv:35]")
    '/a/top.sv:35'
    """
    found = SOURCE.search(text)
    return f"{found[1]}:{next(group for group in found.groups()[1:] if group)}" if found else ""


def errors_in(log: Path) -> list[Finding]:
    """Every error of a log, in order; `CRITICAL WARNING` counts where it is known to be one."""
    found = []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    for number, line in enumerate(lines, 1):
        match = MESSAGE.match(line)
        if match is None:
            continue
        severity, tag, text = match[1], match[2] or "", match[3].strip()
        finding = Finding(tag, text, log, number, source_of(text))
        if severity == "ERROR" or finding.hint:
            found.append(finding)
    return found


def first_error(log: Path, others: Iterable[Path] = ()) -> Finding | None:
    """The cause of a failure: the first error that is no consequence, in the main log or in those of its runs."""
    main = errors_in(log)
    everything = [main, *(errors_in(other) for other in others)]
    for found in everything:
        causes = [finding for finding in found if not finding.consequence]
        if causes:
            return causes[0]
    return main[0] if main else None


def tcl_error(log: Path) -> Finding | None:
    """An error of the script itself: the line before Tcl's `while executing`."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    for number, line in enumerate(lines, 1):
        if line.strip() == "while executing" and number > 1:
            trace = " ".join(lines[number : number + 12])
            return Finding("", lines[number - 2].strip(), log, number - 1, source_of(trace))
    return None
