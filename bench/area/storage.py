"""Blocks that hold and move data: ROMs, FIFOs, line buffers, width converters; and the whole matrix-vector unit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .arithmetic import CYCLES, KINDS, codes, delayed, pack, trit_words
from .cases import Case
from .simulation import Port, Stream, Trace
from .synthesis import Design


def words(rng: np.random.Generator, bits: int, count: int) -> list[int]:
    return [int.from_bytes(rng.bytes(-(-bits // 8)), "little") & ((1 << bits) - 1) for _ in range(count)]


def hexadecimal(values: list[int]) -> str:
    return "".join(f"{value:x}\n" for value in values)


def rom(width: int, depth: int, block: bool, both: bool = False) -> Case:
    contents = words(np.random.default_rng(depth), width, depth)

    def trace() -> Trace:
        addresses = [int(a) for a in np.random.default_rng(width).integers(0, depth, CYCLES)]
        inputs = {"address": Port((depth - 1).bit_length(), addresses)}
        return Trace(inputs, {"data": Port(width, delayed([contents[a] for a in addresses], 1))})

    design = Design("rom", {"WIDTH": width, "DEPTH": depth, "BLOCK": int(block)}, {"rom.hex": hexadecimal(contents)})
    name = "ROM, block" if block else "ROM, distributed"
    return Case(name, {"width": width, "depth": depth}, design, trace, both)


STYLES = {"shift register": 0, "distributed": 1, "block": 2}


def fifo(width: int, depth: int, style: str, both: bool = False) -> Case:
    def trace() -> Stream:
        passed = words(np.random.default_rng(width), width, min(3 * depth + 50, 400))
        return Stream(width, passed, width, passed)

    design = Design("fifo", {"WIDTH": width, "DEPTH": depth, "STYLE": STYLES[style]}, {})
    return Case(f"FIFO, {style}", {"width": width, "depth": depth}, design, trace, both)


def widen(width: int, ratio: int) -> Case:
    def trace() -> Stream:
        parts = words(np.random.default_rng(width), width, 40 * ratio)
        joined = pack(np.array(parts, object).reshape(40, ratio), width)
        return Stream(width, parts, ratio * width, joined)

    design = Design("widen", {"WIDTH": width, "RATIO": ratio}, {})
    return Case("width converter, up", {"narrow": width, "wide": width * ratio}, design, trace)


def narrow(width: int, ratio: int) -> Case:
    def trace() -> Stream:
        parts = words(np.random.default_rng(width), width, 40 * ratio)
        joined = pack(np.array(parts, object).reshape(40, ratio), width)
        return Stream(ratio * width, joined, width, parts)

    design = Design("narrow", {"WIDTH": width, "RATIO": ratio}, {})
    return Case("width converter, down", {"narrow": width, "wide": width * ratio}, design, trace)


def window(
    kernel: int, size: int, pixel_words: int, width: int, style: str, stride: int = 1, both: bool = False
) -> Case:
    """Square images, but of the larger ones only the first rows."""
    pad = kernel // 2
    lines = 1 << kernel.bit_length()
    rows = size if size <= 8 else kernel + 1

    def trace() -> Stream:
        rng = np.random.default_rng(size)
        images = np.array(words(rng, width, 2 * rows * size * pixel_words), object)
        images = images.reshape(2, rows, size, pixel_words)
        outside = np.zeros(pixel_words, object)
        down, across = (range(-pad, length + pad - kernel + 1, stride) for length in (rows, size))
        taps = [
            image[y + ky, x + kx] if 0 <= y + ky < rows and 0 <= x + kx < size else outside
            for image in images
            for y in down
            for x in across
            for ky in range(kernel)
            for kx in range(kernel)
        ]
        return Stream(width, [int(w) for w in images.ravel()], width, [int(w) for w in np.array(taps, object).ravel()])

    parameters = {"WIDTH": width, "WORDS": pixel_words, "COLUMNS": size, "ROWS": rows, "KERNEL": kernel}
    parameters |= {"STRIDE": stride, "PAD": pad, "LINES": lines, "BLOCK": int(style == "block")}
    shown = {"kernel": kernel, "columns": size, "words": pixel_words, "width": width, "stride": stride}
    return Case(f"sliding window, {style}", shown, Design("window", parameters, {}), trace, both)


def mvau(
    pe: int, simd: int, bits: int, kind: str, columns: int, rows: int, accumulator: int, both: bool = False
) -> Case:
    """A layer of `rows` x `columns`, with weights in block RAM and the vector replayed."""
    fold, groups = columns // simd, rows // pe
    rng = np.random.default_rng(rows)
    trits = rng.integers(-1, 2, (rows, columns))
    # A word: the weights of `pe` rows for `simd` codes, the first row lowest.
    arranged = trits.reshape(groups, pe, fold, simd).transpose(0, 2, 1, 3).reshape(groups * fold, pe * simd)

    def trace() -> Stream:
        raw, values = codes(np.random.default_rng(columns), (3, columns), bits, KINDS[kind])
        sums = values @ trits.T
        return Stream(
            simd * bits,
            pack(raw.reshape(-1, simd), bits),
            pe * accumulator,
            pack(sums.reshape(-1, pe), accumulator),
            always_ready=True,
        )

    parameters = {"PE": pe, "SIMD": simd, "BITS": bits, "KIND": KINDS[kind], "FOLD": fold, "NEURONS": groups}
    parameters["ACC"] = accumulator
    design = Design("mvau", parameters, {"rom.hex": hexadecimal(trit_words(arranged))})
    shown = {"pe": pe, "simd": simd, "kind": kind, "bits": bits, "columns": columns, "rows": rows}
    shown["accumulator"] = accumulator
    return Case("matrix-vector unit", shown, design, trace, both)


def cases() -> Iterator[Case]:
    for width, depth in ((32, 64), (16, 128), (32, 256), (16, 512), (8, 1024)):
        yield rom(width, depth, block=False)
    for width, depth in ((36, 512), (36, 1024), (9, 4096), (72, 512), (144, 896)):
        yield rom(width, depth, block=True, both=(width, depth) == (36, 1024))
    for width, depth in ((8, 2), (32, 2), (8, 16), (16, 32), (64, 32), (16, 64), (16, 128)):
        yield fifo(width, depth, "shift register", both=(width, depth) == (16, 32))
    for width, depth in ((16, 64), (32, 64), (16, 256)):
        yield fifo(width, depth, "distributed")
    for width, depth in ((16, 1024), (36, 512), (72, 512), (16, 4096)):
        yield fifo(width, depth, "block")
    for width, ratio in ((8, 2), (8, 4), (8, 16), (2, 16), (32, 4)):
        yield widen(width, ratio)
        yield narrow(width, ratio)
    for kernel, size, pixel_words, width, stride in (
        (3, 8, 1, 16, 1),
        (3, 32, 1, 24, 1),
        (3, 32, 4, 16, 1),
        (3, 16, 8, 32, 2),
    ):
        yield window(kernel, size, pixel_words, width, "distributed", stride, both=size == 8)
    for kernel, size, pixel_words, width in ((3, 16, 4, 32),):
        yield window(kernel, size, pixel_words, width, "block")
    yield mvau(1, 8, 8, "signed", 64, 16, 20)
    yield mvau(4, 16, 8, "unsigned", 128, 32, 20)
    yield mvau(8, 16, 4, "signed", 128, 64, 16)
    yield mvau(4, 32, 2, "unsigned", 256, 32, 14)
