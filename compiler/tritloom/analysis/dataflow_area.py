"""Programmable logic of the blocks of the dataflow mapping, as functions of their shape.

*measured*: yosys 0.70 `synth_xilinx`, xc7, out of context, of equivalent Verilog whose netlist was simulated
(`bench/area`, `bench/area/results.json`); between the measured points the formula follows the structure of the
block, and a test holds it to within 10 % of every point (or 4 LUTs of small ones). *remembered*, *derived*: as in
`constants.py`. No timing, no placement, no LUT6_2 packing; Vivado is expected to need fewer LUTs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log2
from typing import Final, Literal

from . import constants as c
from .adders import AdderGraph, width_of
from .memory import bram36
from .memory import uram as uram_blocks

RamStyle = Literal["auto", "distributed", "block", "ultra"]
"""Where a memory goes; the names are those of Vivado's `ram_style` attribute."""
FifoStyle = Literal["auto", "srl", "lutram", "bram"]
"""How a FIFO is built; the names are those of Vitis HLS's `BIND_STORAGE`."""
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


DSP_PORTS: Final = (25, 18)
"""Signed operands of a DSP48E1. A DSP48E2's are 27 and 18: the smaller serve both families."""
COMPARE_LUT: Final = 2 / 3
"""LUTs a bit of a signed comparison: three bits in two LUTs and a carry. *measured*"""
BLOCK_PAYS: Final = 64
"""LUTs that a RAMB18 must save to be taken by `auto`. *derived*: the boards' parts have 160 to 410 LUTs for each."""
SHIFT_REGISTER_PAYS: Final = 3
"""Clocks of a delay from which on it is a shift register. *measured*"""
SHIFT_REGISTER_BITS: Final = 1024
SHIFT_REGISTER_DEPTH: Final = 32
PROCESS: Final = Resources(lut=50, ff=60)
"""Start and done of an HLS process, its pipeline's enables, its streams' handshakes: in no measurement. *derived*"""


# --- adder trees -----------------------------------------------------------------------------------------------------


def _levels(simd: int) -> Iterator[tuple[int, int]]:
    """Adders and operands handed on unchanged, level by level."""
    while simd > 1:
        yield simd // 2, simd % 2
        simd = (simd + 1) // 2


def dot_product(simd: int, activation_bits: int, activation_signed: bool) -> Resources:
    """Tree of adders, a register a level, over `simd` codes that a trit each adds, subtracts or skips.

    A gate takes a LUT a bit, and of a pair of operands one is taken into the adder's own LUTs; an adder takes a LUT
    a bit of its sum. One signed bit is the bipolar code of -1 and 1: its first adders are two LUTs. *measured* for 1,
    2, 4 and 8 bits, 8 to 80 trits; simd = 1 is the gate alone.
    """
    bipolar = activation_signed and activation_bits == 1
    operand = 2 if bipolar else activation_bits + (not activation_signed)
    lut = simd // 2 * 2 if bipolar else simd // 2 * operand + simd % 2 * operand
    ff = 0
    for level, (adders, passed) in enumerate(_levels(simd), 1):
        sum_bits = operand + level
        lut += 0 if bipolar and level == 1 else adders * sum_bits
        ff += (adders + passed) * sum_bits
    if not bipolar:
        lut += simd // 6 - (0 if activation_signed else simd // 4)
        ff += simd // 2 if simd < 64 else 0
    return Resources(lut, ff)


def mvau(
    pe: int, simd: int, activation_bits: int, activation_signed: bool, accumulator_bits: int, weight_depth: int
) -> Resources:
    """Ternary matrix-vector unit: `pe` dot products of `simd` trits a cycle, accumulators, address counter.

    Weights (`weight_memory`, 2 bits a trit: nothing to decode) and the held vector (`replay_buffer`) are counted
    apart. `weight_depth` is the number of cycles a vector takes. *measured*: an accumulator is a LUT and a flip-flop a
    bit; five whole units with memories are within 10 % of the sum of their parts.
    """
    tree = dot_product(simd, activation_bits, activation_signed)
    accumulate = Resources(accumulator_bits, accumulator_bits) if weight_depth > 1 else Resources()
    address = max(weight_depth - 1, 1).bit_length()
    return (tree + accumulate) * pe + Resources(address, 2 * address + 2 * simd.bit_length())


