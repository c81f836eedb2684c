"""A session's calls for asyncio: they run in a thread, so that a notebook's or a server's loop goes on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from .errors import TritloomRuntimeError
from .tokens import Array

if TYPE_CHECKING:
    from .generate import Generation, Streamer

T = TypeVar("T")


class Turns(Protocol):
    """What calls take turns on: `lock` is held over a call; setting the event `cancelled` ends its starts."""

    cancelled: threading.Event | None

    @property
    def lock(self) -> threading.RLock: ...


class _Runs(Protocol):
    """A session that runs arrays."""

    def _turns(self) -> Turns: ...

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Array]: ...


class _Generates(_Runs, Protocol):
    """A session of a language model."""

    def prefill(self, tokens: Iterable[Any] | Array, all_logits: bool = False) -> npt.NDArray[np.float32]: ...

    def generate(self, prompt: str | Iterable[int], max_new_tokens: int = 64, **options: Any) -> Generation: ...


class AsyncRun:
    """`await session.run_async(...)`: what `run` does.

    Cancelling the task ends the start of the kernel in progress, as a timeout does, and leaves the session
    usable. Several tasks take turns.
    """

    async def run_async(self: _Runs, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Array]:
        """See `run`."""
        return await _in_thread(self._turns(), lambda: self.run(output_names, feeds))


class AsyncCalls(AsyncRun):
    """Likewise for what only language models do."""

    async def prefill_async(
        self: _Generates, tokens: Iterable[Any] | Array, all_logits: bool = False
    ) -> npt.NDArray[np.float32]:
        """See `Session.prefill`."""
        return await _in_thread(self._turns(), lambda: self.prefill(tokens, all_logits))

    async def generate_async(
        self: _Generates,
        prompt: str | Iterable[int],
        max_new_tokens: int = 64,
        streamer: Streamer | None = None,
        **options: Any,
    ) -> Generation:
        """See `Session.generate`; `streamer` is called in the loop's own thread."""
        here = None if streamer is None else _InLoop(asyncio.get_running_loop(), streamer)
        return await _in_thread(self._turns(), lambda: self.generate(prompt, max_new_tokens, streamer=here, **options))


async def _in_thread(turns: Turns, call: Callable[[], T]) -> T:
    cancelled = threading.Event()

    def work() -> T:
        with turns.lock:
            turns.cancelled = cancelled
            try:
                return call()
            finally:
                turns.cancelled = None

    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancelled.set()
        with contextlib.suppress(TritloomRuntimeError):
            await future
        raise


class _InLoop:
    """A streamer that hands everything to another one in an asyncio loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, streamer: Streamer) -> None:
        self._loop = loop
        self._streamer = streamer

    def put(self, tokens: list[int], text: str) -> None:
        if not callable(self._streamer):
            self._loop.call_soon_threadsafe(self._streamer.put, tokens, text)
        elif text:
            self._loop.call_soon_threadsafe(self._streamer, text)

    def end(self) -> None:
        if not callable(self._streamer):
            self._loop.call_soon_threadsafe(self._streamer.end)
