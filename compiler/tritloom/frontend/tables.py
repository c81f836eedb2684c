"""Embedding tables: the narrowest float format that holds every value."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .constants import BLOCK, Constant, check_finite

_STORED: Final = {ir.DataType.FLOAT16: "f16", ir.DataType.BFLOAT16: "bf16"}


def table_format(constant: Constant) -> str:
    """f16 or bf16 where the table is stored so, or every value of it is representable; f32 otherwise.

    Raises:
        InputError: some values are NaN or infinite.
    """
    values = constant.load()
    check_finite(constant.name, values)
    if constant.dtype in _STORED:
        return _STORED[constant.dtype]
    flat = values.reshape(-1)
    blocks = [flat[start : start + BLOCK] for start in range(0, flat.size, BLOCK)]
    for form, holds in (("f16", _fits_f16), ("bf16", _fits_bf16)):
        if all(holds(np.ascontiguousarray(block, np.float32)) for block in blocks):
            return form
    return "f32"


def _fits_f16(values: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float16).astype(np.float32)
    return np.array_equal(narrow.view(np.uint32), values.view(np.uint32))


def _fits_bf16(values: NDArray[np.float32]) -> bool:
    return not (values.view(np.uint32) & np.uint32(0xFFFF)).any()


def in_format(values: NDArray[np.generic], form: str) -> NDArray[np.generic]:
    """Values as the weight store hands them out: bfloat16 as its bits."""
    if form == "f16":
        return values.astype(np.float16, copy=False)
    if form == "bf16":
        wide = np.ascontiguousarray(values.astype(np.float32))
        return (wide.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return values.astype(np.float32, copy=False)
