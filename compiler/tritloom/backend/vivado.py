"""Kernel limits and board -> the Vivado script of a bundle. Not run on hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import InputError
from ..ir.kernel import KernelLimits
from ..resources import templates_dir
from ..targets import Target

STEM: Final = "tritloom"
VLNV_PATTERN: Final = "xilinx.com:hls:tritloom:*"

# Parameter that enables a port of the Zynq UltraScale+ processing system: the numbers are not the names'.
_ZYNQMP_NUMBER: Final = {
    "S_AXI_HPC0_FPD": 0,
    "S_AXI_HPC1_FPD": 1,
    "S_AXI_HP0_FPD": 2,
    "S_AXI_HP1_FPD": 3,
    "S_AXI_HP2_FPD": 4,
    "S_AXI_HP3_FPD": 5,
}


@dataclass(frozen=True)
class Port:
    """A slave port of the processing system."""

    name: str
    clock: str


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


def _port(name: str, target: Target) -> Port:
    if target.family == "zynq":
        return Port(name, f"{name}_ACLK")
    return Port(name, f"{name.lower().replace('s_axi_', 'saxi')}_aclk")


def _zynqmp(target: Target, used: list[str]) -> ProcessingSystem:
    unknown = [name for name in used if name not in _ZYNQMP_NUMBER]
    if unknown:
        raise InputError(
            f"board '{target.name}': the script knows no port {', '.join(unknown)}",
            f"ports of this family: {', '.join(_ZYNQMP_NUMBER)}",
        )
    properties = [
        ("PSU__FPGA_PL0_ENABLE", "1"),
        ("PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ", f"{target.clock_mhz:g}"),
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


def _zynq(target: Target, used: list[str]) -> ProcessingSystem:
    properties = [
        ("PCW_EN_CLK0_PORT", "1"),
        ("PCW_FPGA0_PERIPHERAL_FREQMHZ", f"{target.clock_mhz:g}"),
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


def choose_ports(limits: KernelLimits, target: Target) -> tuple[list[str], str]:
    """Ports of the weights, in order, and the port that gains, governor and io share.

    The board file lists the ports so that those behind different ports of the memory controller come first.
    Where the weights need the board's control port too, the next free one takes its place.

    Raises:
        InputError: the kernel has more ports than the board.
    """
    names = list(target.ports.names)
    if limits.ports > len(names):
        raise InputError(
            f"the kernel has {limits.ports} weight ports, board '{target.name}' has {len(names)}",
            f"give a board file with kernel.ports = {target.kernel.ports}, or another board",
        )
    weights = names[: limits.ports]
    if target.ports.control not in weights:
        return weights, target.ports.control
    free = [name for name in names if name not in weights]
    if not free:
        raise InputError(
            f"board '{target.name}': all {len(names)} ports carry weights, none is left for gains and io",
            f"give a board file with kernel.ports = {len(names) - 1}",
        )
    return weights, free[0]


def _notes(weights: list[str], control: str, limits: KernelLimits, target: Target) -> list[str]:
    lines = [f"m_axi_port{index} -> {name}" for index, name in enumerate(weights)]
    lines.append(f"m_axi_gains, m_axi_governor, m_axi_io -> {control}")
    for group in target.ports.shared:
        together = [name for name in group if name in (*weights, control)]
        if len(together) > 1:
            lines.append(f"{' and '.join(together)} share a port of the memory controller")
    if target.ports.width < limits.port_bits:
        lines.append(f"smartconnect converts {limits.port_bits} bits to {target.ports.width}")
    if target.ports.protocol == "axi3":
        lines.append(f"and splits bursts to AXI3's {target.ports.max_burst_beats} beats")
    return lines


def render_vivado(limits: KernelLimits, target: Target, version: str) -> dict[str, str]:
    """Files of the bundle's `vivado` folder, by path inside the bundle.

    Raises:
        InputError: the board cannot carry the kernel's ports.
    """
    weights, control = choose_ports(limits, target)
    used = [*weights, control]
    system = _zynq(target, used) if target.family == "zynq" else _zynqmp(target, used)
    environment = Environment(
        loader=FileSystemLoader(templates_dir() / "vivado"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["tcl"] = tcl_word
    text = environment.get_template("build.tcl.j2").render(
        banner=f"Generated by tritloom {version}.",
        target=target,
        limits=limits,
        stem=STEM,
        ps=system,
        weights=[_port(name, target) for name in weights],
        control=_port(control, target),
        mapping_notes=_notes(weights, control, limits, target),
        vlnv_pattern=VLNV_PATTERN,
        vlnv_check='VLNV="xilinx.com:hls:tritloom:1.0"',
    )
    return {"vivado/build.tcl": text}
