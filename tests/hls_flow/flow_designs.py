"""Dataflow designs that the tests run, put together stage by stage."""

from __future__ import annotations

import numpy as np
from tritloom.analysis.initiations import words
from tritloom.backend.flow_design import Element, FlowDesign, Stage, Stream, float_keys

U8 = Element(8)
KEY = Element(32, signed=True)


def bits_of(*ends: int) -> Element:
    """A signed type that holds these values."""
    return Element(max(2, *(1 + max(end, ~end).bit_length() for end in ends)), signed=True)


class Builder:
    """Adds stages; each method returns the name of the new stream. Streams are two words deep."""

    def __init__(self, name: str, seed: int = 0, beat_bits: int = 128):
        self.name = name
        self.beat_bits = beat_bits
        self.rng = np.random.default_rng(seed)
        self.streams: dict[str, Stream] = {}
        self.stages: list[Stage] = []
        self.input_bytes = 0

    def stage(self, kernel: str, name: str, inputs: list[str], outputs: list[tuple[Element, int]], roms=None, **traits):
        names = [name + "_out" + ("" if len(outputs) == 1 else str(i)) for i in range(len(outputs))]
        for stream, (element, lanes) in zip(names, outputs, strict=True):
            self.streams[stream] = Stream(stream, element, lanes, 2)
        onnx = (f"/{name}/node",)
        self.stages.append(
            Stage(name, kernel, traits, tuple(inputs), tuple(names), roms or {}, f"flow.{kernel} %{name}", onnx)
        )
        return names[0] if len(names) == 1 else names

    def elements(self, stream: str) -> int:
        """Elements a frame."""
        for stage in self.stages:
            if stream in stage.outputs:
                count = words(stage.kernel, stage.traits).outputs[stage.outputs.index(stream)]
                return count * self.streams[stream].lanes
        raise KeyError(stream)

    def padded(self, size: int) -> int:
        """Bytes of whole beats."""
        beat = self.beat_bits // 8
        return -(-size // beat) * beat

    def load(self, elements: int, lanes: int = 1, element: Element = U8) -> str:
        kernel, size = ("load_floats", 4) if element == KEY else ("load_codes", 1)
        self.input_bytes = self.padded(elements * size)
        return self.stage(
            kernel, "load", [], [(element, lanes)], BEAT_BITS=self.beat_bits, ELEMENTS=elements, LANES=lanes
        )

    def resize(self, source: str, lanes: int) -> str:
        before = self.streams[source]
        if before.lanes == lanes:
            return source
        traits = {"ELEMENTS": self.elements(source), "IN_LANES": before.lanes, "OUT_LANES": lanes}
        return self.stage("resize", f"resize{len(self.stages)}", [source], [(before.element, lanes)], **traits)

    def mvau(self, name: str, source: str, outputs: int, pe: int, simd: int, vectors: int = 1, groups: int = 1) -> str:
        source = self.resize(source, simd)
        element = self.streams[source].element
        inputs = self.elements(source) // vectors
        weights = self.rng.integers(-1, 2, (groups * outputs, inputs), dtype=np.int8)
        largest = inputs * max(element.high, -element.low)
        traits = {"INPUTS": inputs, "OUTPUTS": outputs, "PE": pe, "SIMD": simd, "VECTORS": vectors}
        flags = {"GROUPS": groups, "WEIGHTS_IN_BRAM": 0}
        out = [(bits_of(largest, -largest), pe)]
        return self.stage("mvau", name, [source], out, {"weights": weights}, **traits, **flags)

    def hard_wired(self, name: str, source: str, outputs: int) -> str:
        """A vector a word."""
        before = self.streams[source]
        largest = before.lanes * max(before.element.high, -before.element.low)
        traits = {"INPUTS": before.lanes, "OUTPUTS": outputs, "VECTORS": self.elements(source) // before.lanes}
        weights = self.rng.integers(-1, 2, (outputs, before.lanes), dtype=np.int8)
        return self.stage(
            "hard_wired", name, [source], [(bits_of(largest, -largest), outputs)], {"weights": weights}, **traits
        )

    def thresholds(self, name: str, source: str, channels: int, levels: int, out: Element, spread: int = 60) -> str:
        before = self.streams[source]
        table = np.sort(self.rng.integers(-spread, spread, (channels, levels)), axis=1)
        negative = self.rng.integers(0, 2, channels).astype(bool)
        traits = {"ELEMENTS": self.elements(source), "CHANNELS": channels, "LANES": before.lanes, "LEVELS": levels}
        roms = {"thresholds": table, "negative": negative}
        return self.stage("thresholds", name, [source], [(out, before.lanes)], roms, **traits, LOW=out.low, STEP=1)

    def window(self, name: str, source: str, shape: tuple[int, int, int], kernel: int, **options: int) -> str:
        """`shape` is [H, W, C]; options: stride, dilation, pad (each the same in both directions), pad_code, groups."""
        lanes = self.streams[source].lanes
        stride, dilation, pad = (options.get(key, value) for key, value in (("stride", 1), ("dilation", 1), ("pad", 0)))
        span = (kernel - 1) * dilation + 1
        traits = {"HEIGHT": shape[0], "WIDTH": shape[1], "CHANNELS": shape[2], "LANES": lanes}
        for axis in "HW":
            traits |= {f"KERNEL_{axis}": kernel, f"STRIDE_{axis}": stride, f"DILATION_{axis}": dilation}
        traits |= {f"PAD_{side}": pad for side in ("TOP", "LEFT", "BOTTOM", "RIGHT")}
        traits |= {"PAD_CODE": options.get("pad_code", 0), "GROUPS": options.get("groups", 1)}
        traits |= {"OUT_HEIGHT": (shape[0] + 2 * pad - span) // stride + 1}
        traits |= {"OUT_WIDTH": (shape[1] + 2 * pad - span) // stride + 1}
        return self.stage("window", name, [source], [(self.streams[source].element, lanes)], **traits)

    def reduce(self, name: str, source: str, channels: int, taps: int, *, largest: bool = True) -> str:
        before = self.streams[source]
        vectors = self.elements(source) // (channels * taps)
        element = before.element
        if not largest:
            element = bits_of(taps * element.high, taps * element.low)
        traits = {"CHANNELS": channels, "LANES": before.lanes, "TAPS": taps, "VECTORS": vectors, "MAX": int(largest)}
        return self.stage("reduce", name, [source], [(element, before.lanes)], **traits)

    def top_k(self, name: str, source: str, channels: int, count: int, *, pairs: bool) -> str:
        """The best channels, by the sums and a random bias."""
        before = self.streams[source]
        kept = count * (1 + pairs)
        roms = {"multiplier": np.ones(before.lanes, int), "bias": self.rng.integers(-9, 9, channels)}
        traits = {"VECTORS": self.elements(source) // channels, "CHANNELS": channels, "LANES": before.lanes}
        traits |= {"K": count, "KEPT": kept, "MULTIPLIERS": before.lanes, "BIASES": channels, "LAST": 0}
        element = bits_of(channels - 1, *((before.element.low, before.element.high) if pairs else ()))
        return self.stage("top_k", name, [source], [(element, kept)], roms, **traits)

    def fork(self, source: str, copies: int = 2) -> list[str]:
        before = self.streams[source]
        traits = {"ELEMENTS": self.elements(source), "LANES": before.lanes, "COPIES": copies}
        return self.stage(
            "fork", f"fork{len(self.stages)}", [source], [(before.element, before.lanes)] * copies, **traits
        )

    def add(self, name: str, a: str, b: str) -> str:
        left, right = self.streams[a], self.streams[b]
        out = bits_of(left.element.low + right.element.low, left.element.high + right.element.high)
        traits = {"ELEMENTS": self.elements(a), "LANES": left.lanes, "FACTOR_A": 1, "FACTOR_B": 1}
        return self.stage("add", name, [a, b], [(out, left.lanes)], **traits)

    def store(self, source: str, depths: dict[str, int] | None = None) -> FlowDesign:
        """The finished design, with some streams deeper."""
        elements, lanes = self.elements(source), self.streams[source].lanes
        per_beat = self.beat_bits // 32
        if per_beat % lanes and lanes % per_beat:
            source, lanes = self.resize(source, 1), 1
        self.stages.append(
            Stage(
                "store",
                "store",
                {"BEAT_BITS": self.beat_bits, "ELEMENTS": elements, "LANES": lanes},
                (source,),
                (),
                {},
                "flow.store",
            )
        )
        for name, depth in (depths or {}).items():
            before = self.streams[name]
            self.streams[name] = Stream(name, before.element, before.lanes, depth)
        streams, stages = tuple(self.streams.values()), tuple(self.stages)
        return FlowDesign(self.name, streams, stages, self.input_bytes, self.padded(4 * elements), self.beat_bits)


def mlp(
    sizes: tuple[int, ...] = (784, 256, 256, 10), folding=((4, 56), (4, 16), (1, 16)), bits: int = 2, seed: int = 0
) -> FlowDesign:
    """A perceptron of 8-bit inputs; folding: (PE, SIMD) of each layer."""
    net = Builder("mlp", seed)
    pe, simd = folding[0]
    flow = net.load(sizes[0], next(lanes for lanes in (16, 8, 4, 2, 1) if simd % lanes == 0))
    for layer, (outputs, (pe, simd)) in enumerate(zip(sizes[1:], folding, strict=True)):
        flow = net.mvau(f"dense{layer}", flow, outputs, pe, simd)
        if layer + 2 < len(sizes):
            spread = 200 if layer else 8000
            flow = net.thresholds(f"steps{layer}", flow, outputs, (1 << bits) - 1, Element(bits), spread)
    return net.store(flow)


def residual(skip_depth: int, size: int = 5, channels: int = 2) -> FlowDesign:
    """conv3x3(x) + x over a small image; only the skip is deeper than two words."""
    net = Builder("residual", seed=3)
    branch, skip = net.fork(net.load(size * size * channels, channels))
    windows = net.window("window", branch, (size, size, channels), 3, pad=1)
    sums = net.mvau("conv", windows, channels, channels, channels, vectors=size * size)
    codes = net.thresholds("steps", sums, channels, 15, Element(4), 300)
    joined = net.add("join", codes, skip)
    return net.store(joined, {skip: skip_depth})


def copy(elements: int, element: Element, load_lanes: int, store_lanes: int, beat_bits: int = 128) -> FlowDesign:
    """What is loaded is stored."""
    net = Builder("copy", beat_bits=beat_bits)
    return net.store(net.resize(net.load(elements, load_lanes, element), store_lanes))


def quantised(boundaries: np.ndarray, low: int, lanes: int, elements: int) -> FlowDesign:
    """float32 to codes: `boundaries` float32 [LEVELS], the smallest value of each code above `low`."""
    net = Builder("quantised")
    keys = net.load(elements, lanes, KEY)
    levels = len(boundaries)
    roms = {"thresholds": np.tile(float_keys(boundaries), (lanes, 1)), "negative": np.zeros(lanes, bool)}
    traits = {"ELEMENTS": elements, "CHANNELS": lanes, "LANES": lanes, "LEVELS": levels, "LOW": low, "STEP": 1}
    return net.store(net.stage("thresholds", "quantise", [keys], [(bits_of(low, low + levels), lanes)], roms, **traits))
