"""How often the pipelined loop of each dataflow kernel starts, and how many words pass its streams.

Closed forms of the traits alone: every blocking read and write belongs to an initiation, so stalls do not count.
At II 1 the initiations of a frame are the cycles that the stage is busy with it; the slowest stage sets the rate.
The names of the traits are those of the kernels (docs/dataflow.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Traits = Mapping[str, int]


@dataclass(frozen=True)
class Work:
    """Initiations of one start."""

    first: int
    """Before the first frame: rows that a sliding window needs for its first output."""
    frame: int
    """Of a frame that another one follows: the steady state."""
    last: int
    """Of the last frame."""

    def of(self, frames: int) -> int:
        """Initiations of a start with so many frames."""
        return self.first + (frames - 1) * self.frame + self.last if frames else 0


@dataclass(frozen=True)
class Words:
    """Words that a stage reads of each input and writes to each output, per frame; none for the memory."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _ceil(count: int, size: int) -> int:
    return -(-count // size)


def _steady(count: int) -> Work:
    return Work(0, count, count)


# --- sliding window --------------------------------------------------------------------------------------------------


def window_rows(traits: Traits) -> list[int]:
    """Input rows of a frame that must have been read before each output row begins."""
    span = (traits["KERNEL_H"] - 1) * traits["DILATION_H"] + 1
    ends = (row * traits["STRIDE_H"] - traits["PAD_TOP"] + span for row in range(traits["OUT_HEIGHT"]))
    return [min(max(end, 0), traits["HEIGHT"]) for end in ends]


def _window_emitted(traits: Traits) -> int:
    """Words of an output row."""
    return traits["OUT_WIDTH"] * traits["KERNEL_H"] * traits["KERNEL_W"] * (traits["CHANNELS"] // traits["LANES"])


def _window(traits: Traits) -> Work:
    row_words = traits["WIDTH"] * (traits["CHANNELS"] // traits["LANES"])
    emitted = _window_emitted(traits)
    rows = window_rows(traits)
    steps = [max(emitted, (after - before) * row_words) for before, after in pairwise(rows)]
    rest = traits["HEIGHT"] - rows[-1]
    return Work(
        rows[0] * row_words,
        sum(steps) + max(emitted, (rest + rows[0]) * row_words),
        sum(steps) + max(emitted, rest * row_words),
    )


def _window_words(traits: Traits) -> Words:
    folds = traits["CHANNELS"] // traits["LANES"]
    return Words((traits["HEIGHT"] * traits["WIDTH"] * folds,), (traits["OUT_HEIGHT"] * _window_emitted(traits),))


# --- memory ----------------------------------------------------------------------------------------------------------


def _beats(traits: Traits, bits: int) -> int:
    return _ceil(traits["ELEMENTS"] * bits, traits["BEAT_BITS"])


def _words(traits: Traits) -> int:
    return traits["ELEMENTS"] // traits["LANES"]


def _memory(bits: int) -> Callable[[Traits], Work]:
    return lambda traits: _steady(max(_beats(traits, bits), _words(traits)))


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _mvau_words(traits: Traits) -> Words:
    return Words(
        (traits["VECTORS"] * traits["INPUTS"] // traits["SIMD"],),
        (traits["VECTORS"] * traits["OUTPUTS"] // traits["PE"],),
    )


def _mvau(traits: Traits) -> Work:
    folds = (traits["INPUTS"] // traits["SIMD"]) * (traits["OUTPUTS"] // traits["PE"])
    return _steady(traits["VECTORS"] * folds)


def _taps(parts: str, at_once: str) -> Callable[[Traits], Words]:
    """Words of a stage that makes one word of TAPS words."""

    def words(traits: Traits) -> Words:
        out = traits["VECTORS"] * traits[parts] // traits[at_once]
        return Words((out * traits["TAPS"],), (out,))

    return words


def _global_words(traits: Traits) -> Words:
    folds = traits["CHANNELS"] // traits["LANES"]
    return Words((traits["PIXELS"] * folds,), (folds,))


def _concat_words(traits: Traits) -> Words:
    a, b = (traits["PIXELS"] * traits[name] // traits["LANES"] for name in ("CHANNELS_A", "CHANNELS_B"))
    return Words((a, b), (a + b,))


def _top_k_words(traits: Traits) -> Words:
    return Words((traits["VECTORS"] * (traits["CHANNELS"] // traits["LANES"]),), (traits["VECTORS"],))


def _resize_words(traits: Traits) -> Words:
    return Words((traits["ELEMENTS"] // traits["IN_LANES"],), (traits["ELEMENTS"] // traits["OUT_LANES"],))


def _map_words(inputs: int) -> Callable[[Traits], Words]:
    return lambda traits: Words((_words(traits),) * inputs, (_words(traits),))


def _all_words(words: Callable[[Traits], Words]) -> Callable[[Traits], Work]:
    """Kernels that read or write one word of their busiest stream in each initiation."""
    return lambda traits: _steady(max(words(traits).inputs + words(traits).outputs))


_WORDS: Final[Mapping[str, Callable[[Traits], Words]]] = {
    "load_codes": lambda traits: Words((), (_words(traits),)),
    "load_floats": lambda traits: Words((), (_words(traits),)),
    "resize": _resize_words,
    "window": _window_words,
    "mvau": _mvau_words,
    "hard_wired": lambda traits: Words((traits["VECTORS"],), (traits["VECTORS"],)),
    "vvau": _taps("GROUPS", "PE"),
    "reduce": _taps("CHANNELS", "LANES"),
    "global_reduce": _global_words,
    "thresholds": _map_words(1),
    "multiply_shift": _map_words(1),
    "multiply_shift2": _map_words(2),
    "add": _map_words(2),
    "concat": _concat_words,
    "top_k": _top_k_words,
    "fork": lambda traits: Words((_words(traits),), (_words(traits),) * traits["COPIES"]),
    "store": lambda traits: Words((_words(traits),), ()),
}

_WORK: Final[Mapping[str, Callable[[Traits], Work]]] = {
    "load_codes": _memory(8),
    "load_floats": _memory(32),
    "window": _window,
    "mvau": _mvau,
    "store": _memory(32),
}
"""Those that are not one initiation a word of the busiest stream."""


def initiations(kernel: str, traits: Traits) -> Work:
    """Initiations of a stage. KeyError if there is no such kernel, or a trait is missing."""
    return _WORK[kernel](traits) if kernel in _WORK else _all_words(_WORDS[kernel])(traits)


def words(kernel: str, traits: Traits) -> Words:
    """Words a frame on a stage's streams. KeyError if there is no such kernel, or a trait is missing."""
    return _WORDS[kernel](traits)
