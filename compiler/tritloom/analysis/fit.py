"""Does a kernel fit a board, and which is the largest that does?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import InputError
from ..ir.encoding import SLICE_TRITS
from ..ir.kernel import KernelLimits
from ..targets import Target
from .estimate import MIB, Estimate, ResourceUse, resource_uses

COMFORTABLE: Final = 0.95
"""Share of a board's LUTs, as estimated without LUT6_2 packing, that the compiler fills of its own accord."""
_NAMES: Final = {
    "lut": "LUT",
    "ff": "flip-flops",
    "bram36": "BRAM (36 kbit)",
    "uram": "URAM",
    "dsp": "DSP",
}
DDR_FOR_SYSTEM: Final = 0.25
"""Share of the DRAM that Linux and Python keep."""


@dataclass(frozen=True)
class ModelNeeds:
    """What a model asks of a kernel."""

    longest_k: int
    """Elements of the longest quantised vector."""
    vector_words: int
    """Floats of vector memory a position."""
    state_words: int
    """Floats of state."""
    instructions: int


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _worst(uses: Sequence[ResourceUse]) -> ResourceUse:
    """The resource that binds: largest share of what the board has."""
    return max(uses, key=lambda use: use.share)


def _what_to_change(resource: str, limits: dict[str, int], board: str) -> str:
    advice = []
    if limits["batch"] > 1:
        advice.append(f"a smaller batch (--batch {limits['batch'] // 2})")
    if limits["lanes"] > 4 and resource in ("lut", "ff", "dsp", "bram36"):
        advice.append(f"fewer lanes (--lanes {limits['lanes'] // 2})")
    if limits["ports"] > 1 and resource in ("lut", "ff"):
        advice.append("fewer weight ports (`kernel.ports` of a board file of your own)")
    advice.append(f"a board larger than {board} (`tritloom boards`)")
    return "try " + ", or ".join(advice)


def _refuse(use: ResourceUse, limits: dict[str, int], board: str) -> InputError:
    kernel = f"batch {limits['batch']}, {limits['lanes']} lanes, {limits['ports']} ports"
    over = (
        f"{use.share:.2f} times what the board has, {_number(use.used - use.available)} too many"
        if use.available
        else "the board has none"
    )
    return InputError(
        f"does not fit {board}: {_NAMES[use.resource]} {_number(use.used)} of {_number(use.available)}"
        f" ({over}; estimated, {kernel})",
        _what_to_change(use.resource, limits, board),
    )


def check_fits(estimate: Estimate, target: Target) -> None:
    """Check resources and memory. Too little default CMA is a warning of the estimate, not an error.

    Raises:
        InputError: names the binding resource, by how much it is exceeded, and what to change.
    """
    worst = _worst(estimate.resources)
    if worst.share > 1:
        raise _refuse(worst, estimate.limits, target.name)
    need = estimate.memory.contiguous
    have = int(target.memory.size_mb * MIB * (1 - DDR_FOR_SYSTEM))
    if need > have:
        raise InputError(
            f"does not fit {target.name}: {need / MIB:,.0f} MiB of contiguous memory needed,"
            f" {have / MIB:,.0f} MiB can be had of {target.memory.size_mb:,} MiB"
            f" ({(need - have) / MIB:,.0f} MiB too many)",
            "try a smaller model, an embedding table in f16 or bf16, or a board with more memory (`tritloom boards`)",
        )


def _round_up(value: int, step: int) -> int:
    return max(step, -(-value // step) * step)


def _limits(target: Target, needs: ModelNeeds, batch: int) -> KernelLimits:
    kernel = target.kernel
    return KernelLimits(
        ports=kernel.ports,
        port_bits=kernel.port_bits,
        batch=batch,
        lanes=kernel.lanes,
        k_max=_round_up(needs.longest_k, SLICE_TRITS),
        vector_words=_round_up(needs.vector_words, 1024),
        state_words=_round_up(needs.state_words, 1024),
        program_max=_round_up(needs.instructions, 128),
        code_slots=kernel.code_slots,
        topk=kernel.topk,
        port_fifo=kernel.port_fifo,
        gain_fifo=kernel.gain_fifo,
        gate_ii=kernel.gate_ii,
        burst_beats=kernel.burst_beats,
        outstanding=kernel.outstanding,
    )


def _comfortable(uses: Sequence[ResourceUse]) -> bool:
    limit = {"lut": COMFORTABLE, "ff": COMFORTABLE}
    return all(use.share <= limit.get(use.resource, 1.0) for use in uses)


def default_limits(target: Target, needs: ModelNeeds) -> KernelLimits:
    """The board's default kernel, large enough for a model, with the largest batch that fits.

    Lengths are rounded up, so that models of one family share a bitstream more often: k_max to 80, memories to 1024
    floats, the program to 128 instructions. The batch is halved from the board's default until the kernel fits.

    Raises:
        InputError: not even a batch of 1 fits.
    """
    batch = target.kernel.batch
    while True:
        limits = _limits(target, needs, batch)
        uses = resource_uses(limits, target)
        if _comfortable(uses) or (batch == 1 and _worst(uses).share <= 1):
            return limits
        if batch == 1:
            raise _refuse(_worst(uses), limits.as_dict(), target.name)
        batch //= 2
