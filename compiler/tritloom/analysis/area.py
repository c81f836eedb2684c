"""Programmable logic of the engine kernel, block by block, against a board's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..ir.encoding import SLICE_TRITS
from ..ir.kernel import KernelLimits
from ..targets import Target
from . import constants as c
from .constants import Cost
from .memory import kernel_memories, place

Where = Literal["dsp", "fabric"]
RESOURCES = ("lut", "ff", "bram36", "uram", "dsp")


@dataclass(frozen=True)
class Block:
    """A block of the design and what it takes."""

    name: str
    lut: int = 0
    ff: int = 0
    bram36: float = 0.0
    uram: int = 0
    dsp: int = 0
    source: str = ""


@dataclass(frozen=True)
class FloatPlan:
    """Where the float operators go: DSP slices or plain logic."""

    multiply: Where
    add: Where

    @property
    def multiplier(self) -> Cost:
        return c.MULTIPLY_DSP if self.multiply == "dsp" else c.MULTIPLY_FABRIC

    @property
    def adder(self) -> Cost:
        return c.ADD_DSP if self.add == "dsp" else c.ADD_FABRIC


@dataclass(frozen=True)
class FloatOperators:
    """Float operators of one part of the vector unit."""

    multiply: int = 0
    add: int = 0
    divide: int = 0
    square_root: int = 0
    convert: int = 0
    round: int = 0
    compare: int = 0

    def cost(self, plan: FloatPlan) -> Cost:
        return (
            plan.multiplier * self.multiply
            + plan.adder * self.add
            + c.DIVIDE * self.divide
            + c.SQUARE_ROOT * self.square_root
            + c.CONVERT * self.convert
            + c.ROUND * self.round
            + c.COMPARE * self.compare
        )


def float_units(limits: KernelLimits) -> dict[str, FloatOperators]:
    """Operators by unit, counted in docs/numerics.md's formulas and the kernel library's loops."""
    lanes, batch = limits.lanes, limits.batch

    def shared(count: int, cycles: int = limits.gate_ii) -> int:
        """Operators of one position that take turns over the cycles of a row, for every position."""
        return batch * -(-count // cycles)

    return {
        # u = (a*w2)*b, z = (a*w1)*b, a*a, z*z; two sums a lane, then the tree: a word's lanes and half of them. Largest
        # and smallest share a comparator.
        "statistics": FloatOperators(multiply=6 * lanes, add=3 * lanes + lanes // 2, compare=lanes),
        # Means, 1/sqrt twice, the range, 127/A or 255/A, the code of 0.
        "scale": FloatOperators(multiply=5, add=2, divide=3, square_root=2, convert=1, round=1),
        # u*s, rounded.
        "quantiser": FloatOperators(multiply=lanes, round=lanes),
        # hgrn's three sigmoids and what joins them; the other epilogues use the same operators. In front of them the
        # scale and the bias of a row.
        "epilogue": FloatOperators(
            multiply=shared(27),
            add=shared(21),
            divide=shared(3),
            convert=shared(4),
            round=shared(3),
        ),
        "head": FloatOperators(
            multiply=shared(2, limits.head_ii), add=shared(1, limits.head_ii), convert=batch, compare=limits.topk
        ),
        # One lane of everything.
        "vector functions": FloatOperators(multiply=8, add=6, divide=2, square_root=1, convert=1, round=1, compare=2),
    }


def choose_floats(limits: KernelLimits, target: Target) -> FloatPlan:
    """DSPs where they save most logic: the multipliers first (190 LUT a DSP), then the adders (85 LUT a DSP)."""
    units = float_units(limits).values()
    budget = int(target.resources.dsp * c.DSP_BUDGET)
    multiply = c.MULTIPLY_DSP.dsp * sum(unit.multiply for unit in units)
    add = c.ADD_DSP.dsp * sum(unit.add for unit in units)
    multiply_where: Where = "dsp" if multiply <= budget else "fabric"
    left = budget - (multiply if multiply_where == "dsp" else 0)
    return FloatPlan(multiply_where, "dsp" if add <= left else "fabric")


def array_cost(slices: int, batch: int) -> Cost:
    """Dot-product array with decoders. Between the batches that were measured, per trit and vector."""
    known = max(measured for measured in c.SLICE_LUT if measured <= batch)
    further = (batch - known) * SLICE_TRITS * c.LUT_PER_FURTHER_TRIT
    return Cost(round(slices * (c.SLICE_LUT[known] + further)), c.FF_PER_TRIT * SLICE_TRITS * slices * batch)


def _block(name: str, cost: Cost, source: str) -> Block:
    return Block(name, cost.lut, cost.ff, dsp=cost.dsp, source=source)


def _interconnect(limits: KernelLimits, target: Target) -> Cost:
    same = target.ports.width >= limits.port_bits and target.ports.protocol == "axi4"
    port = c.SMARTCONNECT_SAME if same else c.SMARTCONNECT_CONVERT
    return port * limits.ports + c.SMARTCONNECT_CONTROL + c.INTERRUPT_CONTROLLER


def blocks(limits: KernelLimits, target: Target) -> tuple[tuple[Block, ...], FloatPlan]:
    """Every block of the kernel and the logic around it."""
    plan = choose_floats(limits, target)
    adapters = c.M_AXI_READ * (limits.ports + 2) + c.M_AXI_BOTH
    logic = [
        _block("dot-product array", array_cost(limits.slices, limits.batch), c.ARRAY_SOURCE),
        *(
            _block(f"vector unit: {name}", unit.cost(plan), c.FLOAT_SOURCE)
            for name, unit in float_units(limits).items()
        ),
        _block("sequencer, top-k, counters", c.SEQUENCER, "derived"),
        _block("m_axi adapters", adapters, c.INFRASTRUCTURE_SOURCE),
        _block("s_axilite registers", c.S_AXILITE, c.INFRASTRUCTURE_SOURCE),
        _block("interconnect, interrupts", _interconnect(limits, target), c.INFRASTRUCTURE_SOURCE),
    ]
    memories = [
        Block(
            placed.memory.name,
            lut=placed.lut,
            bram36=placed.bram36,
            uram=placed.uram,
            source=f"counted: {placed.memory.copies} x {placed.memory.depth} x {placed.memory.width} bit",
        )
        for placed in place(kernel_memories(limits), target.resources.uram)
    ]
    return (*logic, *memories), plan
