"""Kernel and board -> the scripts of a bundle's `vivado` folder. Not run on hardware.

Zynq-7000 and Zynq UltraScale+ get a block design (`build.tcl`, `design.tcl`), Alveo cards a linker configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import InputError
from ..ir.kernel import KernelLimits
from ..resources import templates_dir
from ..targets import Target
from .connect import Kernel, engine_kernel
from .link import TEMPLATE as LINK_TEMPLATE
from .link import link_context

STEM: Final = "tritloom"
"""Project, and files of the overlay: whatever the kernel's name."""
SOURCE_MHZ: Final = 100
"""Clock of the processing system that the clock wizard starts from."""

# Parameter that enables a port of the Zynq UltraScale+ processing system: the numbers are not the names'.
_ZYNQMP_NUMBER: Final = {
    "S_AXI_HPC0_FPD": 0,
    "S_AXI_HPC1_FPD": 1,
    "S_AXI_HP0_FPD": 2,
    "S_AXI_HP1_FPD": 3,
    "S_AXI_HP2_FPD": 4,
    "S_AXI_HP3_FPD": 5,
}
_ZYNQ_PORTS: Final = ("S_AXI_HP0", "S_AXI_HP1", "S_AXI_HP2", "S_AXI_HP3")


@dataclass(frozen=True)
class ProcessingSystem:
    """Pins and parameters of a family's processing system."""

    clock: str
    reset: str
    interrupt: str
    master: str
    master_clock: str
    properties: tuple[tuple[str, str], ...]


def tcl_word(text: str) -> str:
    """Quote one Tcl word; braces substitute nothing.

    >>> tcl_word("xilinx.com:kv260_som:part0:*")
    '{xilinx.com:kv260_som:part0:*}'
    """
    if any(character in text for character in "{}\\\r\n"):
        raise ValueError(f"cannot be quoted in Tcl: {text!r}")
    return "{" + text + "}"


def _port_clock(port: str, target: Target) -> str:
    """Pin of the clock of a processing system's port."""
    return f"{port}_ACLK" if target.family == "zynq" else f"{port.lower().replace('s_axi_', 'saxi')}_aclk"


def _check_ports(used: tuple[str, ...], known: tuple[str, ...], target: Target) -> None:
    unknown = [name for name in used if name not in known]
    if unknown:
        raise InputError(
            f"board '{target.name}': the script knows no port {', '.join(unknown)}",
            f"ports of this family: {', '.join(known)}",
        )


def _zynqmp(target: Target, used: tuple[str, ...]) -> ProcessingSystem:
    _check_ports(used, tuple(_ZYNQMP_NUMBER), target)
    properties = [
        ("PSU__FPGA_PL0_ENABLE", "1"),
        ("PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ", f"{SOURCE_MHZ}"),
        ("PSU__USE__IRQ0", "1"),
        ("PSU__USE__M_AXI_GP0", "1"),
        ("PSU__USE__M_AXI_GP1", "0"),
        ("PSU__USE__M_AXI_GP2", "0"),
    ]
    for number in sorted(_ZYNQMP_NUMBER[name] for name in used):
        properties.append((f"PSU__USE__S_AXI_GP{number}", "1"))
        properties.append((f"PSU__SAXIGP{number}__DATA_WIDTH", str(target.ports.width)))
    return ProcessingSystem(
        clock="pl_clk0",
        reset="pl_resetn0",
        interrupt="pl_ps_irq0",
        master="M_AXI_HPM0_FPD",
        master_clock="maxihpm0_fpd_aclk",
        properties=tuple(properties),
    )


def _zynq(target: Target, used: tuple[str, ...]) -> ProcessingSystem:
    _check_ports(used, _ZYNQ_PORTS, target)
    properties = [
        ("PCW_EN_CLK0_PORT", "1"),
        ("PCW_FPGA0_PERIPHERAL_FREQMHZ", f"{SOURCE_MHZ}"),
        ("PCW_USE_FABRIC_INTERRUPT", "1"),
        ("PCW_IRQ_F2P_INTR", "1"),
        ("PCW_USE_M_AXI_GP0", "1"),
    ]
    for name in sorted(used):
        properties.append((f"PCW_USE_{name}", "1"))
        properties.append((f"PCW_{name}_DATA_WIDTH", str(target.ports.width)))
    return ProcessingSystem(
        clock="FCLK_CLK0",
        reset="FCLK_RESET0_N",
        interrupt="IRQ_F2P",
        master="M_AXI_GP0",
        master_clock="M_AXI_GP0_ACLK",
        properties=tuple(properties),
    )


def _notes(kernel: Kernel, target: Target) -> list[str]:
    """Comment lines: which interface goes where, and what happens on the way."""
    used = kernel.ports()
    lines = [f"{', '.join(master.interface for master in kernel.at(port))} -> {port}" for port in used]
    for group in target.ports.shared:
        together = [name for name in group if name in used]
        if len(together) > 1:
            lines.append(f"{' and '.join(together)} share a port of the memory controller")
    widest = max(master.width for master in kernel.masters)
    if target.ports.width < widest:
        lines.append(f"smartconnect converts {widest} bits to {target.ports.width}")
    if target.ports.protocol == "axi3":
        lines.append(f"and splits bursts to AXI3's {target.ports.max_burst_beats} beats")
    return lines


def _context(kernel: Kernel, target: Target) -> dict[str, object]:
    """What the templates of the block design see."""
    used = kernel.ports()
    vendor, library, name, _ = kernel.vlnv.split(":")
    return {
        "kernel": kernel,
        "ps": _zynq(target, used) if target.family == "zynq" else _zynqmp(target, used),
        "ports": [(port, _port_clock(port, target), kernel.at(port)) for port in used],
        "mapping_notes": _notes(kernel, target),
        "vlnv_pattern": f"{vendor}:{library}:{name}:*",
    }


def render_overlay(kernel: Kernel, target: Target, version: str) -> dict[str, str]:
    """Files of the bundle's `vivado` folder for any kernel, by path inside the bundle.

    Raises:
        InputError: the board cannot carry the kernel's ports.
    """
    environment = Environment(
        loader=FileSystemLoader(templates_dir() / "vivado"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["tcl"] = tcl_word
    card = target.family == "alveo"
    context = link_context(kernel, target) if card else _context(kernel, target)
    context |= {"banner": f"Generated by tritloom {version}.", "target": target, "stem": STEM}
    templates = (LINK_TEMPLATE,) if card else ("build.tcl.j2", "design.tcl.j2")
    return {f"vivado/{name.removesuffix('.j2')}": environment.get_template(name).render(context) for name in templates}


def render_vivado(limits: KernelLimits, target: Target, version: str) -> dict[str, str]:
    """Files of the bundle's `vivado` folder for the engine kernel, by path inside the bundle.

    Raises:
        InputError: the board cannot carry the kernel's ports.
    """
    return render_overlay(engine_kernel(limits, target), target, version)
