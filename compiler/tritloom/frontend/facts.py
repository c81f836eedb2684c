"""What is known of the large constants: scale and hash of ternary matrices, formats of tables.

Threads read them while the graph is being recognised: hashing is half of the time that the import of a large model
takes, and hashlib and numpy let other threads run meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir.store import trits_hash
from .constants import Constant
from .tables import table_format
from .ternary import Scale, TernarySource

_MOST_THREADS: Final = 8


@dataclass(frozen=True)
class Fact:
    """A ternary matrix that was read: the scale of its stored values, the hash of its trits, and its near ties
    (see `TernarySource.near_ties`)."""

    source: TernarySource
    scale: Scale
    digest: str
    near_ties: int

    @cached_property
    def used_rows(self) -> NDArray[np.bool_]:
        """Which rows are not all zeros: the scale of the others is of no consequence."""
        return np.asarray(self.source.trits().any(axis=1))


class Facts:
    """Facts by constant, each read once. A context: at its end nothing is read any more."""

    def __init__(self) -> None:
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tritloom-constants")
        self._asked: dict[object, Future[Any]] = {}
        self._large = threading.Lock()

    def __enter__(self) -> Facts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _ask(self, key: object, read: Callable[[], object]) -> Future[Any]:
        if key not in self._asked:
            self._asked[key] = self._pool.submit(read)
        return self._asked[key]

    def ask_weight(self, source: TernarySource) -> Future[Fact]:
        """Begin to read a matrix, if nobody has yet. The result raises what is wrong with its values."""
        return self._ask(("weight", source.key), lambda: self._read(source))

    def ask_table(self, constant: Constant) -> Future[str]:
        """Begin to look for the format of an embedding table."""
        return self._ask(("table", constant.name), lambda: table_format(constant))

    def _read(self, source: TernarySource) -> Fact:
        """Trits in a file are looked at where they are; what has to be unpacked or rounded takes several times its
        size in memory, and is read one at a time."""
        if source.in_place:
            return _fact(source)
        with self._large:
            return _fact(source)


def _fact(source: TernarySource) -> Fact:
    trits, scale = source.read()
    return Fact(source, scale, trits_hash(trits), source.near_ties())
