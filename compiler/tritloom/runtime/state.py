"""A saved state: what a session needs to go on later, as an object or a file."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import InputError


@dataclass(frozen=True)
class SavedState:
    """The state of the program with hash `program` after `position` tokens, float32 [state_words].

    `pending` is a generated token that has not been fed yet, or None.
    """

    program: str
    position: int
    pending: int | None
    words: npt.NDArray[np.float32]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a .npz file."""
        pending = -1 if self.pending is None else self.pending
        with Path(path).open("wb") as file:
            np.savez(file, program=self.program, position=self.position, pending=pending, words=self.words)

    @staticmethod
    def open(path: str | os.PathLike[str]) -> SavedState:
        """Read a file that `save` wrote.

        Raises:
            InputError: it is not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                pending = int(found["pending"])
                return SavedState(
                    str(found["program"]),
                    int(found["position"]),
                    None if pending < 0 else pending,
                    np.array(found["words"], np.float32).reshape(-1),
                )
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a saved state ({error})", "save it with SavedState.save") from error
