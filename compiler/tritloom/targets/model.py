"""What tritloom knows about a board. Every figure's source stands in the file itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
PortName = Annotated[str, Field(pattern=r"^(S_AXI_[A-Z0-9_]+|(HBM|DDR)\[[0-9]+(:[0-9]+)?\])$")]
"""A slave port of a processing system, or a memory bank as `v++` names it: `HBM[3]`, `DDR[0]`, `HBM[28:31]`."""
Part = Annotated[str, Field(pattern=r"^xc[A-Za-z0-9-]+$")]
BoardPart = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+:[a-z0-9_.-]+:part0:\*$")]
Platform = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
Slr = Annotated[str, Field(pattern=r"^SLR[0-9]$")]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Resources(_Facts):
    """Programmable logic: of the part; on an Alveo card what the platform leaves in the kernel's region."""

    lut: Positive
    ff: Positive
    dsp: NotNegative
    bram36: Positive
    """36-kbit block RAMs; each is two of 18 kbit."""
    uram: NotNegative
    """288-kbit UltraRAMs (4096 x 72)."""


class MemoryFacts(_Facts):
    """The DRAM that the weights lie in."""

    kind: Text
    size_mb: Positive
    """MiB."""
    peak_gb_s: Annotated[float, Field(gt=0)]
    """10^9 bytes per second at the pins."""
    achievable_share: Annotated[float, Field(gt=0, le=1)]
    """Share of the peak that long sequential reads are expected to reach."""
    share_basis: Text
    cma_mb: Positive
    """MiB of contiguous memory that the board's image reserves by default."""


class PortFacts(_Facts):
    """Ports that the kernel reads and writes memory through."""

    kind: Text
    """What a port is: `HP`, `HBM pseudo-channel`, `DDR4 channel`."""
    names: tuple[PortName, ...]
    """Weight ports, in the order in which they are taken."""
    count: Positive
    width: Literal[32, 64, 128, 256, 512]
    """Bits a cycle that a port takes at the kernel's clock."""
    peak_gb_s: Annotated[float, Field(gt=0)]
    """10^9 bytes per second that one port can carry at its own highest clock."""
    protocol: Literal["axi3", "axi4"]
    max_burst_beats: Positive
    shared: tuple[tuple[PortName, ...], ...]
    """Groups of ports behind one port of the memory controller."""
    control: PortName
    """Port of the gains, the governor and the io interface."""

    @model_validator(mode="after")
    def _consistent(self) -> PortFacts:
        if len(set(self.names)) != len(self.names):
            raise ValueError("names: a port appears twice")
        if self.count != len(self.names):
            raise ValueError(f"count is {self.count}, but {len(self.names)} names are given")
        return self


class KernelDefaults(_Facts):
    """Kernel configuration that this board gets unless the user asks for another."""

    ports: Positive
    port_bits: Literal[128, 512]
    lanes: Literal[4, 8, 16]
    batch: Positive
    """Largest batch to try; the compiler takes the largest that fits."""
    gate_ii: Positive
    """Cycles that a row takes in the epilogue of a linear; a longer interval shares the float operators."""
    burst_beats: Positive
    outstanding: Positive
    port_fifo: Positive
    gain_fifo: Positive
    code_slots: Positive = 3
    topk: Positive = 8


class SoftwareFacts(_Facts):
    """What runs on the board."""

    image: Text
    pynq: Text
    python: Text


class ToolFacts(_Facts):
    """What building a bitstream takes."""

    licence: Text
    """Edition of Vivado, or the licence, that the part needs."""


class AlveoFacts(_Facts):
    """What linking a kernel into a card's platform takes."""

    platform: Platform
    """Name of the installed platform, `v++ --platform`."""
    slr: Slr
    """Super logic region that the kernel is placed in: `resources` are what the platform leaves there."""
    part: Resources
    """The whole part, platform included."""


class Sources(_Facts):
    """Where the figures come from."""

    part: Text
    resources: Text
    memory: Text
    ports: Text
    clock: Text
    software: Text
    tools: Text


class Target(_Facts):
    """A board: part, memory, ports, default kernel."""

    name: Name
    title: Text
    part: Part
    board_part: BoardPart
    family: Literal["zynq", "zynqmp", "alveo"]
    clock_mhz: Annotated[float, Field(gt=0, le=1000)]
    resources: Resources
    memory: MemoryFacts
    ports: PortFacts
    kernel: KernelDefaults
    software: SoftwareFacts
    tools: ToolFacts
    sources: Sources
    alveo: AlveoFacts | None = None
    """Alveo cards only."""

    @model_validator(mode="after")
    def _kernel_fits_ports(self) -> Target:
        if self.kernel.ports > self.ports.count:
            raise ValueError(f"kernel.ports is {self.kernel.ports}, but the board has {self.ports.count} ports")
        if self.kernel.burst_beats > self.ports.max_burst_beats:
            raise ValueError(
                f"kernel.burst_beats is {self.kernel.burst_beats}, but the ports take"
                f" bursts of at most {self.ports.max_burst_beats} beats"
            )
        return self

    @model_validator(mode="after")
    def _family_has_its_facts(self) -> Target:
        card = self.family == "alveo"
        if card != (self.alveo is not None):
            raise ValueError(
                "an Alveo card needs a table [alveo]" if card else "only an Alveo card has a table [alveo]"
            )
        banks = [name for name in (*self.ports.names, self.ports.control) if not name.startswith("S_AXI_")]
        ports = [name for name in (*self.ports.names, self.ports.control) if name.startswith("S_AXI_")]
        if wrong := ports if card else banks:
            raise ValueError(f"ports: family '{self.family}' has no {wrong[0]}")
        return self

    @property
    def clock_hz(self) -> float:
        return self.clock_mhz * 1e6

    @property
    def delivered_gb_s(self) -> float:
        """Memory bandwidth expected of long bursts through all ports, in 10^9 bytes per second."""
        return self.memory.peak_gb_s * self.memory.achievable_share

    def delivered_by(self, weight_ports: int) -> float:
        """The same through the first `weight_ports` of the ports, and the control port where it is another one."""
        used = self.ports.names[:weight_ports]
        count = weight_ports if self.ports.control in used else weight_ports + 1
        return min(self.memory.peak_gb_s, count * self.ports.peak_gb_s) * self.memory.achievable_share
