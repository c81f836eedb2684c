"""The tables of a bundle's kernel, read back from the text of its C++: weights, thresholds, multipliers.

Nothing of the renderer is used: what the file says is what is decoded (docs/dataflow.md has the layouts).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[Any]

_STRUCT: Final = re.compile(r"^struct (\w+) \{\n(.*?)^\};", re.DOTALL | re.MULTILINE)
_TRAIT: Final = re.compile(r"static constexpr (?:unsigned|int|bool) (\w+) = (-?\w+);")
_WORD: Final = re.compile(r"typedef uint(\d+)_t WeightWord;")
_TABLE: Final = re.compile(r"static const (\w+)::\w+(?:::type)? (\w+?)((?:\[\d+\])+) = (\{.*?\});", re.DOTALL)
_PARALLEL_LEVELS: Final = 15
"""With more thresholds the kernel searches (flow/thresholds.h)."""
_NUMBER: Final = re.compile(r"\((-\d+)LL - 1\)|(true)|(false)|(0x[0-9a-f]+|-?\d+)(?:LL)?")


@dataclass
class StageTables:
    """One stage as the C++ has it: its parameters, and its tables as they lie in memory."""

    struct: str
    traits: dict[str, int]
    word_bits: int
    """Of a weight memory's word."""
    arrays: dict[str, Array] = field(default_factory=dict)

    def array(self, name: str) -> Array:
        """The table of that name: `weights`, `thresholds`, `multiplier`, ...

        Raises:
            InputError: there is none.
        """
        if name not in self.arrays:
            raise InputError(f"hls/weights.h has no table {name} for {self.struct}", "compile the model again")
        return self.arrays[name]


def read_tables(config: str, weights: str) -> dict[str, StageTables]:
    """Stages by the name of their struct, of the texts of config.h and weights.h.

    Raises:
        InputError: a table does not have the numbers that its dimensions say.
    """
    stages = {}
    for struct, body in _STRUCT.findall(config):
        traits = {name: _value(value) for name, value in _TRAIT.findall(body)}
        word = _WORD.search(body)
        stages[struct] = StageTables(struct, traits, int(word.group(1)) if word else 0)
    for struct, name, dimensions, text in _TABLE.findall(weights):
        shape = [int(size) for size in re.findall(r"\d+", dimensions)]
        numbers = _numbers(text)
        if struct not in stages or len(numbers) != np.prod(shape):
            raise InputError(f"hls/weights.h: {name} is malformed", "compile the model again")
        element = np.uint64 if "0x" in text else np.int64
        stages[struct].arrays[_suffix(name)] = np.array(numbers, element).reshape(shape)
    return stages


def _suffix(name: str) -> str:
    """The table's own name, behind that of its stage."""
    return name.rpartition("_")[2]


def _value(text: str) -> int:
    return int(text == "true") if text in ("true", "false") else int(text, 0)


def _numbers(text: str) -> list[int]:
    return [
        int(smallest) - 1 if smallest else 1 if true else 0 if false else int(number, 0)
        for smallest, true, false, number in _NUMBER.findall(text)
    ]


def trits_of(stage: StageTables, columns: int) -> Array:
    """Trits int8 [rows, columns] of a weight memory [PE][DEPTH][WORDS]; 2 where the two bits are no trit.

    Row r is row r mod PE of fold r // PE; trit s of a word is in bits 2s and 2s + 1.
    """
    words = stage.array("weights").astype(np.uint64)
    pe, depth, _ = words.shape
    simd = stage.traits.get("SIMD", stage.traits["INPUTS"])
    each = stage.word_bits // 2
    bits = words[..., np.newaxis] >> (2 * np.arange(each)).astype(np.uint64)
    pairs = (bits & np.uint64(3)).astype(np.int8).reshape(pe, depth, -1)[..., :simd]
    trits = np.array([0, 1, 2, -1], np.int8)[pairs]
    folds = columns // simd
    rows: Array = trits.reshape(pe, depth // folds, folds * simd).transpose(1, 0, 2).reshape(-1, columns)
    return rows


def by_channel(table: Array) -> Array:
    """Rows of channels of a table [LANES][FOLDS]...: channel fold * LANES + lane."""
    swapped = table.swapaxes(0, 1)
    return swapped.reshape(-1, *table.shape[2:])


def thresholds_of(stage: StageTables) -> Array:
    """Thresholds int64 [channels, LEVELS]: as they are, or in the order in which a binary search reads them."""
    table, levels = stage.array("thresholds"), stage.traits["LEVELS"]
    if levels <= _PARALLEL_LEVELS:
        return by_channel(table)
    steps, lanes, _ = table.shape
    folds = stage.traits["CHANNELS"] // lanes
    found = np.empty((folds * lanes, (1 << steps) - 1), np.int64)
    for step in range(steps):
        read = table[step, :, : folds << step].reshape(lanes, folds, 1 << step)
        places = ((2 * np.arange(1 << step) + 1) << (steps - step - 1)) - 1
        found[:, places] = by_channel(read)
    return found[:, :levels]