def hard_wired(graph: AdderGraph, low: int, high: int) -> Resources:
    """Constant matrix as adders, a register each, a vector of codes from `low` to `high` every cycle.

    An adder takes a LUT for each bit that both operands have, where a sign counts as the bits above it, and one more if
    it subtracts. A value waits in registers until it is wanted; three clocks and more are a shift register, a LUT a
    bit. *measured* for 2, 4 and 8 bits, signed and unsigned, 144 to 4,608 trits.
    """
    ranges = [(low, high)] * graph.inputs + graph.ranges(low, high)
    widths = [width_of(*bounds) for bounds in ranges] + [0]  # the last is ZERO's, an operand without bits
    signed = [bounds[0] < 0 for bounds in ranges] + [False]
    lut = ff = 0
    for adder in graph.adders:
        common = max(widths[adder.left], widths[adder.right])
        for value in (adder.left, adder.right):
            common = common if signed[value] else min(common, widths[value])
        lut += common + adder.subtract
    for value, (level, wanted) in enumerate(zip(graph.levels(), graph.wanted(), strict=True)):
        since = level if value < graph.inputs else level - 1
        for until in sorted(wanted):
            clocks, since = until - since, until
            if clocks < SHIFT_REGISTER_PAYS:
                ff += clocks * widths[value]
            else:
                lut += widths[value]
    return Resources(lut, ff)


# --- memories --------------------------------------------------------------------------------------------------------


