"""Tables of a dataflow design as the kernels read them: order, width, C++ text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .flow_design import Element, Stage

PARALLEL_LEVELS: Final = 15
"""As in flow/thresholds.h: with more thresholds the kernel searches."""

Array = NDArray[Any]


@dataclass(frozen=True)
class RomText:
    """One C++ array."""

    name: str
    type: str
    """A type of the traits struct."""
    typedef: tuple[str, str] | None
    """Name and definition that the traits struct needs for it."""
    dimensions: str
    values: str
    partitioned: tuple[int, ...]
    """Dimensions that are separate memories in hardware, counted from 1."""
    storage: str
    """Implementation of the memory, or empty where the tool decides."""


def element_for(values: Array) -> Element:
    """The narrowest signed type of at least 2 bits that holds every value."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return Element(max(2, 1 + max(high.bit_length(), (~low).bit_length())), signed=True)


def integer(element: Element) -> str:
    """An element type in C++.

    >>> integer(Element(2))
    'loom::Int<2, false>'
    """
    return f"loom::Int<{element.bits}, {str(element.signed).lower()}>"


def pack_trits(weights: Array, pe: int, simd: int) -> Array:
    """Trits [rows, K] -> words [PE][DEPTH][WORDS] of an unsigned type, trit s of a word in bits 2s..2s+1.

    DEPTH goes over the row folds, then the column folds; row r is row r mod PE of fold r // PE.
    """
    rows, length = weights.shape
    codes = (weights.astype(np.int64) & 3).astype(np.uint64)
    codes = codes.reshape(rows // pe, pe, length // simd, simd).transpose(1, 0, 2, 3).reshape(pe, -1, simd)
    word = next(bits for bits in (8, 16, 32, 64) if 2 * simd <= bits or bits == 64)
    trits = word // 2
    padded = np.zeros((*codes.shape[:2], -(-simd // trits) * trits), np.uint64)
    padded[..., :simd] = codes
    shifts = (2 * np.arange(trits)).astype(np.uint64)
    words = (padded.reshape(*codes.shape[:2], -1, trits) << shifts).sum(axis=-1, dtype=np.uint64)
    packed: Array = words.astype(f"uint{word}")
    return packed


def by_lane(table: Array, lanes: int) -> Array:
    """Rows of channels [C, ...] -> [LANES][FOLDS]...: channel fold * LANES + lane."""
    return table.reshape(-1, lanes, *table.shape[1:]).swapaxes(0, 1)


def search_table(thresholds: Array, lanes: int) -> Array:
    """Ascending thresholds [C, LEVELS] -> [STEPS][LANES][FOLDS << (STEPS - 1)], as flow/thresholds.h searches."""
    channels, levels = thresholds.shape
    steps = levels.bit_length()
    filled = np.concatenate([thresholds, np.repeat(thresholds[:, -1:], (1 << steps) - 1 - levels, axis=1)], axis=1)
    table = np.zeros((steps, lanes, (channels // lanes) << (steps - 1)), np.int64)
    for step in range(steps):
        places = (np.arange(1 << step) << (steps - step)) + (1 << (steps - step - 1)) - 1
        flat = by_lane(filled[:, places], lanes).reshape(lanes, -1)
        table[step, :, : flat.shape[1]] = flat
    return table


def _braces(values: Array) -> str:
    if values.ndim == 1:
        if values.dtype.kind == "u":
            return "{" + ", ".join(map(hex, values.tolist())) + "}"
        return "{" + ", ".join(map(_literal, values.tolist())) + "}"
    return "{" + (",\n " if values.ndim > 1 and values.size > 16 else ", ").join(map(_braces, values)) + "}"


def _literal(value: int | bool) -> str:
    """C++ text of a number; the smallest int64 has no literal of its own.

    >>> _literal(-(2**63)), _literal(True), _literal(2**40)
    ('(-9223372036854775807LL - 1)', 'true', '1099511627776LL')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if value == -(1 << 63):
        return "(-9223372036854775807LL - 1)"
    return f"{value}LL" if not -(1 << 31) < value < 1 << 31 else str(value)


def _text(stage: Stage, rom: str, type_: str, values: Array, **others: Any) -> RomText:
    options = {"typedef": None, "partitioned": (1,), "storage": ""} | others
    dimensions = "".join(f"[{size}]" for size in values.shape)
    return RomText(f"{stage.name}_{rom}", type_, dimensions=dimensions, values=_braces(values), **options)


def _typed(stage: Stage, rom: str, name: str, element: Element, values: Array, **others: Any) -> RomText:
    return _text(stage, rom, f"{name}::type", values, typedef=(name, integer(element)), **others)


def _mvau(stage: Stage) -> Iterator[RomText]:
    yield _weights(stage, stage.traits["PE"], stage.traits["SIMD"])


def _vvau(stage: Stage) -> Iterator[RomText]:
    yield _weights(stage, stage.traits["PE"] * stage.traits["OUTPUTS"], stage.traits["INPUTS"])


def _weights(stage: Stage, pe: int, simd: int) -> RomText:
    words = pack_trits(stage.roms["weights"], pe, simd)
    storage = "bram" if stage.traits["WEIGHTS_IN_BRAM"] else "lutram"
    typedef = ("WeightWord", f"{words.dtype}_t")
    return _text(stage, "weights", "WeightWord", words, typedef=typedef, partitioned=(1, 3), storage=storage)


def _thresholds(stage: Stage) -> Iterator[RomText]:
    table = stage.roms["thresholds"].astype(np.int64)
    element, lanes = element_for(table), stage.traits["LANES"]
    if stage.traits["LEVELS"] > PARALLEL_LEVELS:
        values, partitioned = search_table(table, lanes), (1, 2)
    else:
        values, partitioned = by_lane(table, lanes), (1, 3)
    yield _typed(stage, "thresholds", "Threshold", element, values, partitioned=partitioned)
    negative = by_lane(stage.roms["negative"].astype(bool), lanes)
    yield _text(stage, "negative", "Negative", negative, typedef=("Negative", "bool"))


def multipliers(stage: Stage) -> list[str]:
    """Tables of factors of a requantiser, one an input."""
    return sorted(name for name in stage.roms if name.startswith("multiplier"))


def sum_element(stage: Stage, inputs: Sequence[Element]) -> Element:
    """The type that holds every product of a requantiser, their sum and the bias."""
    factor = element_for(np.concatenate([stage.roms[name] for name in multipliers(stage)]))
    products = max(element.bits for element in inputs) + factor.bits + len(inputs) - 1
    return Element(1 + max(products, element_for(stage.roms["bias"]).bits), signed=True)


def _multiply_shift(stage: Stage) -> Iterator[RomText]:
    lanes = stage.traits["LANES"]
    names = multipliers(stage)
    factor = element_for(np.concatenate([stage.roms[name] for name in names]))
    for name in names:
        yield _typed(stage, name, "Multiplier", factor, by_lane(stage.roms[name].astype(np.int64), lanes))
    bias = stage.roms["bias"].astype(np.int64)
    yield _typed(stage, "bias", "Bias", element_for(bias), by_lane(bias, lanes))


def key_element(stage: Stage, source: Element) -> Element:
    """The type that holds every key of a ranking, and one below them."""
    multiplier, bias = (stage.roms[name].astype(object) for name in ("multiplier", "bias"))
    ends = [part for end in (source.low, source.high) for part in (multiplier * end).tolist()]
    return element_for(np.array([min(ends) + min(bias) - 1, max(ends) + max(bias)], object))


def _top_k(stage: Stage) -> Iterator[RomText]:
    for rom, name in (("multiplier", "Multiplier"), ("bias", "Bias")):
        table = stage.roms[rom].astype(np.int64)
        yield _typed(stage, rom, name, element_for(table), by_lane(table, stage.traits["LANES"]))


_ROMS: Final = {
    "mvau": _mvau,
    "vvau": _vvau,
    "thresholds": _thresholds,
    "multiply_shift": _multiply_shift,
    "multiply_shift2": _multiply_shift,
    "top_k": _top_k,
}


def roms_of(stage: Stage) -> tuple[RomText, ...]:
    """C++ arrays of a stage, in the order of the kernel's arguments."""
    return tuple(_ROMS[stage.kernel](stage)) if stage.kernel in _ROMS else ()
