"""One start of the kernel: tokens or vectors and state in, tokens, logits, state out; and what to do when it fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import numpy.typing as npt

from .accelerator import Accelerator, Wait
from .bundle import Bundle
from .driver import Counters
from .errors import Cancelled, DeviceError, KernelError
from .memory_map import CONTROL_BYTES, MemoryMap, Progress

GREEDY, LOGITS_LAST, LOGITS_ALL, STOP_TOKEN = 1, 2, 4, 8
"""Bits of the kernel's mode (docs/kernel.md)."""

Fed = npt.NDArray[np.uint32] | npt.NDArray[np.float32]
"""Tokens [T], or vectors [T, n]."""

_GRACE_SECONDS = 2.0
_EMULATED_PASS_SECONDS = 20.0


class Engine:
    """A model in device memory and the kernel that runs it.

    `state` is what the next start begins with, float32 [state_words]: a start that fails leaves it as
    it was. `timeout` is in seconds a start; None allows a multiple of the estimate. Hold `lock` over a
    start and the reading of its results. Where `cancelled` is set to an event, setting that event ends the
    start in progress and those that follow.
    """

    cancelled: threading.Event | None = None

    def __init__(
        self,
        bundle: Bundle,
        kernel: Accelerator,
        timeout: float | None,
        wait: Wait,
        progress: Progress | None = None,
    ) -> None:
        self._program = bundle.program
        self.kernel = kernel
        self.memory = MemoryMap(bundle, kernel, progress)
        self._timeout = timeout
        self._wait = wait
        self.lock = threading.RLock()
        self._state = np.zeros(self._program.state_words, np.float32)
        self._state_changed = True
        self._clock_hz = bundle.kernel.clock_mhz * 1e6
        self._closed = False
        self.last_counters: Counters | None = None

    @property
    def state(self) -> npt.NDArray[np.float32]:
        """A copy."""
        return self._state.copy()

    @state.setter
    def state(self, words: npt.NDArray[np.float32]) -> None:
        self._state = np.array(words, np.float32).reshape(self._program.state_words)
        self._state_changed = True

    def start(self, fed: Fed, mode: int, generate: int = 0, stop: int | None = None) -> Counters:
        """Run the kernel once over tokens, or over vectors where these feed the program, as many as
        `memory.positions` at most; `generate` more tokens with GREEDY.

        Raises:
            KernelTimeout: it did not finish; it was stopped, or its overlay loaded again.
            KernelError: it refused, by status code.
            Cancelled: `cancelled` was set.
            DeviceError: the session is closed, the overlay was replaced, a bus error.
        """
        with self.lock, self.kernel.lock:
            if self._closed:
                raise DeviceError("the session is closed", "load the bundle again")
            if self.cancelled is not None and self.cancelled.is_set():
                raise Cancelled
            self.kernel.check_loaded()
            scalars = self._prepare(fed, mode, generate, stop)
            try:
                counters = self._run(scalars, self._time_limit(len(fed), generate))
            except KernelError:
                self._state_changed = True  # the device's copy may have advanced
                raise
            except BaseException:
                self._recover()
                raise
            self._fetch_state()
            self.last_counters = counters
            return counters

    def generated(self, count: int) -> list[int]:
        """The first `count` tokens that the last start generated."""
        buffer = self.memory["tokens_out"]
        buffer.from_device(0, count * 4)
        return [int(token) for token in buffer.view(np.uint32, 0, count)]

    def logits(self, rows: int) -> npt.NDArray[np.float32]:
        """Rows of logits of the last start: float32 [rows, vocab]."""
        buffer, stride = self.memory["logits"], self._program.logits_stride
        buffer.from_device(0, rows * stride * 4)
        view = buffer.view(np.float32, 0, rows * stride).reshape(rows, stride)
        return np.array(view[:, : self._program.vocab], np.float32)

    def close(self) -> None:
        """Free the memory; harmless when repeated."""
        with self.lock:
            self._closed = True
            self.memory.free()

    def _prepare(self, fed: Fed, mode: int, generate: int, stop: int | None) -> dict[str, int]:
        program = self._program
        tokens = fed
        if program.vector is not None:  # the rows of this start, and their numbers
            rows = np.zeros((len(fed), program.embedding.row_bytes // 4), np.float32)
            rows[:, : program.vector] = fed
            self.memory["embedding"].fill(rows)
            tokens = np.arange(len(fed), dtype=np.uint32)
        self.memory["ctl"].fill(np.zeros(CONTROL_BYTES, np.uint8))
        self.memory["tokens"].fill(np.asarray(tokens, np.uint32))
        if self._state_changed and self._state.size:
            self.memory["state"].fill(self._state)
            self._state_changed = False
        return {
            "mode": mode | (STOP_TOKEN if stop is not None else 0),
            "T": len(fed),
            "B": program.max_batch,
            "N": generate,
            "stop_token": stop or 0,
            "instructions": program.instructions,
            "port_beats": program.port_beats,
            "gain_beats": program.gain_beats,
        }

    def _run(self, scalars: dict[str, int], limit: float) -> Counters:
        began = time.perf_counter()
        self.kernel.start(self.memory.arguments(), scalars, self._wait)
        self.kernel.wait(limit, self._wait, self.cancelled)
        seconds = time.perf_counter() - began
        found = self.kernel.results()
        names = ("cycles", "busy", "starved", "waiting", "count")
        cycles, busy, starved, waiting, tokens = (found[name] for name in names)
        return Counters(cycles, busy, starved, waiting, tokens, seconds)

    def _time_limit(self, tokens: int, generate: int) -> float:
        if self._timeout is not None:
            return self._timeout
        passes = -(-tokens // self._program.max_batch) + max(0, generate - 1)
        a_pass = 20 * self._program.cycles_per_token / self._clock_hz
        return 30.0 + passes * (_EMULATED_PASS_SECONDS if self.kernel.emulated else a_pass + 0.05)

    def _fetch_state(self) -> None:
        if self._state.size:
            buffer = self.memory["state"]
            buffer.from_device()
            self._state = np.array(buffer.view(np.float32, 0, self._state.size), np.float32)

    def _recover(self) -> None:
        """Make the device usable after a start that did not end well."""
        self._state_changed = True
        control = self.memory["ctl"]
        control.view(np.uint32, 0, 1)[0] = 1  # the host's stop request, read after each pass
        control.to_device(0, 16)
        try:
            if self.kernel.settle(_GRACE_SECONDS):
                return
        except DeviceError:
            pass
        self.kernel.load()
