"""Stages of random shapes, and inputs for them."""

from __future__ import annotations

import numpy as np
from flow_designs import bits_of
from flow_probe import Case
from tritloom.analysis.initiations import words
from tritloom.backend.flow_design import Element, Stage, Stream


class Draw:
    """Random choices from a seed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one_of(self, choices: list[int]) -> int:
        return choices[self.integer(0, len(choices) - 1)]

    def flag(self) -> bool:
        return bool(self.integer(0, 1))


def elements(draw: Draw, most: int = 9) -> Element:
    return Element(draw.integer(1, most), draw.flag())


def _codes(draw: Draw) -> Element:
    """A type of codes: signed ones have at least two bits."""
    signed = draw.flag()
    return Element(draw.integer(2 if signed else 1, 8), signed)


def _case(kernel, name, traits, inputs, outputs, roms=None) -> Case:
    """`inputs` and `outputs`: (element, lanes) of each stream."""
    streams = {f"{name}_in{i}": end for i, end in enumerate(inputs)}
    streams |= {f"{name}_out{i}": end for i, end in enumerate(outputs)}
    names = list(streams)
    stage = Stage(name, kernel, traits, tuple(names[: len(inputs)]), tuple(names[len(inputs) :]), roms or {})
    return Case(stage, tuple(Stream(key, element, lanes, 2) for key, (element, lanes) in streams.items()))


def resize(draw: Draw, name: str) -> Case:
    narrow, parts, count = draw.integer(1, 9), draw.integer(1, 9), draw.integer(1, 4)
    lanes = (narrow, narrow * parts)[:: draw.one_of([1, -1])]
    element = elements(draw, 40)
    traits = {"ELEMENTS": narrow * parts * count, "IN_LANES": lanes[0], "OUT_LANES": lanes[1]}
    return _case("resize", name, traits, [(element, lanes[0])], [(element, lanes[1])])


def window(draw: Draw, name: str) -> Case:
    lanes, folds, groups = draw.integer(1, 3), draw.integer(1, 3), draw.one_of([1, 1, 2, 3])
    traits = {"CHANNELS": lanes * folds * groups, "LANES": lanes, "GROUPS": groups}
    for size, axis, before, after in (("HEIGHT", "H", "TOP", "BOTTOM"), ("WIDTH", "W", "LEFT", "RIGHT")):
        kernel, dilation = draw.integer(1, 3), draw.integer(1, 2)
        span = (kernel - 1) * dilation + 1
        pads = draw.integer(0, 3), draw.integer(0, 3)
        length = draw.integer(max(1, span - sum(pads)), 8)
        stride = draw.integer(1, 4)
        traits |= {size: length, f"KERNEL_{axis}": kernel, f"STRIDE_{axis}": stride, f"DILATION_{axis}": dilation}
        traits |= {f"PAD_{before}": pads[0], f"PAD_{after}": pads[1]}
        traits |= {f"OUT_{size}": (length + sum(pads) - span) // stride + 1}
    element = _codes(draw)
    traits["PAD_CODE"] = draw.integer(element.low, element.high)
    return _case("window", name, traits, [(element, lanes)], [(element, lanes)])


def mvau(draw: Draw, name: str) -> Case:
    groups, rows, columns = draw.integer(1, 3), draw.integer(1, 3), draw.integer(1, 4)
    pe, simd = draw.integer(1, 4), draw.one_of([1, 2, 3, 4, 5, 8, 9, 16, 25, 32, 33, 49, 64])
    element = elements(draw)
    largest = columns * simd * max(element.high, -element.low)
    weights = draw.rng.integers(-1, 2, (groups * rows * pe, columns * simd), dtype=np.int8)
    weights[0] = draw.one_of([-1, 1])  # a row that reaches the ends of the accumulator
    traits = {"INPUTS": columns * simd, "OUTPUTS": rows * pe, "PE": pe, "SIMD": simd}
    traits |= {"VECTORS": groups * draw.integer(1, 3), "GROUPS": groups, "WEIGHTS_IN_BRAM": 0}
    out = bits_of(largest, -largest)
    return _case("mvau", name, traits, [(element, simd)], [(out, pe)], {"weights": weights})


def hard_wired(draw: Draw, name: str) -> Case:
    rows, columns = draw.integer(1, 12), draw.one_of([1, 2, 3, 8, 17, 40])
    element = elements(draw)
    largest = columns * max(element.high, -element.low)
    weights = draw.rng.integers(-1, 2, (rows, columns), dtype=np.int8)
    weights[0] = draw.one_of([-1, 0, 1])
    weights[-1] = draw.one_of([-1, 1])
    traits = {"INPUTS": columns, "OUTPUTS": rows, "VECTORS": draw.integer(1, 3)}
    return _case(
        "hard_wired", name, traits, [(element, columns)], [(bits_of(largest, -largest), rows)], {"weights": weights}
    )


def vvau(draw: Draw, name: str) -> Case:
    pe, folds, taps = draw.integer(1, 5), draw.integer(1, 3), draw.integer(1, 9)
    channels, outputs = draw.one_of([1, 1, 2, 3, 5, 17]), draw.one_of([1, 1, 2, 3])
    element = elements(draw)
    largest = taps * channels * max(element.high, -element.low)
    weights = draw.rng.integers(-1, 2, (folds * pe * outputs, taps * channels), dtype=np.int8)
    weights[0] = draw.one_of([-1, 1])
    traits = {"GROUPS": pe * folds, "PE": pe, "INPUTS": channels, "OUTPUTS": outputs}
    traits |= {"TAPS": taps, "VECTORS": draw.integer(1, 4), "WEIGHTS_IN_BRAM": 1}
    ends = (element, pe * channels), (bits_of(largest, -largest), pe * outputs)
    return _case("vvau", name, traits, [ends[0]], [ends[1]], {"weights": weights})


def _pooled(draw: Draw, count: int) -> tuple[Element, Element, int]:
    """Input and output element, and the flag MAX."""
    element, largest = _codes(draw), draw.integer(0, 1)
    return element, element if largest else bits_of(count * element.high, count * element.low), largest


def reduce(draw: Draw, name: str) -> Case:
    lanes, folds, taps = draw.integer(1, 5), draw.integer(1, 3), draw.integer(1, 6)
    element, out, largest = _pooled(draw, taps)
    traits = {"CHANNELS": lanes * folds, "LANES": lanes, "TAPS": taps, "VECTORS": draw.integer(1, 4), "MAX": largest}
    return _case("reduce", name, traits, [(element, lanes)], [(out, lanes)])


def global_reduce(draw: Draw, name: str) -> Case:
    lanes, folds, pixels = draw.integer(1, 4), draw.integer(1, 10), draw.integer(1, 6)
    element, out, largest = _pooled(draw, pixels)
    traits = {"CHANNELS": lanes * folds, "LANES": lanes, "PIXELS": pixels, "MAX": largest}
    return _case("global_reduce", name, traits, [(element, lanes)], [(out, lanes)])


def _tables(draw: Draw) -> tuple[dict[str, int], int]:
    lanes, folds, pixels = draw.integer(1, 4), draw.integer(1, 3), draw.integer(1, 3)
    return {"ELEMENTS": lanes * folds * pixels, "CHANNELS": lanes * folds, "LANES": lanes}, lanes


def thresholds(draw: Draw, name: str) -> Case:
    traits, lanes = _tables(draw)
    element = elements(draw, 32)
    levels = draw.one_of([1, 2, 3, 7, 15, 16, 17, 31, 100, 255])
    step, low = draw.one_of([-2, -1, 1, 2]), draw.integer(-128, 127)
    rng = draw.rng
    # Beyond the ends of the type too: thresholds that every value reaches, or none.
    table = np.sort(rng.integers(-element.high - 3, element.high + 4, (traits["CHANNELS"], levels)), axis=1)
    roms = {"thresholds": table, "negative": rng.integers(0, 2, traits["CHANNELS"]).astype(bool)}
    traits |= {"LEVELS": levels, "LOW": low, "STEP": step}
    return _case("thresholds", name, traits, [(element, lanes)], [(bits_of(low, low + step * levels), lanes)], roms)


def _requant(draw: Draw, name: str, kernel: str, factors: list[str]) -> Case:
    traits, lanes = _tables(draw)
    inputs = [(elements(draw, 24), lanes) for _ in factors]
    width, shift, rng = draw.integer(2, 18), draw.integer(0, 20), draw.rng
    out = _codes(draw)
    channels = traits["CHANNELS"]
    roms = {factor: rng.integers(-(1 << (width - 1)), 1 << (width - 1), channels) for factor in factors}
    roms["bias"] = rng.integers(-(1 << 40), 1 << 40, channels) >> draw.integer(0, 40)
    traits |= {"SHIFT": min(shift, width), "LOW": out.low, "HIGH": draw.integer(out.low, out.high)}
    return _case(kernel, name, traits, inputs, [(out, lanes)], roms)


def multiply_shift(draw: Draw, name: str) -> Case:
    return _requant(draw, name, "multiply_shift", ["multiplier"])


def multiply_shift2(draw: Draw, name: str) -> Case:
    return _requant(draw, name, "multiply_shift2", ["multiplier0", "multiplier1"])


def add(draw: Draw, name: str) -> Case:
    lanes, a, b = draw.integer(1, 5), elements(draw, 20), elements(draw, 20)
    traits = {"ELEMENTS": lanes * draw.integer(1, 5), "LANES": lanes, "FACTOR_A": 3, "FACTOR_B": 4}
    return _case(
        "add",
        name,
        traits,
        [(a, lanes), (b, lanes)],
        [(bits_of(3 * a.low + 4 * b.low, 3 * a.high + 4 * b.high), lanes)],
    )


def concat(draw: Draw, name: str) -> Case:
    lanes, a, b = draw.integer(1, 4), elements(draw), elements(draw)
    traits = {"PIXELS": draw.integer(1, 4), "LANES": lanes}
    traits |= {f"CHANNELS_{side}": lanes * draw.integer(1, 4) for side in "AB"}
    return _case("concat", name, traits, [(a, lanes), (b, lanes)], [(bits_of(a.low, b.low, a.high, b.high), lanes)])


def top_k(draw: Draw, name: str) -> Case:
    """Keys with ties: small multipliers and biases, half the time, of sums that are ends and zeros half the time."""
    lanes, folds = draw.integer(1, 4), draw.integer(1, 4)
    channels = lanes * folds
    element = elements(draw, 24)
    count, pairs = draw.integer(1, min(channels, 6)), draw.flag()
    width = draw.one_of([1, 1, 3, 26])
    multipliers, biases = draw.one_of([lanes, channels]), draw.one_of([lanes, channels])
    roms = {
        "multiplier": draw.rng.integers(-(1 << width), (1 << width) + 1, multipliers),
        "bias": draw.rng.integers(-(1 << width), (1 << width) + 1, biases) * draw.one_of([0, 1, 1 << 9]),
    }
    kept = count * (2 if pairs else 1)
    traits = {"VECTORS": draw.integer(1, 3), "CHANNELS": channels, "LANES": lanes, "K": count, "KEPT": kept}
    traits |= {"MULTIPLIERS": multipliers, "BIASES": biases, "LAST": draw.integer(0, 1)}
    out = bits_of(channels - 1, *((element.low, element.high) if pairs else ()))
    return _case("top_k", name, traits, [(element, lanes)], [(out, kept)], roms)


def fork(draw: Draw, name: str) -> Case:
    lanes, copies, element = draw.integer(1, 5), draw.integer(2, 4), elements(draw)
    traits = {"ELEMENTS": lanes * draw.integer(1, 5), "LANES": lanes, "COPIES": copies}
    return _case("fork", name, traits, [(element, lanes)], [(element, lanes)] * copies)


ALL = (
    resize,
    window,
    mvau,
    hard_wired,
    vvau,
    reduce,
    global_reduce,
    thresholds,
    multiply_shift,
    multiply_shift2,
    add,
    concat,
    top_k,
    fork,
)


def cases(seed: int, copies: dict[str, int]) -> list[Case]:
    """So many cases of each kernel (default 1), each of a name of its own."""
    draw = Draw(seed)
    makers = [maker for maker in ALL for _ in range(copies.get(maker.__name__, 1))]
    return [maker(draw, f"{maker.__name__}_{i}") for i, maker in enumerate(makers)]


def inputs_of(case: Case, frames: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random elements; the last frame holds the ends of each type, and of the tables that they meet."""
    arrays = []
    counts = words(case.stage.kernel, case.stage.traits).inputs
    for name, count in zip(case.stage.inputs, counts, strict=True):
        stream = case.stream(name)
        low, high = stream.element.low, stream.element.high
        array = rng.integers(low, high + 1, (frames, count * stream.lanes))
        ends = [low, high, 0]
        if "thresholds" in case.stage.roms:
            table = case.stage.roms["thresholds"].reshape(-1)
            near = np.concatenate([table, table - 1, -table, 1 - table])
            ends += list(near[(near >= low) & (near <= high)])
        array[-1] = rng.choice(ends, array.shape[1])
        array[-1, : array.shape[1] // 2] = array[-1, 0]
        arrays.append(array)
    return arrays
