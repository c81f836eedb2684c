"""Costs and latencies behind the estimates, each with its source.

Sources, by the name used below:

- *yosys*: yosys 0.70 `synth_xilinx`, out of context, of equivalent hand-written Verilog whose netlist was simulated.
  No timing, no placement. Vivado is expected to need 15 to 25 % fewer LUTs (LUT6_2 packing).
- *remembered*: the size that AMD's cores are known to have in published utilisation tables, quoted from memory.
- *derived*: worked out from the structure of the kernels, operator latencies included.

None is measured on a placed design. What Vivado reports after a build replaces them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Cost:
    """Programmable logic of one block, memories not included."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp)

    def __mul__(self, count: int) -> Cost:
        return Cost(self.lut * count, self.ff * count, self.dsp * count)


# --- dot-product array ---------------------------------------------------------------------------------------------
ARRAY_SOURCE: Final = "yosys, with decoders; +12.9 LUT a trit for each further vector"
SLICE_LUT: Final = {1: 1405, 2: 2438, 4: 4504}
"""LUTs of 80 trits a cycle, decoders included, by batch. *yosys*"""
LUT_PER_FURTHER_TRIT: Final = 12.9
"""LUTs a trit for each vector beyond those of the table. *yosys*"""
FF_PER_TRIT: Final = 11
"""Flip-flops a trit and vector of the pipelined adder tree. *yosys*"""

# --- float cores (AMD's, single precision) -------------------------------------------------------------------------
FLOAT_SOURCE: Final = "remembered: AMD floating-point cores"
MULTIPLY_DSP: Final = Cost(90, 140, 3)
MULTIPLY_FABRIC: Final = Cost(650, 700, 0)
ADD_DSP: Final = Cost(210, 330, 2)
ADD_FABRIC: Final = Cost(380, 520, 0)
DIVIDE: Final = Cost(780, 1100, 0)
SQUARE_ROOT: Final = Cost(480, 700, 0)
CONVERT: Final = Cost(220, 260, 0)
"""int32 to float."""
ROUND: Final = Cost(130, 90, 0)
"""Float to int8 with ties to even, clamp included. *derived*"""
COMPARE: Final = Cost(60, 40, 0)

DSP_BUDGET: Final = 0.8
"""Share of the part's DSPs that the float unit may take before its operators go to the fabric."""

# --- infrastructure --------------------------------------------------------------------------------------------------
INFRASTRUCTURE_SOURCE: Final = "remembered: HLS and interconnect blocks of comparable designs"
M_AXI_READ: Final = Cost(900, 1300, 0)
"""A read-only m_axi adapter of 128 bits."""
M_AXI_BOTH: Final = Cost(1500, 2200, 0)
"""An m_axi adapter of 128 bits that reads and writes."""
S_AXILITE: Final = Cost(700, 1100, 0)
SMARTCONNECT_SAME: Final = Cost(600, 900, 0)
"""One master to one port of the same width and protocol."""
SMARTCONNECT_CONVERT: Final = Cost(2200, 2800, 0)
"""One master to a narrower AXI3 port: width and protocol conversion, burst splitting."""
SMARTCONNECT_CONTROL: Final = Cost(3600, 4600, 0)
"""Gains, governor and io to one port, and the register path from the processing system."""
INTERRUPT_CONTROLLER: Final = Cost(330, 420, 0)
SEQUENCER: Final = Cost(2200, 2400, 0)
"""Program loop, checks, argmax and top-k, counters, governor. *derived*"""

# --- latencies, in clock cycles ------------------------------------------------------------------------------------
TIMING_SOURCE: Final = "derived from operator latencies at 250 MHz and the loops of the kernel library"
LINEAR_START: Final = 12
"""Decode, start of the inner region, first read of the codes."""
ARRAY_DEPTH: Final = 20
"""Stages of decoder, gates, tree and accumulator."""
EPILOGUE_DEPTH: Final = 190
"""Stages of the epilogue's pipeline. All its functions share one, as deep as hgrn: convert, scale, two sigmoids one
after the other, five products and sums."""
EPILOGUE_DEPTH_POSITION: Final = 25
"""Further stages for each position of the batch: the recurrence runs serially over them."""
HEAD_DEPTH: Final = 40
"""Convert, scale, insertion into the top-k list."""
HEAD_CHUNK_ROWS: Final = 64
HEAD_CHUNK_START: Final = 30
"""The head works in chunks of 64 rows, each a loop that fills anew."""
QUANTIZE_START: Final = 45
"""Decode, and the fill of the two loops."""
ADD_LATENCY: Final = 9
FACTOR_ONE: Final = 65
"""mean, add, square root, reciprocal."""
FACTOR_TWO: Final = 115
"""The same twice, the second mean beside the first, and their product."""
STEP: Final = 25
"""127/A and A*g."""
VECTOR_DEPTH: Final = 60
"""Stages of the general elementwise lane; its sigmoid decides."""
MEMORY_LATENCY: Final = 60
"""From a read request to its first beat, at 250 MHz, the memory not saturated. *remembered*"""
PASS_OVERHEAD: Final = 300
"""Per pass: the last result, stop and progress words, next token."""
