"""What tritloom knows about a board. Every figure's source stands in the file itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
AxiName = Annotated[str, Field(pattern=r"^S_AXI_[A-Z0-9_]+$")]
Part = Annotated[str, Field(pattern=r"^xc[A-Za-z0-9-]+$")]
BoardPart = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+:[a-z0-9_.-]+:part0:\*$")]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Resources(_Facts):
    """Programmable logic of the part."""

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
    """Ports of the processing system that the kernel can read memory through."""

    names: tuple[AxiName, ...]
    """Weight ports, in the order in which they are taken."""
    count: Positive
    width: Literal[32, 64, 128]
    protocol: Literal["axi3", "axi4"]
    max_burst_beats: Positive
    shared: tuple[tuple[AxiName, ...], ...]
    """Groups of ports behind one port of the memory controller."""
    control: AxiName
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


class Sources(_Facts):
    """Where the figures come from."""

    resources: Text
    memory: Text
    ports: Text
    clock: Text
    software: Text


class Target(_Facts):
    """A board: part, memory, ports, default kernel."""

    name: Name
    title: Text
    part: Part
    board_part: BoardPart
    family: Literal["zynq", "zynqmp"]
    clock_mhz: Annotated[float, Field(gt=0, le=1000)]
    resources: Resources
    memory: MemoryFacts
    ports: PortFacts
    kernel: KernelDefaults
    software: SoftwareFacts
    sources: Sources

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

    @property
    def clock_hz(self) -> float:
        return self.clock_mhz * 1e6

    @property
    def delivered_gb_s(self) -> float:
        """Memory bandwidth expected of long bursts, in 10^9 bytes per second."""
        return self.memory.peak_gb_s * self.memory.achievable_share
