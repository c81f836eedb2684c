"""Does a dataflow design agree with itself? What a C++ compiler or a deadlock would say otherwise, said clearly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from ..analysis.initiations import words
from .flow_design import Element, FlowDesign, Stage, Stream
from .flow_kernels import KERNELS, product_of
from .flow_roms import key_element, sum_element

_RESERVED: Final = frozenset(
    """alignas alignof asm auto bool break case catch char class const constexpr continue cycles decltype default delete
    do double else enum explicit export extern false finish float for frames friend goto hls if inline input int long
    loom main mutable namespace new noexcept nullptr operator output private protected public region register return
    short signed sizeof static status struct switch template this throw true try typedef typeid typename union unsigned
    using virtual void volatile while""".split()
)

_SAME_ELEMENT: Final = ("resize", "window", "fork")
"""Kernels that pass elements on as they are."""

_LANES: Final = ("CHANNELS", "LANES")
_FRAME: Final = ("ELEMENTS", "LANES")
_WHOLE: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "load_codes": (_FRAME,),
    "load_floats": (_FRAME,),
    "resize": (("ELEMENTS", "IN_LANES"), ("ELEMENTS", "OUT_LANES")),
    "window": (_LANES,),
    "mvau": (("INPUTS", "SIMD"), ("OUTPUTS", "PE"), ("VECTORS", "GROUPS")),
    "hard_wired": (),
    "vvau": (("GROUPS", "PE"),),
    "reduce": (_LANES,),
    "global_reduce": (_LANES,),
    "thresholds": (_LANES, ("ELEMENTS", "CHANNELS")),
    "multiply_shift": (_LANES, ("ELEMENTS", "CHANNELS")),
    "multiply_shift2": (_LANES, ("ELEMENTS", "CHANNELS")),
    "add": (_FRAME,),
    "concat": (("CHANNELS_A", "LANES"), ("CHANNELS_B", "LANES")),
    "top_k": (
        ("CHANNELS", "MULTIPLIERS"),
        ("CHANNELS", "BIASES"),
        ("MULTIPLIERS", "LANES"),
        ("BIASES", "LANES"),
    ),
    "fork": (_FRAME,),
    "store": (_FRAME,),
}
"""Traits that are multiples of others."""


def check_design(design: FlowDesign) -> None:
    """Look at names, traits, tables and streams.

    Raises:
        ValueError: the design contradicts itself; the text names the stage or stream.
    """
    _check_names(design)
    for stream in design.streams:
        _check_stream(stream)
    for stage in design.stages:
        _refuse(f"stage '{stage.name}'", _stage_problems(design, stage))
    _refuse(f"design '{design.name}'", _region_problems(design))


def _refuse(where: str, problems: Iterator[str]) -> None:
    for problem in problems:
        raise ValueError(f"{where}: {problem}")


def _check_names(design: FlowDesign) -> None:
    seen: set[str] = set()
    for name in [stage.name for stage in design.stages] + [stream.name for stream in design.streams]:
        if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) is None or name in _RESERVED:
            raise ValueError(f"'{name}' cannot be the name of a stage or stream")
        if name in seen:
            raise ValueError(f"'{name}' is the name of two stages or streams")
        seen.add(name)
    tables = {f"{stage.name}_{rom}" for stage in design.stages for rom in stage.roms}
    words_of_streams = {f"{stream.name}_word" for stream in design.streams}
    for clash in sorted(tables & seen | words_of_streams & seen):
        raise ValueError(f"'{clash}' is the name of a stage or stream, and of a table or word type")


def _check_stream(stream: Stream) -> None:
    if not 1 <= stream.element.bits <= 64:
        raise ValueError(f"stream '{stream.name}': elements of {stream.element.bits} bits, not 1 to 64")
    if stream.lanes < 1 or stream.depth < 1:
        raise ValueError(f"stream '{stream.name}': {stream.lanes} lanes, depth {stream.depth}")


def _stage_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    kernel = KERNELS.get(stage.kernel)
    if kernel is None:
        yield f"no kernel '{stage.kernel}'; there are {', '.join(KERNELS)}"
        return
    missing = [name for name in kernel.traits if name not in stage.traits]
    unknown = [name for name in stage.traits if name not in kernel.traits]
    if missing or unknown:
        yield f"traits missing: {missing}, unknown: {unknown}"
        return
    for whole, part in _WHOLE[stage.kernel]:
        if stage.traits[part] < 1 or stage.traits[whole] % stage.traits[part]:
            yield f"{whole} is {stage.traits[whole]}, no multiple of {part}, which is {stage.traits[part]}"
            return
    yield from _stream_problems(design, stage)
    yield from _rom_problems(stage)
    if stage.kernel in _PROBLEMS:
        yield from _PROBLEMS[stage.kernel](design, stage)


def _stream_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    kernel = KERNELS[stage.kernel]
    outputs = {f"Out{i}": "LANES" for i in range(stage.traits["COPIES"])} if stage.kernel == "fork" else kernel.outputs
    for side, names, ends in (("input", stage.inputs, kernel.inputs), ("output", stage.outputs, outputs)):
        if len(names) != len(ends):
            yield f"{len(names)} {side} streams, {stage.kernel} has {len(ends)}"
            return
        for name, trait in zip(names, ends.values(), strict=True):
            known = {stream.name: stream for stream in design.streams}
            if name not in known:
                yield f"there is no stream '{name}'"
                return
            if known[name].lanes != (wanted := product_of(stage.traits, trait)):
                yield f"stream '{name}' has {known[name].lanes} lanes, {trait} is {wanted}"
    if stage.kernel in _SAME_ELEMENT:
        elements = {design.stream(name).element for name in (*stage.inputs, *stage.outputs)}
        if len(elements) > 1:
            yield f"{stage.kernel} does not change elements, but its streams have {sorted(map(str, elements))}"


def _rom_problems(stage: Stage) -> Iterator[str]:
    expected = KERNELS[stage.kernel].roms
    if set(expected) != set(stage.roms):
        yield f"tables {sorted(stage.roms)}, {stage.kernel} has {sorted(expected)}"
        return
    for name, dimensions in expected.items():
        shape = tuple(product_of(stage.traits, product) for product in dimensions)
        if stage.roms[name].shape != shape:
            yield f"table '{name}' has shape {stage.roms[name].shape}, not {shape}"
    if "weights" in expected and not np.isin(stage.roms["weights"], (-1, 0, 1)).all():
        yield "a weight is no trit"


def _window_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    traits = stage.traits
    for size, axis, pads in (("HEIGHT", "H", ("TOP", "BOTTOM")), ("WIDTH", "W", ("LEFT", "RIGHT"))):
        span = (traits[f"KERNEL_{axis}"] - 1) * traits[f"DILATION_{axis}"] + 1
        end = (traits[f"OUT_{size}"] - 1) * traits[f"STRIDE_{axis}"] + span
        padded = traits[size] + sum(traits[f"PAD_{side}"] for side in pads)
        if end > padded:
            yield f"the last window ends at {end}, the padded image has a {size} of {padded}"
    if (folds := traits["CHANNELS"] // traits["LANES"]) % traits["GROUPS"]:
        yield f"CHANNELS are {folds} words, no multiple of GROUPS, which is {traits['GROUPS']}"
    yield from _code_problems((traits["PAD_CODE"],), design.stream(stage.inputs[0]).element)


def _resize_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    lanes = sorted((stage.traits["IN_LANES"], stage.traits["OUT_LANES"]))
    if lanes[1] % lanes[0]:
        yield f"{lanes[1]} lanes are no multiple of {lanes[0]}"


def _threshold_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    if (np.diff(stage.roms["thresholds"].astype(np.int64), axis=1) < 0).any():
        yield "the thresholds of a channel do not ascend"
    traits = stage.traits
    ends = (traits["LOW"], traits["LOW"] + traits["STEP"] * traits["LEVELS"])
    yield from _code_problems(ends, design.stream(stage.outputs[0]).element)


def _requant_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    yield from _code_problems((stage.traits["LOW"], stage.traits["HIGH"]), design.stream(stage.outputs[0]).element)
    total = sum_element(stage, [design.stream(name).element for name in stage.inputs])
    if total.bits > 64:
        yield f"sums of {total.bits} bits, more than 64"
    if stage.traits["SHIFT"] >= total.bits:
        yield f"a shift by {stage.traits['SHIFT']} of sums of {total.bits} bits"


def _top_k_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    traits, source = stage.traits, design.stream(stage.inputs[0]).element
    if not 1 <= traits["K"] <= traits["CHANNELS"] or traits["KEPT"] not in (traits["K"], 2 * traits["K"]):
        yield f"it keeps {traits['KEPT']} elements of the best {traits['K']} of {traits['CHANNELS']} channels"
        return
    ends = (0, traits["CHANNELS"] - 1, *((source.low, source.high) if traits["KEPT"] > traits["K"] else ()))
    yield from _code_problems(ends, design.stream(stage.outputs[0]).element)
    if (key := key_element(stage, source)).bits > 63:
        yield f"keys of {key.bits} bits, more than 63"


def _code_problems(codes: tuple[int, ...], element: Element) -> Iterator[str]:
    for code in codes:
        if not element.low <= code <= element.high:
            yield f"code {code} is no {element}"


def _sum_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    element = design.stream(stage.outputs[0]).element
    if element.bits > 32 or not element.signed:
        yield f"sums are at most int32, the output has {element}"


def _memory_problems(design: FlowDesign, stage: Stage) -> Iterator[str]:
    if stage.traits["BEAT_BITS"] != design.beat_bits:
        yield f"beats of {stage.traits['BEAT_BITS']} bits, the design has {design.beat_bits}"
    bits = 8 if stage.kernel == "load_codes" else 32
    side, size = ("output", design.output_bytes) if stage.kernel == "store" else ("input", design.input_bytes)
    beats = -(-stage.traits["ELEMENTS"] * bits // design.beat_bits)
    if beats * design.beat_bits != 8 * size:
        yield f"a frame is {beats} beats of {design.beat_bits} bits, {side}_bytes is {size}"
    per_beat, lanes = design.beat_bits // bits, stage.traits["LANES"]
    if per_beat % lanes and lanes % per_beat:
        yield f"{lanes} lanes neither divide the {per_beat} elements of a beat nor are a multiple of them"


_PROBLEMS: Final[Mapping[str, Callable[[FlowDesign, Stage], Iterator[str]]]] = {
    "load_codes": _memory_problems,
    "load_floats": _memory_problems,
    "store": _memory_problems,
    "resize": _resize_problems,
    "window": _window_problems,
    "mvau": _sum_problems,
    "hard_wired": _sum_problems,
    "vvau": _sum_problems,
    "thresholds": _threshold_problems,
    "multiply_shift": _requant_problems,
    "multiply_shift2": _requant_problems,
    "top_k": _top_k_problems,
}


def _region_problems(design: FlowDesign) -> Iterator[str]:
    kernels = [stage.kernel for stage in design.stages]
    if not kernels or not kernels[0].startswith("load_") or kernels[-1] != "store":
        yield "the first stage loads and the last one stores"
    if sum(kernel.startswith("load_") or kernel == "store" for kernel in kernels) != 2:
        yield "one stage loads and one stores"
    for stream in design.streams:
        yield from _balance_problems(design, stream)


def _balance_problems(design: FlowDesign, stream: Stream) -> Iterator[str]:
    """A stream has one writer, one reader behind it, and as many words a frame at both."""
    writers = [
        (i, end) for i, stage in enumerate(design.stages) for end, n in enumerate(stage.outputs) if n == stream.name
    ]
    readers = [
        (i, end) for i, stage in enumerate(design.stages) for end, n in enumerate(stage.inputs) if n == stream.name
    ]
    if len(writers) != 1 or len(readers) != 1:
        yield f"stream '{stream.name}' has {len(writers)} writers and {len(readers)} readers"
        return
    (writer, out), (reader, in_) = writers[0], readers[0]
    if writer >= reader:
        yield f"stream '{stream.name}' is read before it is written"
    first, second = design.stages[writer], design.stages[reader]
    written = words(first.kernel, first.traits).outputs[out]
    read = words(second.kernel, second.traits).inputs[in_]
    if written != read:
        yield f"'{first.name}' writes {written} words a frame to '{stream.name}', '{second.name}' reads {read}"
