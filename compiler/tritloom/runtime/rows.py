"""Checking vectors of floats that a caller gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .tokens import Array


def check_rows(rows: Iterable[Any] | Array, length: int, name: str) -> npt.NDArray[np.float32]:
    """Vectors as float32 [T, length], T at least 1: of a float32 array [length], [T, length], [T, 1, length] or
    [1, T, length], or of lists of floats of these shapes.

    Raises:
        InputError: another shape, another type, NaN or infinities.
    """
    try:
        array = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}", _hint(length)) from error
    flat = array.ndim < 3 or (array.ndim == 3 and 1 in array.shape[:2])
    if not array.ndim or not flat or array.shape[-1] != length or not array.size:
        raise InputError(f"{name}: shape {list(array.shape)}", _hint(length))
    if array.dtype != np.float32 and (isinstance(rows, np.ndarray) or array.dtype != np.float64):
        raise InputError(f"{name}: {array.dtype}, not float32", _hint(length))
    with np.errstate(over="ignore"):
        found = np.array(array.reshape(-1, length), np.float32)
    wrong = ~np.isfinite(found)
    if wrong.any():
        position, element = (int(index[0]) for index in np.nonzero(wrong))
        raise InputError(
            f"{name}: {found[position, element]} at position {position}, element {element}",
            "give finite numbers of float32",
        )
    found[np.abs(found) < np.finfo(np.float32).tiny] = 0  # subnormals, which a board's arithmetic takes for 0
    return found


def _hint(length: int) -> str:
    return f"give float32 [{length}], or [T, {length}] for T positions"
