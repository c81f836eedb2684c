"""Programmable logic of the dataflow mapping's blocks.

Provisional constants: first table of measurements, without the control around the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from . import constants as c
from .memory import Ports, bram36, lutram
from .memory import uram as uram_blocks

RamStyle = Literal["auto", "distributed", "block", "ultra"]
"""Where a memory goes; the names are those of Vivado's `ram_style` attribute."""
PoolKind = Literal["max", "average"]


@dataclass(frozen=True)
class Resources:
    """What a block takes. A RAMB18 is half of a `bram36`."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram36: float = 0.0
    uram: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram36 + other.bram36,
            self.uram + other.uram,
        )

    def __mul__(self, count: int) -> Resources:
        """`count` copies, side by side."""
        return Resources(self.lut * count, self.ff * count, self.dsp * count, self.bram36 * count, self.uram * count)


TRIT_LUT: Final = 2.3
"""LUTs a trit and cycle of gate and adder tree, whatever the activation's width."""
TRIT_LUT_PER_BIT: Final = 1.49
TRIT_FF: Final = 11.0
REQUANTIZE: Final = Resources(lut=20, dsp=1)
REQUANTIZE_FABRIC: Final = Resources(lut=844)
DSP_PORTS: Final = (25, 18)
"""Signed operands of a DSP48E1, the smaller of the two families' multipliers."""
LUT_DEPTH: Final = 64
BLOCK_PAYS: Final = 64
"""LUTs that a RAMB18 must save to be taken by `auto`."""


def mvau(
    pe: int, simd: int, activation_bits: int, activation_signed: bool, accumulator_bits: int, weight_depth: int
) -> Resources:
    """Ternary matrix-vector unit: `pe` adder trees of `simd` trits, accumulators, control; no weights.

    `weight_depth` is the number of cycles a vector takes: its words of weights.
    """
    operand = activation_bits + (not activation_signed)
    tree = simd * (TRIT_LUT + TRIT_LUT_PER_BIT * operand)
    accumulate = accumulator_bits if weight_depth > 1 else 0
    control = 3 * max(weight_depth - 1, 1).bit_length()
    return Resources(round(pe * (tree + accumulate) + control), round(pe * (simd * TRIT_FF + 2 * accumulate) + control))


