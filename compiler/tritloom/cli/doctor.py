"""`tritloom doctor`: which tools are there, and what each is for."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from .console import emit_json, show, table, working
from .options import Debug, Json

TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Check:
    """A tool: how to find its version, and what goes without it."""

    name: str
    version: Callable[[], str | None]
    needed_for: str


def program(*commands: str, flag: str = "--version") -> Callable[[], str | None]:
    """Version that the first of these programs prints; None where none is on the path."""

    def version() -> str | None:
        path = next(filter(None, map(shutil.which, commands)), None)
        if path is None:
            return None
        try:
            ran = subprocess.run(
                [path, flag], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, errors="replace"
            )
        except (OSError, subprocess.TimeoutExpired):
            return f"{path} does not start"
        found = re.search(r"\d+\.\d+(\.\d+)?", ran.stdout + ran.stderr)
        return found.group() if found else path

    return version


def package(name: str) -> Callable[[], str | None]:
    """Version of an installed Python package; None where it is not installed."""

    def version() -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return version


def amd(*names: str) -> Callable[[], str | None]:
    """Releases of AMD's tools that `tritloom build` finds, on the path and where the installers put them."""

    def version() -> str | None:
        from tritloom.toolchain.find import installed
        from tritloom.toolchain.machine import Local

        here = Local()
        tools = [tool for name in names for tool in installed(here, name)]
        if not tools:
            paths = [path for name in names for path in here.which(name)]
            return f"{paths[0]} does not start" if paths else None
        return ", ".join(dict.fromkeys(str(tool.version) for tool in tools))

    return version


CHECKS = (
    Check("Python", platform.python_version, "everything"),
    Check("g++", program("g++"), "C simulation, the emulated device"),
    Check("make", program("make"), "C simulation, the emulated device"),
    Check("clang++", program("clang++"), "a second opinion on the C++ (tests)"),
    Check("onnxruntime", package("onnxruntime"), "tritloom verify"),
    Check("tokenizers", package("tokenizers"), "fast tokenizing (a pure Python one is built in)"),
    Check("pynq", package("pynq"), "boards and the emulated device: tritloom[board]"),
    Check("Vitis HLS", amd("vitis-run", "vitis_hls"), "tritloom build: C++ to RTL"),
    Check("Vivado", amd("vivado"), "tritloom build: Zynq, Zynq UltraScale+"),
    Check("v++", amd("v++"), "tritloom build: Alveo"),
    Check("XRT", program("xrt-smi", "xbutil"), "running on Alveo"),
    Check("Verilator", program("verilator"), "RTL behind the emulated device"),
    Check("ssh", program("ssh", flag="-V"), "build --remote, deploy"),
    Check("rsync", program("rsync"), "build --remote"),
    Check("distributed", package("distributed"), "tritloom sweep: tritloom[sweep]"),
)


def doctor(as_json: Json = False, debug: Debug = False) -> None:
    """Show which tools are installed, and what each is needed for."""
    with working("looking for tools"):
        found = [(check, check.version()) for check in CHECKS]
    if as_json:
        emit_json([{"name": check.name, "version": got, "needed_for": check.needed_for} for check, got in found])
        return
    rows = [(check.name, got or "not found", check.needed_for) for check, got in found]
    show(table(("tool", "version", "needed for"), rows))
