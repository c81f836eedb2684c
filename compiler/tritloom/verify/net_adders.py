"""The matrices of hard-wired layers, read back from the statements of a bundle's adders.h."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[Any]

_STRUCT: Final = re.compile(r"^struct Adders<(\w+)> \{\n(.*?)^\};", re.DOTALL | re.MULTILINE)
_SUM: Final = re.compile(
    r"const Int<(\d+), (true|false)>::type (a\d+) = (?:(x\.lane\[\d+\]|a\d+) )?([+-]) ?(x\.lane\[\d+\]|a\d+);"
)
_OUTPUT: Final = re.compile(r"y\.lane\[(\d+)\] = L::Out::type\((x\.lane\[\d+\]|a\d+|0)\);")
_IGNORED: Final = (
    "typedef ",
    "static void sum(const Word<L::In, L::INPUTS>& x, Word<L::Out, L::OUTPUTS>& y) {",
    "#pragma HLS INLINE",
    "static_cast<void>(x);",
    "}",
)


def read_adders(text: str, inputs: dict[str, tuple[int, int, int]]) -> dict[str, Array]:
    """Matrices [rows, columns] by the name of their struct; `inputs`: columns, and the range of the codes.

    Raises:
        InputError: a statement is none of the generator's, or a sum does not fit its type.
    """
    return {name: _matrix(name, body, *inputs[name]) for name, body in _STRUCT.findall(text) if name in inputs}


def _matrix(struct: str, body: str, columns: int, low: int, high: int) -> Array:
    """What the statements make of each unit vector, by linearity."""
    values = {f"x.lane[{k}]": row for k, row in enumerate(np.eye(columns, dtype=np.int32))}
    values["0"] = np.zeros(columns, np.int32)
    outputs: dict[int, Array] = {}
    for line in map(str.strip, body.splitlines()):
        if found := _SUM.fullmatch(line):
            bits, signed, name, left, sign, right = found.groups()
            if (left or "0") not in values or right not in values or name in values:
                raise _malformed(struct, line)
            total = values[left or "0"] + (values[right] if sign == "+" else -values[right])
            if not _fits(total, int(bits), signed == "true", low, high):
                raise _malformed(struct, f"{line} is too narrow")
            values[name] = total
        elif (found := _OUTPUT.fullmatch(line)) and found[2] in values and int(found[1]) not in outputs:
            outputs[int(found[1])] = values[found[2]]
        elif line and not line.startswith(_IGNORED):
            raise _malformed(struct, line)
    if sorted(outputs) != list(range(len(outputs))) or not outputs:
        raise _malformed(struct, "an output is missing")
    return np.stack([outputs[row] for row in range(len(outputs))])


def _fits(weights: Array, bits: int, signed: bool, low: int, high: int) -> bool:
    ends = np.stack([weights * low, weights * high]).astype(np.int64)
    least, most = int(ends.min(axis=0).sum()), int(ends.max(axis=0).sum())
    bottom = -(1 << (bits - 1)) if signed else 0
    return bottom <= least and most < bottom + (1 << bits)


def _malformed(struct: str, text: str) -> InputError:
    return InputError(f"hls/adders.h, {struct}: {text}", "compile the model again")
