"""The ternary MLP 784-256-256-10 on PYNQ-Z2 at 100,000 frames a second: `python -m bench.area.headline` (estimated).

The smallest folding of each layer that is fast enough, by exhaustion, in two forms. *plain*: PE and SIMD divide rows
and columns, codes are unsigned. *padded*: rows and columns are filled up with zero weights, and codes are taken as
signed (the top bit inverted, the constant that this adds to a row subtracted in its offset), a bit less an adder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

from tritloom.analysis import dataflow_area as area
from tritloom.analysis.dataflow_area import Resources
from tritloom.targets import load_target

FRAMES = 100_000
WIDTHS = (784, 256, 256, 10)
INPUT_BITS = 8
MULTIPLIER_BITS = 16
STREAM_BITS = 64
"""Of the m_axi ports: a frame of float32 is 392 beats."""


@dataclass(frozen=True)
class Layer:
    columns: int
    rows: int
    bits: int
    signed: bool
    out_bits: int
    """Codes that go on; 0 for raw scores."""


def accumulator_bits(layer: Layer) -> int:
    largest = layer.columns * ((1 << (layer.bits - 1)) if layer.signed else (1 << layer.bits) - 1)
    return largest.bit_length() + 1


def blocks(layer: Layer, pe: int, simd: int) -> Iterator[tuple[str, Resources]]:
    """The layer's matrix-vector unit, and its results one after the other through one requantiser."""
    fold, groups = steps(layer, pe, simd)
    accumulator = accumulator_bits(layer)
    yield "vector unit", area.mvau(pe, simd, layer.bits, layer.signed, accumulator, fold * groups) + area.PROCESS
    yield "weights", area.weight_memory(2 * pe * simd, fold * groups)
    if groups > 1:
        yield "held vector", area.replay_buffer(simd * layer.bits, fold)
    yield "to one result a cycle", area.width_converter(pe * accumulator, accumulator)
    if layer.out_bits:
        unit = area.requantize(accumulator, MULTIPLIER_BITS, layer.rows, output_bits=layer.out_bits)
        yield "requantiser", (unit + area.PROCESS) * -(-pe // fold)


def steps(layer: Layer, pe: int, simd: int) -> tuple[int, int]:
    """Words of a row, groups of rows; what is missing in the last ones is zero weights."""
    return -(-layer.columns // simd), -(-layer.rows // pe)


def total(parts: Iterator[tuple[str, Resources]]) -> Resources:
    return sum((resources for _, resources in parts), Resources())


def folding(layer: Layer, cycles: int, padded: bool) -> tuple[int, int]:
    """PE and SIMD with the fewest LUTs among those that take at most `cycles`."""
    least = -(-layer.rows * layer.columns // cycles)
    fitting = [
        (pe, simd)
        for pe, simd in product(range(1, min(layer.rows, 64) + 1), range(1, layer.columns + 1))
        if least <= pe * simd <= 2 * least + 64
        and prod(steps(layer, pe, simd)) <= cycles
        and (padded or (layer.rows % pe == 0 and layer.columns % simd == 0))
    ]

    def cost(fold: tuple[int, int]) -> tuple[int, float]:
        resources = total(blocks(layer, *fold))
        return resources.lut, resources.bram36

    return min(fitting, key=cost)


def estimate(clock_mhz: int, hidden_bits: int, padded: bool, verbose: bool = False) -> Resources:
    cycles = clock_mhz * 1_000_000 // FRAMES
    found: list[tuple[str, Resources]] = [
        ("m_axi, read", area.dma(STREAM_BITS)),
        ("m_axi, write", area.dma(STREAM_BITS)),
        ("s_axilite", area.control_registers()),
        ("float32 from beats", area.width_converter(STREAM_BITS, 32)),
        ("input quantiser", area.input_quantizer(INPUT_BITS) + area.PROCESS),
    ]
    bits = INPUT_BITS
    for number, (columns, rows) in enumerate(pairwise(WIDTHS), 1):
        last = number == len(WIDTHS) - 1
        layer = Layer(columns, rows, bits, padded, 0 if last else hidden_bits)
        pe, simd = folding(layer, cycles, padded)
        name = f"layer {number} (PE {pe}, SIMD {simd}, {prod(steps(layer, pe, simd))} cycles)"
        found.append((f"{name}: codes to words", area.width_converter(bits, simd * bits)))
        found.append((f"{name}: FIFO", area.fifo(simd * bits, 2)))
        found.extend((f"{name}: {what}", resources) for what, resources in blocks(layer, pe, simd))
        bits = hidden_bits
    if verbose:
        for name, part in found:
            print(f"{name:<56}{part.lut:>7}{part.ff:>7}{part.dsp:>5}{part.bram36:>7}")
    return total(iter(found))


def main() -> None:
    board = load_target("pynq-z2").resources
    head = f"{'LUT':>7}{'FF':>7}{'DSP':>5}{'BRAM36':>7}"
    for padded in (False, True):
        form = "padded" if padded else "plain"
        print(f"{f'125 MHz, hidden codes of 8 bits, {form} (estimated)':<56}{head}")
        estimate(125, 8, padded, verbose=True)
        print()
    print(f"{'kernel at 100,000 frames/s (estimated)':<56}{head}")
    for padded, clock, bits in product((False, True), (100, 125, 150), (2, 4, 8)):
        used = estimate(clock, bits, padded)
        name = f"{'padded' if padded else 'plain'}, {clock} MHz, hidden codes of {bits} bits"
        print(f"{name:<56}{used.lut:>7}{used.ff:>7}{used.dsp:>5}{used.bram36:>7}")
    print(f"{'PYNQ-Z2 has':<56}{board.lut:>7}{board.ff:>7}{board.dsp:>5}{board.bram36:>7}")


if __name__ == "__main__":
    main()