def _distributed_ram(bits_wide: int, depth: int) -> int:
    """LUTs of a distributed RAM with a read and a write port: RAM32M, RAM64M, and multiplexers above 64 words."""
    if depth <= 32:
        return 4 * -(-bits_wide // 6)
    banks = -(-depth // 64)
    return 4 * banks * -(-bits_wide // 3) + (bits_wide * -(-(banks - 1) // 3) + 2 * banks if banks > 1 else 0)


def _ram(bits_wide: int, depth: int, ram_style: RamStyle) -> Resources:
    """Memory with a read and a write port."""
    if ram_style == "ultra":
        return Resources(uram=uram_blocks(depth, bits_wide))
    distributed = Resources(lut=_distributed_ram(bits_wide, depth))
    block = Resources(bram36=bram36(depth, bits_wide))
    if ram_style == "auto":
        ram_style = "block" if distributed.lut > BLOCK_PAYS * 2 * block.bram36 else "distributed"
    return block if ram_style == "block" else distributed


def weight_memory(bits_wide: int, depth: int, ram_style: RamStyle = "auto") -> Resources:
    """Memory of constants, `depth` words, a registered read port.

    *measured*: 64 words a LUT and bit (the multiplexers of larger ones lie beside the LUTs); block RAMs as UG473's
    organisations say. `ultra` has no initial contents: it must be loaded at run time.
    """
    if ram_style == "ultra":
        return Resources(uram=uram_blocks(depth, bits_wide))
    # Beyond 256 words, what the wide multiplexers do not reach is multiplexed in LUTs.
    beyond = 1 + 0.2 * max(0.0, log2(depth / 256))
    distributed = Resources(lut=round(bits_wide * -(-depth // 64) * beyond), ff=bits_wide)
    block = Resources(bram36=bram36(depth, bits_wide))
    if ram_style == "auto":
        return block if distributed.lut > BLOCK_PAYS * 2 * block.bram36 else distributed
    return block if ram_style == "block" else distributed


def replay_buffer(bits_wide: int, depth: int, ram_style: RamStyle = "auto") -> Resources:
    """Holds a vector of `depth` words, which comes in once and is read again for every group of rows.

    *measured* in whole matrix-vector units: the memory, and a multiplexer between it and the stream.
    """
    if depth <= 1:
        return Resources(ff=bits_wide)
    counters = 2 * (depth - 1).bit_length()
    return _ram(bits_wide, depth, ram_style) + Resources(lut=bits_wide + counters, ff=bits_wide + counters)


def fifo(width: int, depth: int, style: FifoStyle = "auto") -> Resources:
    """Stream FIFO: `auto` takes shift registers up to 32 words or 1,024 bits, then distributed or block RAM.

    *measured* in all three forms; two words are two registers.
    """
    address = max(depth - 1, 1).bit_length()
    if style == "auto":
        shallow = depth <= SHIFT_REGISTER_DEPTH or depth * width <= SHIFT_REGISTER_BITS
        style = "srl" if shallow else "bram" if _ram(width, depth, "auto").bram36 else "lutram"
    if style == "bram":
        return _ram(width, depth, "block") + Resources(lut=2 * address + 4, ff=3 * address + 2)
    if style == "lutram":
        return _ram(width, depth, "distributed") + Resources(lut=18, ff=width + 3 * address + 2)
    if depth <= 2:
        return Resources(lut=width + 6, ff=2 * width + 3)
    return Resources(lut=width * -(-depth // 32) + 6 + 2 * address, ff=1 + 2 * address)


def width_converter(bits_in: int, bits_out: int) -> Resources:
    """Stream of words of `bits_in` to words of `bits_out`; one divides the other. *measured*."""
    if bits_in == bits_out:
        return Resources()
    wide, narrow = max(bits_in, bits_out), min(bits_in, bits_out)
    count = (wide // narrow).bit_length()
    if bits_in < bits_out:
        return Resources(lut=6, ff=wide + count)
    return Resources(lut=wide - narrow + 4 + count, ff=wide + count)


def window(
    kernel_height: int,
    kernel_width: int,
    width: int,
    channels: int,
    simd: int,
    activation_bits: int,
    ram_style: RamStyle = "auto",
) -> Resources:
    """Sliding window over rows of `width` pixels: a line buffer that `simd` codes a cycle go into and out of.

    The buffer has the next power of two of `kernel_height` + 1 lines. *measured* for 3 x 3, with padding and strides.
    """
    words = channels // simd
    lines = 1 << kernel_height.bit_length() if kernel_height > 1 else 1
    depth = lines * width * words if kernel_height > 1 else 1 << (2 * kernel_width * words - 1).bit_length()
    bits_wide = simd * activation_bits
    address = (depth - 1).bit_length()
    memory = _ram(bits_wide, depth, ram_style)
    registers = bits_wide if memory.lut else 0  # a block RAM has its own
    return memory + Resources(lut=bits_wide + 30, ff=registers + 24 + round(1.7 * address))


# --- arithmetic on codes ---------------------------------------------------------------------------------------------


def requantize(
    accumulator_bits: int, multiplier_bits: int, channels: int, *, output_bits: int = 8, use_dsp: bool = True
) -> Resources:
    """One unit, a result a cycle: sum times multiplier plus offset, shifted, clamped.

    The shift is the layer's; multiplier and offset are the channel's, from a ROM. *measured*: the DSP takes product,
    sum and registers, what is left is the clamp; further DSPs for sums wider than the DSP's port cost an adder.
    Without DSP: *measured* for 12 x 8 to 20 x 16 bits.
    """
    table = weight_memory(multiplier_bits + accumulator_bits, channels) if channels > 1 else Resources()
    clamp = round(4 / 3 * output_bits + 1.4)
    if not use_dsp:
        registers = 2 * (accumulator_bits + multiplier_bits) + 23
        return Resources(round(2.3 * accumulator_bits * multiplier_bits + clamp), registers) + table
    dsp = _dsps(accumulator_bits, multiplier_bits + 1)
    return Resources(clamp + 48 * (dsp - 1), output_bits + 60 * (dsp - 1), dsp) + table


def _dsps(a_bits: int, b_bits: int) -> int:
    """DSPs of a product of signed numbers."""
    wide, narrow = max(a_bits, b_bits), min(a_bits, b_bits)
    return -(-wide // DSP_PORTS[0]) * -(-narrow // DSP_PORTS[1])


def thresholds(accumulator_bits: int, levels: int, channels: int, pe: int) -> Resources:
    """`pe` units that count how many of `levels` thresholds a sum reaches, each for `channels / pe` channels.

    Up to 15 levels all are compared at once; above, a pipelined binary search reads one of 2^k thresholds in its
    k-th step. Both *measured*; tables as in `weight_memory`.
    """
    depth = -(-channels // pe)
    steps = levels.bit_length()
    if levels <= 15:
        count = levels - steps if levels > 1 else 0
        compare = Resources(round(levels * COMPARE_LUT * accumulator_bits + count), levels + steps)
        table = weight_memory(levels * accumulator_bits, depth) if depth > 1 else Resources()
        return (compare + table) * pe
    return _search(accumulator_bits, steps, depth) * pe


def _search(key_bits: int, steps: int, depth: int) -> Resources:
    unit = Resources(round(steps * COMPARE_LUT * key_bits), steps * (2 * key_bits + steps))
    for step in range(steps):
        words = depth << step
        # A table of two words is two constants, of up to eight half a LUT a bit: pairs of bits share one.
        small = Resources(lut=0 if words <= 2 else key_bits // 2)
        unit += small if words <= 8 else weight_memory(key_bits, words)
    return unit


def input_quantizer(bits: int) -> Resources:
    """float32 to a code of `bits`, a value a cycle, exact.

    Product with the scale and shift by the exponent, then a compare of the bits with the smallest float of the next
    code, from a block RAM. *measured* for 4 and 8 bits. (A binary search among the floats takes 301 LUTs, half a
    block RAM and no DSP.)
    """
    return Resources(lut=217 + 3 * bits, ff=21 + 4 * bits, dsp=1, bram36=0.5)


def pool(kind: PoolKind, bits: int, parallel: int, window_size: int) -> Resources:
    """`parallel` channels a cycle; a window's `window_size` codes come one after the other.

    An average's sum is divided by the requantiser behind it. *measured* for 4 and 8 bits.
    """
    if kind == "max":
        return Resources(bits - 1, bits) * parallel
    width = bits + (window_size - 1).bit_length()
    return Resources(width, width) * parallel


def add(bits: int, multiplier_bits: int, parallel: int = 1, *, output_bits: int = 8) -> Resources:
    """Residual sum of two codes on different scales: two products in a chain of two DSPs, rounded, clamped.

    *measured* for codes of 4 and 8 bits and multipliers of 16, which both fit a DSP's ports.
    """
    if max(bits, multiplier_bits + 1) > DSP_PORTS[0] or min(bits, multiplier_bits + 1) > DSP_PORTS[1]:
        return (
            requantize(bits, multiplier_bits, 1, output_bits=output_bits)
            + requantize(bits, multiplier_bits, 1, output_bits=output_bits)
        ) * parallel
    return Resources(output_bits + 1, output_bits, 2) * parallel


def top_k(key_bits: int, data_bits: int, count: int, lanes: int) -> Resources:
    """List of the `count` largest of keys that come `lanes` a cycle, with what goes with each.

    A word is put in order, every pair compared; then each of its best is compared with each of the list. *measured*
    for 1 to 10 lanes and 1 to 10 kept; more than four lanes count their places with adders.
    """
    width, best = key_bits + data_bits, min(count, lanes)
    compare = (lanes * (lanes - 1) // 2 + best * count) * (COMPARE_LUT * key_bits + 4 / 3)
    places = 3.25 * lanes * (lanes - 1) if lanes > 4 else 0
    choose = best * (lanes // 2)
    for place in range(1, count):
        choose += -(-(min(place, best) + min(place + 1, best)) // 2)  # sources, two to a LUT
    word = best * width + 2 if lanes > 1 else 0
    return Resources(round(compare + places + choose * width), count * width + word)


def keys(sum_bits: int, key_bits: int, multiplier_bits: int, channels: int) -> Resources:
    """Key of a sum each cycle: bias, and where scales differ a multiplier, of the channel's from a ROM.

    As in `requantize` the DSP takes product and sum. *derived*: an adder is a LUT and a flip-flop a bit.
    """
    table = weight_memory(key_bits + multiplier_bits, channels) if channels > 1 else Resources()
    if not multiplier_bits:
        return Resources(key_bits, key_bits) + table
    dsp = _dsps(sum_bits, multiplier_bits)
    return Resources(48 * (dsp - 1), 60 * (dsp - 1), dsp) + table


# --- around the layers -----------------------------------------------------------------------------------------------


def dma(width_bits: int) -> Resources:
    """m_axi adapter that reads, with its burst buffer: half of it grows with the width. *remembered*."""
    return _scaled(c.M_AXI_READ, width_bits) + Resources(bram36=bram36(512, width_bits))


def dma_write(width_bits: int) -> Resources:
    """What writing through the same adapter adds to it. *remembered*."""
    both, read = _scaled(c.M_AXI_BOTH, width_bits), _scaled(c.M_AXI_READ, width_bits)
    return Resources(both.lut - read.lut, both.ff - read.ff, bram36=bram36(512, width_bits))


def _scaled(adapter: c.Cost, width_bits: int) -> Resources:
    share = 0.5 + 0.5 * width_bits / 128
    return Resources(round(adapter.lut * share), round(adapter.ff * share))


def control_registers() -> Resources:
    """s_axilite registers of the kernel. *remembered*."""
    return Resources(c.S_AXILITE.lut, c.S_AXILITE.ff)
