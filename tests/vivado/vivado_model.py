"""Run Tcl scripts under tclsh with the model of Vivado or Vitis HLS in front of them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import vivado_catalogue as catalogue

VIVADO = ("core", "cells", "design", "addresses", "checks", "project")
HLS = ("core", "hls")
IPS = (
    "xilinx.com:ip:zynq_ultra_ps_e:3.3 xilinx.com:ip:zynq_ultra_ps_e:3.5 xilinx.com:ip:processing_system7:5.5 "
    "xilinx.com:ip:proc_sys_reset:5.0 xilinx.com:ip:axi_intc:4.1 xilinx.com:ip:smartconnect:1.0 "
    "xilinx.com:ip:clk_wiz:5.4 xilinx.com:ip:clk_wiz:6.0 xilinx.com:ip:axi_dma:7.1 xilinx.com:ip:axi_interconnect:2.1 "
    "xilinx.com:ip:axis_dwidth_converter:1.1 xilinx.com:ip:axi_gpio:2.0 xilinx.com:ip:xlconcat:2.1"
)


@dataclass(frozen=True)
class Kernel:
    """An HLS kernel of the IP repository: its interfaces besides s_axi_control, as (name, protocol, mode)."""

    vlnv: str
    interfaces: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Ran:
    """How a script ended."""

    code: int
    errors: str
    output: str
    facts: tuple[str, ...]
    """What it used of the catalogue, one fact each."""
    log: tuple[str, ...]


def _settings(values: Mapping[str, object]) -> str:
    return "".join(f"set stub::setting({name}) {{{value}}}\n" for name, value in values.items())


def _finish(folder: Path, text: str, cwd: Path) -> Ran:
    driver, record = folder / "driver.tcl", folder / "record.txt"
    driver.write_text(text, encoding="utf-8")
    record.unlink(missing_ok=True)
    done = subprocess.run(
        ["tclsh", driver], cwd=cwd, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    facts = tuple(line for line in lines if not line.startswith("log "))
    return Ran(
        done.returncode, done.stderr, done.stdout, facts, tuple(line[4:] for line in lines if line.startswith("log "))
    )


def _model(tool: str, parts: Sequence[str], settings: Mapping[str, object], record: Path) -> str:
    """The beginning of a driver: settings, catalogue, commands; `exit` leaves the record behind."""
    return (
        "namespace eval stub {}\n"
        + _settings({**settings, "record": record})
        + catalogue.tcl(tool)
        + "".join(f"source {{{catalogue.STUB / part}.tcl}}\n" for part in parts)
        + "rename exit stub::really_exit\nproc exit {{code 0}} { stub::leave; stub::really_exit $code }\n"
    )


def run_vivado(
    scripts: Sequence[Path],
    folder: Path,
    *,
    kernels: Sequence[Kernel] = (),
    arguments: Sequence[str] = (),
    audit: bool = False,
    cwd: Path | None = None,
    **settings: object,
) -> Ran:
    """Run scripts one after the other in one model of Vivado.

    Args:
        folder: for the driver and the record.
        kernels: what the IP repository holds.
        arguments: `-tclargs`.
        audit: whether the design is to be audited as one of ours, and no pin may be connected twice.
        cwd: working folder.
        settings: what the tools answer: boards, parts, ips, version, wns, whs, fails (a run), hwh, clock_mhz.
    """
    values = {
        "ips": " ".join((IPS, *(kernel.vlnv for kernel in kernels))),
        "boards": "",
        "parts": "",
        "version": "2024.1",
        "wns": "0.2",
        "whs": "0.011",
        "fails": "",
        "hwh": 1,
        "clock_mhz": 0,
        "strict": int(audit),
        "learn": 0,
        **settings,
    }
    text = _model("vivado", VIVADO, values, folder / "record.txt")
    for kernel in kernels:
        name = kernel.vlnv.rpartition(":")[0]
        words = " ".join(word for row in kernel.interfaces for word in row)
        text += f"set stub::kernels({name}) {{{words}}}\n"
    if not kernels:
        text += "array set stub::kernels {}\n"
    text += f"set argv {{{' '.join(arguments)}}}\nset argc {len(arguments)}\n"
    text += "".join(f"source {{{script}}}\n" for script in scripts)
    text += ("stub::audit\n" if audit else "") + "stub::leave\n"
    return _finish(folder, text, cwd or folder)


def run_hls(script: Path, folder: Path, *, component: bool, any_file: bool = False, arguments: str = "") -> Ran:
    """Run a script of Vitis HLS; `component` is whether the tool has open_component (2025.1 and later)."""
    text = _model("hls", HLS, {"component": int(component), "any_file": int(any_file)}, folder / "record.txt")
    text += f"set argv {{{arguments}}}\nsource {{{script}}}\nstub::leave\n"
    return _finish(folder, text, folder)
