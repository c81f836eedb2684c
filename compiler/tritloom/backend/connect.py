"""Which memory interface of a kernel goes to which port of the board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import InputError
from ..ir.kernel import KernelLimits
from ..runtime.kernel_manifest import VLNV
from ..targets import Target

SMALL_BITS: Final = 128
"""Width of the interfaces that carry gains, control and io."""


@dataclass(frozen=True)
class Master:
    """An m_axi interface of a kernel."""

    interface: str
    """As HLS names it: `m_axi_` and the bundle."""
    width: int
    """Bits."""
    port: str
    """Port of the processing system, or memory bank of a card, that it goes to."""


@dataclass(frozen=True)
class Kernel:
    """What the block design needs to know of an HLS kernel: ap_ctrl_hs on s_axilite, one clock, one interrupt."""

    name: str
    """Top function; instance of the block design."""
    vlnv: str
    masters: tuple[Master, ...]
    control: str = "s_axi_control"

    def ports(self) -> tuple[str, ...]:
        """The ports in use, in the order of the masters."""
        return tuple(dict.fromkeys(master.port for master in self.masters))

    def at(self, port: str) -> tuple[Master, ...]:
        """The masters that share a port."""
        return tuple(master for master in self.masters if master.port == port)


def choose_ports(count: int, target: Target) -> tuple[list[str], str]:
    """Ports of `count` weight interfaces, in order, and the port that the small interfaces share.

    The board file lists the ports so that those behind different ports of the memory controller come first.
    Where the weights need the board's control port too, the next free one takes its place; banks of a card
    may be shared.

    Raises:
        InputError: the kernel has more ports than the board.
    """
    names = list(target.ports.names)
    if count > len(names):
        raise InputError(
            f"the kernel has {count} weight ports, board '{target.name}' has {len(names)}",
            f"give a board file with kernel.ports = {target.kernel.ports}, or another board",
        )
    weights = names[:count]
    if target.ports.control not in weights or target.family == "alveo":
        return weights, target.ports.control
    free = [name for name in names if name not in weights]
    if not free:
        raise InputError(
            f"board '{target.name}': all {len(names)} ports carry weights, none is left for gains and io",
            f"give a board file with kernel.ports = {len(names) - 1}",
        )
    return weights, free[0]


def engine_kernel(limits: KernelLimits, target: Target) -> Kernel:
    """The engine kernel on a board: a port for each weight interface, one for gains, governor and io.

    Raises:
        InputError: the kernel has more ports than the board.
    """
    weights, control = choose_ports(limits.ports, target)
    masters = [Master(f"m_axi_port{index}", limits.port_bits, port) for index, port in enumerate(weights)]
    masters += [Master(f"m_axi_{name}", SMALL_BITS, control) for name in ("gains", "governor", "io")]
    return Kernel("tritloom", VLNV, tuple(masters))


def plain_kernel(name: str, vlnv: str, interfaces: Sequence[tuple[str, int]], target: Target) -> Kernel:
    """A kernel whose interfaces (name, bits) each get a port of their own, in the board's order.

    Raises:
        InputError: the kernel has more interfaces than the board has ports.
    """
    ports, _ = choose_ports(len(interfaces), target)
    masters = (Master(interface, bits, port) for (interface, bits), port in zip(interfaces, ports, strict=True))
    return Kernel(name, vlnv, tuple(masters))
