"""Vectors to feed to a step: those of an .npz file, or random ones."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..ir.interpreter import Fed
from ..runtime import TritloomRuntimeError
from ..runtime.rows import check_rows

_SEED: Final = 20240604


def unit_of(fed: Fed) -> str:
    """What is fed, in the plural."""
    return "vectors" if isinstance(fed, np.ndarray) else "tokens"


def vectors_of(path: Path, name: str, length: int, most: int) -> NDArray[np.float32]:
    """At most `most` vectors [T, length] of an .npz file, under the name of the model's input.

    Raises:
        InputError: the file cannot be read, or holds no such vectors.
    """
    try:
        arrays = np.load(path, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise InputError(f"{path} holds one array without a name", f"write it with numpy.savez(path, {name}=rows)")
        with arrays:
            if name not in arrays.files:
                held = ", ".join(map(repr, arrays.files)) or "nothing"
                raise InputError(
                    f"{path} has no array {name!r}, which is the model's input: it holds {held}",
                    f"write it with numpy.savez(path, **{{{name!r}: rows}})",
                )
            rows = arrays[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}", "give a file that numpy.savez wrote") from error
    try:
        return check_rows(rows, length, f"{path.name}: {name}")[:most]
    except TritloomRuntimeError as error:
        raise InputError(error.message, error.hint) from error


def random_vectors(length: int, count: int) -> tuple[NDArray[np.float32], str]:
    """Standard normal vectors [count, length], the same each time, and where they come from."""
    rows = np.random.default_rng(_SEED).standard_normal((count, length), dtype=np.float32)
    return rows, f"random vectors (seed {_SEED})"
