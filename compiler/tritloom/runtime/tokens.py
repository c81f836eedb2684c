"""Checking token ids that a caller gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

Array = npt.NDArray[Any]


def check_tokens(tokens: Iterable[int] | Array, vocab: int, name: str = "tokens") -> npt.NDArray[np.uint32]:
    """Token ids as uint32 [T], T at least 1.

    Raises:
        InputError: none at all, not integers in one dimension, or one outside the vocabulary.
    """
    array = np.asarray(tokens if isinstance(tokens, np.ndarray) else list(tokens))
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{name}: shape {list(array.shape)}", "give at least one token, as [T] or [1, T]")
    if array.dtype.kind not in "iu":
        raise InputError(f"{name}: {array.dtype}, not integers", "give token ids, not text or floats")
    outside = (array < 0) | (array >= vocab)
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"{name}: token {int(array[at])} at position {at} is outside the vocabulary of {vocab}",
            f"token ids go from 0 to {vocab - 1}",
        )
    return array.astype(np.uint32)
