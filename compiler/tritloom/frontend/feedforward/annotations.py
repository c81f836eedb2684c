"""FINN's annotations: which integers a tensor of floats holds (`quantization_annotation`, key `finn_datatype`).

FINN-ONNX keeps integers in float32 and says here what they are (qonnx, `core/datatype.py`). Weights and what is
computed are known anyway; only of the input nothing else says that it holds codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

_FIELD: Final = "quant_parameter_tensor_names"
"""Where onnx-ir keeps the annotation of a value."""


@dataclass(frozen=True)
class Codes:
    """Integers low, low + step, ..., high."""

    low: int
    high: int
    step: int = 1


_NAMED: Final = {"BIPOLAR": Codes(-1, 1, 2), "TERNARY": Codes(-1, 1), "BINARY": Codes(0, 1)}


def annotated_codes(value: ir.Value) -> Codes | None:
    """The codes that a value is said to hold; None where it is not annotated, or with no integers of up to 8 bits."""
    text = str(value.meta.get(_FIELD, {}).get("finn_datatype", ""))
    if text in _NAMED:
        return _NAMED[text]
    found = re.fullmatch(r"(U?)INT([1-8])", text)
    if found is None:
        return None
    unsigned, bits = bool(found[1]), int(found[2])
    return Codes(0, (1 << bits) - 1) if unsigned else Codes(-(1 << bits - 1), (1 << bits - 1) - 1)
