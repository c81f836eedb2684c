"""Register offsets of the kernel, read from the overlay's .hwh by name and checked against the manifest.

Tool versions place arguments differently, so the offsets are never computed. A 64-bit argument
appears as two registers, ``name_1`` and ``name_2``; some versions list one register of 64 bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .errors import DeviceError
from .kernel_manifest import Argument

CONTROL = {"CTRL": 0x00, "GIER": 0x04, "IP_IER": 0x08, "IP_ISR": 0x0C}
"""The registers that ap_ctrl_hs fixes."""

_REBUILD = "build the overlay again from this bundle: `tritloom build`, then copy .bit and .hwh together"


@dataclass(frozen=True)
class Register:
    """Where an argument lies in the register file: `bits` is 32 or 64, low word first."""

    name: str
    offset: int
    bits: int
    kind: str


@dataclass(frozen=True)
class Layout:
    """The kernel as an overlay has it: its instance name and its arguments' registers."""

    instance: str
    registers: Mapping[str, Register]


def read_layout(path: str | os.PathLike[str], vlnv: str, args: Iterable[Argument]) -> Layout:
    """Find the kernel `vlnv` in a .hwh file and match its registers with the manifest's arguments.

    Raises:
        DeviceError: the file cannot be read, it has no such IP (or several), or a register is
            missing or of another width.
    """
    name = Path(path).name
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DeviceError(f"{name}: {error}", _REBUILD) from error
    modules = [module for module in root.iter("MODULE") if module.get("VLNV") == vlnv]
    if len(modules) != 1:
        found = sorted({module.get("VLNV") or "?" for module in root.iter("MODULE")})
        raise DeviceError(
            f"{name} has {len(modules)} IPs {vlnv}, not one; it has {', '.join(found) or 'none'}", _REBUILD
        )
    instance = (modules[0].get("FULLNAME") or modules[0].get("INSTANCE") or "").lstrip("/")
    try:
        registers = dict(_registers(modules[0]))
    except ValueError as error:
        raise DeviceError(f"{name}: a register of {vlnv} is malformed ({error})", _REBUILD) from error
    return Layout(instance, _match(name, registers, args))


def _registers(module: ElementTree.Element) -> Iterable[tuple[str, tuple[int, int]]]:
    """Name -> (offset, bits) of each register of an IP."""
    for register in module.iter("REGISTER"):
        values = {item.get("NAME"): item.get("VALUE", "") for item in register.findall("PROPERTY")}
        offset = int(values.get("ADDRESS_OFFSET", ""), 0)
        yield register.get("NAME", ""), (offset, int(values.get("SIZE", "32"), 0))


def _match(file: str, registers: Mapping[str, tuple[int, int]], args: Iterable[Argument]) -> dict[str, Register]:
    problems: list[str] = []
    matched: dict[str, Register] = {}
    for name, offset in CONTROL.items():
        if registers.get(name, (offset, 32))[0] != offset or (name == "CTRL" and name not in registers):
            problems.append(f"{name} is not at 0x{offset:02x} (ap_ctrl_hs)")
    for arg in args:
        found = _find(arg.name, registers)
        if found is None:
            problems.append(f"`{arg.name}` is missing")
        elif found[1] != arg.bits:
            problems.append(f"`{arg.name}` has {found[1]} bits, the manifest says {arg.bits}")
        else:
            matched[arg.name] = Register(arg.name, found[0], arg.bits, arg.kind)
    if problems:
        shown = "; ".join(problems[:4]) + ("; ..." if len(problems) > 4 else "")
        raise DeviceError(f"{file} does not match the manifest: {shown}", _REBUILD)
    return matched


def _find(name: str, registers: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
    """(offset, bits) of an argument, its two halves joined."""
    if name in registers:
        return registers[name]
    low, high = registers.get(f"{name}_1"), registers.get(f"{name}_2")
    if low is None or high is None or low[1] != 32 or high != (low[0] + 4, 32):
        return None
    return low[0], 64