def rom_lut(bits_wide: int, depth: int) -> int:
    """LUTs of a read-only memory of `depth` words of `bits_wide` bits: 64 words a LUT and bit, and multiplexers."""
    return bits_wide * -(-depth // LUT_DEPTH)


def weight_memory(bits_wide: int, depth: int, ram_style: RamStyle = "auto") -> Resources:
    """Read-only memory of `depth` words; `ultra` must be loaded at run time (UltraRAM has no initial contents)."""
    if ram_style == "ultra":
        return Resources(uram=uram_blocks(depth, bits_wide))
    distributed = Resources(lut=rom_lut(bits_wide, depth), ff=bits_wide)
    block = Resources(bram36=bram36(depth, bits_wide, Ports.TRUE))
    if ram_style == "auto":
        return block if distributed.lut > BLOCK_PAYS * 2 * block.bram36 else distributed
    return block if ram_style == "block" else distributed


def replay_buffer(bits_wide: int, depth: int) -> Resources:
    """Holds a vector of `depth` words, which the unit reads once for every row of its weights."""
    if depth <= 1:
        return Resources(ff=bits_wide)
    if depth * bits_wide <= 64 * 64:
        return Resources(lut=lutram(depth, bits_wide) + 10, ff=bits_wide + 20)
    return Resources(lut=20, ff=20, bram36=bram36(depth, bits_wide))


def requantize(
    accumulator_bits: int, multiplier_bits: int, channels: int, *, output_bits: int = 8, use_dsp: bool = True
) -> Resources:
    """One multiply-shift-round-clamp unit, a result a cycle; its channels' multipliers and offsets in a ROM."""
    table = weight_memory(multiplier_bits + accumulator_bits, channels) if channels > 1 else Resources()
    wide, narrow = max(accumulator_bits, multiplier_bits + 1), min(accumulator_bits, multiplier_bits + 1)
    if use_dsp:
        blocks = -(-wide // DSP_PORTS[0]) * -(-narrow // DSP_PORTS[1])
        return Resources(lut=20 + output_bits, ff=2 * output_bits, dsp=blocks) + table
    return Resources(lut=round(844 * accumulator_bits * multiplier_bits / (24 * 16)), ff=200) + table


def thresholds(accumulator_bits: int, levels: int, channels: int, pe: int) -> Resources:
    """`pe` units that count how many of `levels` thresholds a sum reaches, each for `channels / pe` channels."""
    depth = -(-channels // pe)
    steps = levels.bit_length()
    if levels <= 15:
        compare = Resources(lut=round(levels * 17.2 * accumulator_bits / 24), ff=levels + accumulator_bits)
        table = weight_memory(levels * accumulator_bits, depth) if depth > 1 else Resources()
        return (compare + table) * pe
    search = Resources(lut=round(338 * steps / 8 * accumulator_bits / 24), ff=steps * (2 * accumulator_bits + steps))
    tables = Resources()
    for step in range(steps):
        tables = tables + weight_memory(accumulator_bits, depth << step)
    return (search + tables) * pe


def input_quantizer(bits: int) -> Resources:
    """float32 to a code of `bits`, one a cycle: scaled in fixed point, then corrected by exact compares of the bits."""
    return Resources(lut=300, ff=300, dsp=2, bram36=1.0 if bits > 4 else 0.5)


def window(
    kernel_height: int, kernel_width: int, width: int, channels: int, simd: int, activation_bits: int
) -> Resources:
    """Sliding window over rows of `width` pixels: line buffer of `kernel_height` rows, `simd` codes a cycle."""
    depth = (kernel_height + 1 if kernel_height > 1 else kernel_width) * width * channels // simd
    buffer = replay_buffer(simd * activation_bits, depth)
    return buffer + Resources(lut=120, ff=120)


def pool(kind: PoolKind, bits: int, parallel: int, window_size: int) -> Resources:
    """`parallel` channels a cycle, `window_size` codes each, taken one after the other."""
    width = bits if kind == "max" else bits + (window_size - 1).bit_length()
    return Resources(lut=round(1.6 * width), ff=width) * parallel


def add(bits: int, multiplier_bits: int, parallel: int = 1, *, output_bits: int = 8) -> Resources:
    """Residual sum of two codes on different scales: two products, sum, round, clamp."""
    return Resources(lut=20 + output_bits, ff=2 * output_bits, dsp=2) * parallel


def fifo(width: int, depth: int) -> Resources:
    """Stream FIFO: shift registers up to 1,024 bits or 32 words, then LUTRAM or block RAM."""
    if depth <= 2:
        return Resources(lut=width + 4, ff=2 * width + 4)
    if depth <= 32 or depth * width <= 1024:
        return Resources(lut=width * -(-depth // 32) + 12, ff=width + 8)
    return Resources(lut=40, ff=40, bram36=bram36(depth, width))


def width_converter(bits_in: int, bits_out: int) -> Resources:
    """Stream of words of `bits_in` to words of `bits_out`; one divides the other."""
    wide = max(bits_in, bits_out)
    return Resources(lut=wide + 8 if bits_in != bits_out else 0, ff=wide + 8 if bits_in != bits_out else 0)


def hard_wired(weights_nonzero: int, activation_bits: int, *, shared: bool = True) -> Resources:
    """Constant matrix as adder trees, a vector every cycle: no weights, no multiplexers."""
    a_weight = (0.80, 0.484) if shared else (1.13, 0.625)
    lut = weights_nonzero * (a_weight[0] + a_weight[1] * activation_bits)
    return Resources(lut=round(lut), ff=round(lut))


def dma(width_bits: int) -> Resources:
    """m_axi adapter of one direction with its burst buffer."""
    scale = 0.5 + 0.5 * width_bits / 128
    return Resources(
        lut=round(c.M_AXI_READ.lut * scale), ff=round(c.M_AXI_READ.ff * scale), bram36=bram36(512, width_bits)
    )


def control_registers() -> Resources:
    """s_axilite registers of the kernel."""
    return Resources(lut=c.S_AXILITE.lut, ff=c.S_AXILITE.ff)
