"""Blocks that compute: dot products, accumulators, requantisers, thresholds, quantisers, pooling, residual sums."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .cases import Case
from .simulation import Port, Trace
from .synthesis import Design

CYCLES = 150
UNSIGNED, SIGNED, BIPOLAR = 0, 1, 2
KINDS = {"unsigned": UNSIGNED, "signed": SIGNED, "bipolar": BIPOLAR}


def delayed(values: list[int], latency: int) -> list[int | None]:
    """What a pipeline of `latency` registers gives of its inputs."""
    return [None] * latency + list(values[: len(values) - latency])


def integers(rng: np.random.Generator, bits: int, signed: bool, count: int = CYCLES) -> list[int]:
    """Random values, the extremes among them."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    values = rng.integers(low, high, count, endpoint=True, dtype=np.int64)
    values[rng.random(count) < 0.05] = low
    values[rng.random(count) < 0.05] = high
    return [int(value) for value in values]


def pack(values: np.ndarray, bits: int) -> list[int]:
    """Rows of values to words, the first value lowest."""
    mask = (1 << bits) - 1
    return [sum((int(value) & mask) << (bits * place) for place, value in enumerate(row)) for row in values]


def codes(rng: np.random.Generator, shape: tuple[int, ...], bits: int, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Random codes and their values."""
    if kind == BIPOLAR:
        raw = rng.integers(0, 2, shape)
        return raw, 2 * raw - 1
    raw = np.array(integers(rng, bits, kind == SIGNED, int(np.prod(shape)))).reshape(shape)
    return raw, raw


TRIT_CODES = {-1: 3, 0: 0, 1: 1}
"""{negative, non-zero}."""


def trit_words(trits: np.ndarray) -> list[int]:
    return pack(np.vectorize(TRIT_CODES.__getitem__)(trits), 2)


def dot(kind: str, bits: int, simd: int, both: bool = False) -> Case:
    number = KINDS[kind]

    def trace() -> Trace:
        rng = np.random.default_rng(simd)
        raw, values = codes(rng, (CYCLES, simd), bits, number)
        trits = rng.integers(-1, 2, (CYCLES, simd))
        # All -1 with the extremes: what the widest sum needs.
        trits[::7] = -1
        last = np.where((trits[:, -1] < 0) & (number != BIPOLAR), 1, 0)
        sums = (trits * values).sum(axis=1) - last
        levels = (simd - 1).bit_length()
        width = (bits if number == SIGNED else bits + 1) + levels
        return Trace(
            {"codes": Port(simd * bits, pack(raw, bits)), "weights": Port(2 * simd, trit_words(trits))},
            {
                "sum": Port(width, delayed([int(s) for s in sums], levels)),
                "carry": Port(1, delayed([int(c) for c in last], levels)),
            },
        )

    design = Design("dot", {"SIMD": simd, "BITS": bits, "KIND": number}, {})
    return Case("dot product", {"kind": kind, "bits": bits, "simd": simd}, design, trace, both)


def accumulate(bits: int, summand: int) -> Case:
    def trace() -> Trace:
        rng = np.random.default_rng(bits)
        sums = integers(rng, summand, signed=True)
        carry = integers(rng, 1, signed=False)
        valid = [int(v) for v in rng.random(CYCLES) < 0.8]
        first = [1 if t == 0 else int(rng.random() < 0.1) for t in range(CYCLES)]
        valid[0] = 1
        totals, total = [], 0
        for t in range(CYCLES):
            if valid[t]:
                total = (0 if first[t] else total) + sums[t] + carry[t]
            totals.append(total)
        inputs = {"valid": Port(1, valid), "first": Port(1, first), "sum": Port(summand, sums), "carry": Port(1, carry)}
        return Trace(inputs, {"total": Port(bits, delayed(totals, 1))})

    return Case("accumulator", {"bits": bits}, Design("accumulate", {"IN": summand, "ACC": bits}, {}), trace)


def _clamp(value: int, bits: int, signed: bool) -> int:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return min(max(value, low), high)


def requantize(accumulator: int, multiplier: int, out: int = 8, both: bool = False, dsp: bool = True) -> Case:
    shift = accumulator + multiplier - out - 8
    offset_bits = accumulator + multiplier - 2

    def trace() -> Trace:
        rng = np.random.default_rng(accumulator * multiplier)
        totals = integers(rng, accumulator, signed=True)
        scales = integers(rng, multiplier, signed=False)
        offsets = integers(rng, offset_bits, signed=True)
        found = [_clamp((t * m + o) >> shift, out, False) for t, m, o in zip(totals, scales, offsets, strict=True)]
        return Trace(
            {
                "total": Port(accumulator, totals),
                "multiplier": Port(multiplier, scales),
                "offset": Port(offset_bits, offsets),
            },
            {"code": Port(out, delayed(found, 3))},
        )

    parameters = {"ACC": accumulator, "MULTIPLIER": multiplier, "OFFSET": offset_bits, "SHIFT": shift, "OUT": out}
    design = Design("requantize", parameters, {}, () if dsp else ("-nodsp",))
    name = "requantiser" if dsp else "requantiser without DSP"
    return Case(name, {"accumulator": accumulator, "multiplier": multiplier, "out": out}, design, trace, both)


def thresholds(accumulator: int, levels: int, both: bool = False) -> Case:
    def trace() -> Trace:
        rng = np.random.default_rng(levels)
        totals = np.array(integers(rng, accumulator, signed=True))
        table = np.array(integers(rng, accumulator, signed=True, count=CYCLES * levels)).reshape(CYCLES, levels)
        table[::5] = totals[::5, None]
        found = [int(n) for n in (totals[:, None] >= table).sum(axis=1)]
        inputs = {"total": Port(accumulator, [int(t) for t in totals])}
        inputs["thresholds"] = Port(levels * accumulator, pack(table, accumulator))
        return Trace(inputs, {"code": Port(levels.bit_length(), delayed(found, 2))})

    design = Design("thresholds", {"ACC": accumulator, "LEVELS": levels}, {})
    return Case("thresholds, parallel", {"accumulator": accumulator, "levels": levels}, design, trace, both)


def search(key: int, steps: int, channel_bits: int = 0, block_from: int = 9, both: bool = False) -> Case:
    rng = np.random.default_rng(key)
    channels = 1 << channel_bits
    levels = (1 << steps) - 1
    table = np.sort(rng.integers(-(1 << (key - 1)), 1 << (key - 1), (channels, levels)), axis=1)

    def stage(k: int) -> str:
        """Threshold number (2j + 1) 2^(steps-1-k) - 1 for the code's first k bits j."""
        words = [
            int(table[channel, (2 * j + 1) * (1 << (steps - 1 - k)) - 1]) & ((1 << key) - 1)
            for channel in range(channels)
            for j in range(1 << k)
        ]
        return "".join(f"{word:x}\n" for word in words)

    def trace() -> Trace:
        draw = np.random.default_rng(steps)
        which = draw.integers(0, channels, CYCLES)
        keys = np.array(integers(draw, key, signed=True))
        at = draw.integers(0, levels, CYCLES)
        keys[::2] = table[which[::2], at[::2]]
        keys[1::4] = np.maximum(table[which[1::4], at[1::4]] - 1, -(1 << (key - 1)))
        found = [int((table[c] <= k).sum()) for c, k in zip(which, keys, strict=True)]
        inputs = {"key": Port(key, [int(k) for k in keys])}
        inputs["channel"] = Port(max(channel_bits, 1), [int(c) for c in which])
        return Trace(inputs, {"code": Port(steps, delayed(found, 2 * steps))})

    parameters = {"KEY": key, "STEPS": steps, "CHANNEL": channel_bits, "BLOCK_FROM": block_from}
    design = Design("search", parameters, {f"stage{k}.hex": stage(k) for k in range(steps)})
    shown = {"key": key, "levels": levels, "channels": channels, "block_from": block_from}
    return Case("thresholds, binary search", shown, design, trace, both)


def add(bits: int, multiplier: int, both: bool = False) -> Case:
    def trace() -> Trace:
        rng = np.random.default_rng(bits)
        a, b = integers(rng, bits, signed=True), integers(rng, bits, signed=True)
        p, q = integers(rng, multiplier, signed=False), integers(rng, multiplier, signed=False)
        offset = integers(rng, bits + multiplier, signed=True)
        found = [
            _clamp((v * m + w * n + o) >> (multiplier - 1), bits, True)
            for v, m, w, n, o in zip(a, p, b, q, offset, strict=True)
        ]
        inputs = {"a": Port(bits, a), "b": Port(bits, b), "scale_a": Port(multiplier, p)}
        inputs |= {"scale_b": Port(multiplier, q), "offset": Port(bits + multiplier, offset)}
        return Trace(inputs, {"code": Port(bits, delayed(found, 4))})

    parameters = {"BITS": bits, "MULTIPLIER": multiplier, "SHIFT": multiplier - 1, "OUT": bits}
    return Case("residual add", {"bits": bits, "multiplier": multiplier}, Design("add", parameters, {}), trace, both)


def pool(kind: str, bits: int, parallel: int, window: int) -> Case:
    average = kind == "average"
    out = bits + (window - 1).bit_length() if average else bits

    def trace() -> Trace:
        rng = np.random.default_rng(parallel)
        raw = rng.integers(0, 1 << bits, (CYCLES, parallel))
        results = []
        for t in range(CYCLES):
            seen = raw[t - t % window : t + 1]
            results.append(seen.sum(axis=0) if average else seen.max(axis=0))
        inputs = {"valid": Port(1, [1] * CYCLES), "first": Port(1, [int(t % window == 0) for t in range(CYCLES)])}
        inputs["codes"] = Port(parallel * bits, pack(raw, bits))
        return Trace(inputs, {"result": Port(parallel * out, delayed(pack(np.array(results), out), 1))})

    parameters = {"BITS": bits, "PARALLEL": parallel, "AVERAGE": int(average), "OUT": out}
    shown = {"kind": kind, "bits": bits, "parallel": parallel, "window": window}
    return Case("pool", shown, Design("pool", parameters, {}), trace)


def top_k(key: int, data: int, count: int, lanes: int = 1, both: bool = False) -> Case:
    """The list alone: keys come in."""
    words = 2 * -(-count // lanes) + 2  # of a vector

    def trace() -> Trace:
        rng = np.random.default_rng(key * count)
        keys = np.array(integers(rng, key, signed=True, count=CYCLES * lanes)).reshape(CYCLES, lanes)
        keys[::3] = rng.integers(-2, 3, keys[::3].shape)  # equal ones
        keys[keys == -(1 << key - 1)] += 1  # the list is empty below them
        held = rng.integers(0, 1 << data, (CYCLES, lanes))
        results: list[int | None] = []
        for t in range(CYCLES):
            begin = t - t % words
            vector = list(zip(keys[begin : t + 1].reshape(-1), held[begin : t + 1].reshape(-1), strict=True))
            best = [value for _, value in sorted(vector, key=lambda pair: -pair[0])[:count]]
            results.append(pack(np.array([best]), data)[0] if len(best) == count else None)
        inputs = {"valid": Port(1, [1] * CYCLES), "first": Port(1, [int(t % words == 0) for t in range(CYCLES)])}
        inputs |= {"keys": Port(lanes * key, pack(keys, key)), "data": Port(lanes * data, pack(held, data))}
        latency = 1 if lanes == 1 else 2
        return Trace(inputs, {"best": Port(count * data, [None] * latency + results[:-latency])})

    design = Design("top_k", {"KEY": key, "DATA": data, "K": count, "LANES": lanes}, {})
    return Case("top k", {"key": key, "data": data, "k": count, "lanes": lanes}, design, trace, both)


def _ordered(x: np.float32) -> int:
    """A float's bits as an integer that grows with it."""
    (bits,) = struct.unpack("<i", struct.pack("<f", x))
    return bits if bits >= 0 else bits ^ 0x7FFFFFFF


def _from_ordered(key: int) -> np.float32:
    return np.float32(struct.unpack("<f", struct.pack("<i", key if key >= 0 else key ^ 0x7FFFFFFF))[0])


def _code(x: np.float32, step: np.float32, zero: int, bits: int) -> int:
    """clamp(round_half_even(x / step) + zero), the quotient exact."""
    return _clamp(round(Fraction(float(x)) / Fraction(float(step))) + zero, bits, False)


def _smallest(code: int, step: np.float32, zero: int, bits: int) -> int:
    """Ordered integer of the smallest float whose code is at least `code`, by bisection over all finite floats."""
    low, high = _ordered(np.float32(-3.0e38)), _ordered(np.float32(3.0e38))
    while low < high:
        middle = (low + high) // 2
        if _code(_from_ordered(middle), step, zero, bits) >= code:
            high = middle
        else:
            low = middle + 1
    return low


def _floats(rng: np.random.Generator, bounds: list[int], step: np.float32) -> list[int]:
    """Ordered integers: floats near every bound, in range, and of any size."""
    near = [bound + delta for bound in bounds for delta in (-1, 0, 1)]
    inside = [_ordered(np.float32(x)) for x in rng.uniform(-300, 300, 2 * CYCLES) * float(step)]
    anything = [_ordered(np.float32(x)) for x in rng.normal(size=CYCLES) * 10.0 ** rng.integers(-30, 30, CYCLES)]
    special = [_ordered(np.float32(x)) for x in (0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38)]
    return [*near, *inside, *anything, *special]


def _bits(key: int) -> int:
    return (key if key >= 0 else key ^ 0x7FFFFFFF) & 0xFFFFFFFF


def input_quantizer(bits: int, both: bool = False) -> Case:
    """Scale in the product, one compare."""
    step, zero = np.float32(0.0157), 1 << (bits - 1)
    # |x| = mantissa * 2^(e - 150); scale = SCALE * 2^-k, four fixed-point units a code.
    inverse = 1 / Fraction(float(step))
    k = 17 - (inverse.numerator.bit_length() - inverse.denominator.bit_length())
    scale = int(inverse * 2**k)
    while scale >= 1 << 17:
        k, scale = k - 1, int(inverse * 2 ** (k - 1))
    bounds = [_smallest(code, step, zero, bits) for code in range(1, 1 << bits)]

    def trace() -> Trace:
        keys = _floats(np.random.default_rng(bits), bounds, step)
        found = [_code(_from_ordered(key), step, zero, bits) for key in keys]
        return Trace(
            {"x": Port(32, [_bits(key) for key in keys])},
            {"code": Port(bits, delayed(found, 6))},
        )

    table = "".join(f"{bound & 0xFFFFFFFF:x}\n" for bound in [*bounds, 0x7FFFFFFF])
    parameters = {"BITS": bits, "SCALE": scale, "EXPONENT": 150 + k - 2, "ZERO": zero}
    design = Design("input_quantizer", parameters, {"rom.hex": table})
    return Case("input quantiser, product and compare", {"bits": bits}, design, trace, both)


def input_search(bits: int, block_from: int, both: bool = False) -> Case:
    """Binary search among the floats where the code changes: no product, exact by construction."""
    step, zero = np.float32(0.0157), 1 << (bits - 1)
    bounds = [_smallest(code, step, zero, bits) for code in range(1, 1 << bits)]

    def trace() -> Trace:
        keys = _floats(np.random.default_rng(bits), bounds, step)
        found = [_code(_from_ordered(key), step, zero, bits) for key in keys]
        inputs = {"x": Port(32, [_bits(key) for key in keys])}
        return Trace(inputs, {"code": Port(bits, delayed(found, 2 * bits))})

    files = {
        f"stage{k}.hex": "".join(
            f"{bounds[(2 * j + 1) * (1 << (bits - 1 - k)) - 1] & 0xFFFFFFFF:x}\n" for j in range(1 << k)
        )
        for k in range(bits)
    }
    design = Design("input_search", {"BITS": bits, "BLOCK_FROM": block_from}, files)
    return Case("input quantiser, binary search", {"bits": bits, "block_from": block_from}, design, trace, both)


def cases() -> Iterator[Case]:
    for simd in (8, 16, 32, 80):
        yield dot("signed", 8, simd, both=simd == 32)
    for kind, widths in (("unsigned", (2, 4, 8)), ("signed", (2, 4))):
        for bits in widths:
            for simd in (8, 32):
                yield dot(kind, bits, simd)
    for simd in (8, 32, 64):
        yield dot("bipolar", 1, simd)
    for bits in (12, 16, 20, 24):
        yield accumulate(bits, 10)
    for accumulator, multiplier in ((16, 16), (20, 16), (24, 16), (28, 16), (24, 24)):
        yield requantize(accumulator, multiplier, both=(accumulator, multiplier) == (28, 16))
    for out in (2, 4):
        yield requantize(24, 16, out)
    for accumulator, multiplier in ((12, 8), (16, 16), (20, 16)):
        yield requantize(accumulator, multiplier, dsp=False)
    for accumulator in (12, 24):
        for levels in (1, 3, 7, 15):
            yield thresholds(accumulator, levels, both=(accumulator, levels) == (24, 3))
    for accumulator in (16, 24):
        yield search(accumulator, 8)
    yield search(24, 4)
    yield search(20, 8, channel_bits=4, block_from=3)
    for bits in (4, 8):
        yield input_quantizer(bits, both=bits == 8)
        yield input_search(bits, 9)
    yield input_search(8, 7)
    for bits, multiplier in ((4, 16), (8, 16)):
        yield add(bits, multiplier, both=bits == 8)
    for kind in ("max", "average"):
        for bits in (4, 8):
            yield pool(kind, bits, 8, 4)
    for key, data in ((16, 4), (16, 16), (24, 24)):
        for count in (1, 5):
            yield top_k(key, data, count, both=(key, data, count) == (16, 16, 5))
    for count, lanes in ((2, 1), (10, 1), (1, 2), (1, 4), (1, 5), (1, 10), (3, 3), (5, 2), (5, 5), (5, 10)):
        yield top_k(16, 16, count, lanes)
