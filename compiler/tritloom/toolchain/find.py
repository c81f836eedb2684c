"""Finding AMD's tools: by binary, then by the version that it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import ToolError
from .machine import Machine
from .versions import OLDEST, Version, has


@dataclass(frozen=True)
class Tool:
    """An installed tool."""

    name: str
    path: str
    version: Version

    def as_dict(self) -> dict[str, str]:
        """For overlay.json and the stage record."""
        return {"name": self.name, "version": str(self.version)}

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


VERSION_FLAG: Final = {"vivado": "-version", "vitis_hls": "-version", "vitis-run": "--version", "v++": "--version"}

HLS_FEATURE: Final = {"vitis-run": "vitis-run --tcl", "vitis_hls": "vitis_hls -f", "v++": "v++ --mode hls"}
"""Programs that run HLS, in order of preference, and the feature of the version table that each needs."""


def version_in(text: str) -> Version | None:
    """The release in what a tool prints about itself.

    >>> str(version_in("****** vitis-run v2024.2 (64-bit)\\n  **** SW Build 5239630 on 2024-11-10"))
    '2024.2'
    >>> str(version_in("Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2.1 (64-bit)"))
    '2022.2'
    >>> version_in("Tool Version Limit: 2026.06") is None
    True
    """
    found = re.search(r"\bv(20\d\d\.\d(?:\.\d+)?)\b", text)
    return Version.parse(found[1]) if found else None


def installed(machine: Machine, name: str) -> list[Tool]:
    """Every installation of a tool that starts, in the order of the search path."""
    tools = []
    for path in machine.which(name):
        version = version_in(machine.query([path, VERSION_FLAG[name]]))
        if version is not None:
            tools.append(Tool(name, path, version))
    return tools


def _chosen(tools: list[Tool], wanted: Version | None) -> Tool | None:
    fitting = [tool for tool in tools if wanted is None or tool.version == wanted]
    return fitting[0] if fitting else None


def _missing(machine: Machine, what: str, found: list[Tool], wanted: Version | None) -> ToolError:
    where = "" if machine.name == "local" else f" on {machine.name}"
    if found and wanted is not None:
        there = ", ".join(sorted({str(tool.version) for tool in found}))
        return ToolError(
            f"{what} {wanted} is not installed{where}; found: {there}", "give one of these to --tool-version"
        )
    hint = "source the tools' settings64.sh first, or build elsewhere with --remote user@host"
    return ToolError(f"{what} was not found{where}", f"{hint}; `tritloom doctor` lists what is there")


def find_tool(machine: Machine, name: str, title: str, wanted: Version | None = None) -> Tool:
    """A tool of the wanted release, or the first on the search path.

    Raises:
        ToolError: it is not there, it does not start, or it is too old.
    """
    paths = machine.which(name)
    tools = installed(machine, name)
    tool = _chosen(tools, wanted)
    if tool is None:
        if paths and not tools:
            said = machine.query([paths[0], VERSION_FLAG[name]]).strip().splitlines()
            raise ToolError(f"{paths[0]} does not start{': ' + said[0] if said else ''}", "run it by hand to see why")
        raise _missing(machine, title, tools, wanted)
    if tool.version < OLDEST:
        raise ToolError(f"{title} {tool.version} is too old", f"{OLDEST} and later will do")
    return tool


def find_hls(machine: Machine, wanted: Version | None = None, program: str | None = None) -> Tool:
    """The program that runs HLS: `vitis-run`, `vitis_hls` or `v++`, whichever this release has.

    Args:
        machine: where to look.
        wanted: a release; any will do where it is None.
        program: one of the three, where the user wants that one.

    Raises:
        ToolError: none is there, or the one asked for cannot do it in this release.
    """
    found: list[Tool] = []
    for name in (program,) if program is not None else tuple(HLS_FEATURE):
        tools = installed(machine, name)
        found += tools
        able = [tool for tool in tools if has(HLS_FEATURE[name], tool.version)]
        tool = _chosen(able, wanted)
        if tool is not None:
            return tool
    if found and wanted is None:
        tool = found[0]
        raise ToolError(
            f"{tool.path} is of {tool.version}, which has no '{HLS_FEATURE[tool.name]}'", "see docs/build.md"
        )
    raise _missing(machine, "Vitis HLS", found, wanted)
