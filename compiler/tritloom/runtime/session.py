"""A session: a compiled step on a device, in the shape of onnxruntime's, with state; language models generate."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .accelerator import Accelerator, Wait
from .asynchronous import AsyncCalls, Turns
from .bundle import Bundle
from .driver import Counters
from .engine import GREEDY, LOGITS_ALL, LOGITS_LAST, Engine, Fed
from .errors import DeviceError, InputError
from .generate import Generation, Streamer, generate
from .memory_map import TOKENS, Progress
from .net_session import NetSession
from .node_arg import NodeArg
from .overlay import DeviceChoice, choose_kernel
from .rows import check_rows
from .sensors import Sensor
from .state import SavedState
from .tokenizer import Tokenizer
from .tokens import Array, check_tokens


class Session(AsyncCalls):
    """A language model on a device, or another step, which is fed with vectors of floats. Use `load` to make one; close
    it, or use it in a `with` block.

    The session holds the model's recurrent state: `step` and `prefill` advance it, `run` does not. Calls from
    several threads take turns, and so do the sessions on one overlay. See `AsyncCalls` for calls to await.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: DeviceChoice | Session = None,
        timeout: float | None = None,
        wait: Wait = "poll",
        progress: Progress | None = None,
    ) -> None:
        if wait not in ("poll", "interrupt"):
            raise InputError(f"wait={wait!r}", "use 'poll' or 'interrupt'")
        if timeout is not None and not timeout > 0:
            raise InputError(f"timeout={timeout!r}", "give seconds, or None for a multiple of the estimate")
        self.bundle = bundle
        self.tokenizer: Tokenizer | None = bundle.tokenizer()
        kernel = device.share(bundle) if isinstance(device, Session) else choose_kernel(bundle, device)
        self._engine = Engine(bundle, kernel, timeout, wait, progress)
        self.position = 0
        """Tokens or vectors that the state covers."""
        self.pending: int | None = None
        """The last generated token: the state does not cover it yet."""

    # -- language models

    @property
    def vocab(self) -> int:
        """Tokens in the vocabulary: the numbers that a step gives."""
        return self.bundle.program.vocab

    @property
    def label(self) -> str:
        """What a time taken here is: measured on a board, or simulated."""
        return "simulated on the emulated device" if self._engine.kernel.emulated else "measured on board"

    @property
    def vector(self) -> int | None:
        """Floats of the vectors that feed the step; None where tokens do."""
        return self.bundle.program.vector

    @property
    def positions(self) -> int:
        """Tokens or vectors that one start of the kernel takes."""
        return self._engine.memory.positions

    def _check(self, fed: Any, name: str | None = None) -> Fed:
        """What is fed, as the engine takes it: tokens, or vectors."""
        if self.vector is None:
            return check_tokens(fed, self.vocab, name or "tokens")
        return check_rows(fed, self.vector, name or self.bundle.program.inputs[0].name)

    def _need_tokens(self, call: str) -> None:
        if self.vector is not None:
            raise InputError(
                f"{call} feeds generated tokens back, and {self.bundle.program.name} is fed with vectors of"
                f" {self.vector} floats",
                "use `step`, `prefill` or `run`",
            )

    def _turns(self) -> Turns:
        return self._engine

    def sensors(self) -> list[Sensor]:
        """Power rails and temperatures of the device, where it has them."""
        return self._engine.kernel.sensors()

    def share(self, bundle: Bundle) -> Accelerator:
        """This session's overlay, for another session on it.

        Raises:
            DeviceError: the bundle is for another kernel.
        """
        kernel = self._engine.kernel
        if bundle.kernel.hash != self.bundle.kernel.hash:
            raise DeviceError(
                f"the session's overlay is kernel {self.bundle.kernel.hash[:12]}, the bundle's is"
                f" {bundle.kernel.hash[:12]}",
                "compile it with `--overlay` and the first bundle's folder, or load it without that session",
            )
        kernel.check_loaded()
        return kernel

    @property
    def last_counters(self) -> Counters | None:
        """The counters of the last start."""
        return self._engine.last_counters

    def step(self, token: int | Iterable[float] | Array) -> npt.NDArray[np.float32]:
        """Feed one token, or one vector [n]: the logits that follow it, float32 [vocab].

        Raises:
            InputError: the token is outside the vocabulary, or the vector is none of the model's.
            DeviceError: the kernel failed or timed out; state and position are as before.
        """
        fed = self._check(token if self.vector is not None else [token])
        if len(fed) > 1:
            raise InputError(f"{len(fed)} vectors for one step", "feed them with `prefill` or `run`")
        return self.prefill(fed)

    def prefill(self, tokens: Iterable[Any] | Array, all_logits: bool = False) -> npt.NDArray[np.float32]:
        """Feed tokens, or vectors [T, n]: the logits after the last, float32 [vocab], or after each, [T, vocab].

        Bit for bit what `step` gives one by one.

        Raises:
            InputError: no tokens, or one outside the vocabulary, or no vectors of the model's; nothing has been fed
                then.
            DeviceError: the kernel failed or timed out; state and position are as before.
        """
        with self._engine.lock:
            checked = self._check(tokens)
            before = self.save_state()
            size = self._engine.memory.logits_rows if all_logits else self._engine.memory.positions
            mode = LOGITS_ALL if all_logits else LOGITS_LAST
            parts = []
            try:
                for at in range(0, len(checked), size):
                    chunk = checked[at : at + size]
                    self._engine.start(chunk, mode)
                    if all_logits or at + size >= len(checked):
                        parts.append(self._engine.logits(len(chunk) if all_logits else 1))
            except BaseException:
                self.load_state(before)
                raise
            self.position += len(checked)
            self.pending = None
            return np.concatenate(parts) if all_logits else parts[0][0]

    def greedy(self, tokens: Iterable[int] | Array, count: int, stop: int | None = None) -> list[int]:
        """Feed tokens, then generate up to `count` (1 to 2048) by largest logit in ONE start of the kernel.

        Generation ends after `stop`, which is part of the result. The state covers all tokens but the
        last generated one, which is `pending`.

        Raises:
            InputError: no tokens, one outside the vocabulary, or `count` out of range.
            DeviceError: the kernel failed or timed out; state and position are as before.
        """
        self._need_tokens("greedy")
        with self._engine.lock:
            checked = check_tokens(tokens, self.vocab)
            if not 1 <= count <= TOKENS:
                raise InputError(f"count={count}", f"a start generates 1 to {TOKENS} tokens")
            before = self.save_state()
            try:
                head = (len(checked) - 1) // TOKENS * TOKENS
                if head:
                    self.prefill(checked[:head])
                counters = self._engine.start(checked[head:], GREEDY, count, stop)
                if not 1 <= counters.tokens <= count:
                    raise DeviceError(f"the kernel generated {counters.tokens} tokens, not 1 to {count}")
                found = self._engine.generated(counters.tokens)
            except BaseException:
                self.load_state(before)
                raise
            self.position = before.position + len(checked) + len(found) - 1
            self.pending = found[-1]
            return found

    def generate(
        self,
        prompt: str | Iterable[int],
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        streamer: Streamer | None = None,
        stop: int | Sequence[int] | None = None,
        reset: bool = True,
    ) -> Generation:
        """Generate text after a prompt; see `tritloom.runtime.generate.generate`."""
        self._need_tokens("generate")
        with self._engine.lock:
            return generate(
                self, prompt, max_new_tokens, do_sample, temperature, top_k, top_p, seed, streamer, stop, reset
            )

    # -- state

    def reset(self) -> None:
        """Back to the model's initial state, position 0."""
        with self._engine.lock:
            self._engine.state = np.zeros(self.bundle.program.state_words, np.float32)
            self.position = 0
            self.pending = None

    def save_state(self) -> SavedState:
        """The state, to be loaded later, in this session or another one of the same program."""
        with self._engine.lock:
            return SavedState(self.bundle.program.hash, self.position, self.pending, self._engine.state)

    def load_state(self, saved: SavedState) -> None:
        """Go on from a saved state.

        Raises:
            InputError: it belongs to another program.
        """
        with self._engine.lock:
            if saved.program != self.bundle.program.hash or saved.words.size != self.bundle.program.state_words:
                raise InputError("the saved state belongs to another program", "save it from this model")
            self._engine.state = saved.words
            self.position = saved.position
            self.pending = saved.pending

    # -- onnxruntime's shape

    def get_inputs(self) -> list[NodeArg]:
        """The tokens, any number, or the vectors, then the states, which `run` may be fed with."""
        program = self.bundle.program
        source = program.inputs[0]
        states = [NodeArg(state.input, state.shape, "tensor(float)") for state in program.states]
        if self.vector is not None:
            return [NodeArg(source.name, ("positions", self.vector), "tensor(float)"), *states]
        return [NodeArg(source.name, ("tokens",), f"tensor({source.dtype})"), *states]

    def get_outputs(self) -> list[NodeArg]:
        """The logits of every token or vector, then the states."""
        program = self.bundle.program
        states = [NodeArg(state.output, state.shape, "tensor(float)") for state in program.states]
        positions = "tokens" if self.vector is None else "positions"
        return [NodeArg(program.outputs[0].name, (positions, program.vocab), "tensor(float)"), *states]

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Array]:
        """Run the model from the fed states (zeros where not fed): a function of its inputs.

        The tokens are an integer array [T] or [1, T], the vectors a float32 array [n] or [T, n]. Returns the
        named outputs, or all: logits float32 [T, vocab], and states in the manifest's shapes. The session's own
        state stays as it is.

        Raises:
            InputError: an unknown name, a missing or misshapen input, a token outside the vocabulary, NaN.
            DeviceError: the kernel failed or timed out.
        """
        with self._engine.lock:
            program = self.bundle.program
            outputs = {arg.name for arg in self.get_outputs()}
            names = [arg.name for arg in self.get_outputs()] if output_names is None else list(output_names)
            for name in names:
                if name not in outputs:
                    raise InputError(f"there is no output {name!r}", f"outputs: {', '.join(sorted(outputs))}")
            tokens, words = self._read_feeds(feeds)
            own = self.save_state()
            try:
                self._engine.state = words
                wants_logits = program.outputs[0].name in names
                logits = self.prefill(tokens, all_logits=wants_logits)
                after = self._engine.state
            finally:
                self.load_state(own)
            found: dict[str, Array] = {program.outputs[0].name: logits}
            for state in program.states:
                found[state.output] = after[state.offset : state.offset + state.size].reshape(state.shape)
            return [found[name] for name in names]

    def _read_feeds(self, feeds: Mapping[str, Any]) -> tuple[Fed, npt.NDArray[np.float32]]:
        program = self.bundle.program
        known = {arg.name for arg in self.get_inputs()}
        source = program.inputs[0].name
        for name in feeds:
            if name not in known:
                raise InputError(f"there is no input {name!r}", f"inputs: {', '.join(sorted(known))}")
        if source not in feeds:
            wanted = "the token ids, [T] or [1, T]" if self.vector is None else f"float32 [T, {self.vector}]"
            raise InputError(f"the input {source!r} is missing", f"give {wanted}")
        fed = feeds[source]
        if self.vector is None:
            fed = np.asarray(fed)
            fed = fed[0] if fed.ndim == 2 and fed.shape[0] == 1 else fed
        words = np.zeros(program.state_words, np.float32)
        for state in program.states:
            if state.input in feeds:
                value = np.asarray(feeds[state.input])
                if value.dtype != np.float32 or value.size != state.size or not np.isfinite(value).all():
                    raise InputError(
                        f"{state.input!r} has {value.dtype} {list(value.shape)}",
                        f"give finite float32 {list(state.shape)}",
                    )
                words[state.offset : state.offset + state.size] = value.reshape(-1)
        return self._check(fed, source), words

    # -- life

    def close(self) -> None:
        """Free the device's memory; harmless when repeated."""
        self._engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_session(
    bundle: str | os.PathLike[str] | Bundle,
    device: DeviceChoice | Session = None,
    timeout: float | None = None,
    wait: Wait = "poll",
    progress: Progress | None = None,
) -> Session:
    """`load` for steps only, such as language models.

    Raises:
        BundleError: the bundle is not sound, or a feed-forward net's.
        DeviceError: no board, no overlay, another kernel's overlay, no memory.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    return Session(opened, device, timeout, wait, progress)


def load(
    bundle: str | os.PathLike[str] | Bundle,
    device: DeviceChoice | Session = None,
    timeout: float | None = None,
    wait: Wait = "poll",
    progress: Progress | None = None,
) -> Session | NetSession:
    """Open a bundle and load it onto a device: a `Session` of a step, a `NetSession` of a feed-forward net.

    Args:
        bundle: the folder that `tritloom compile` wrote, or an open bundle.
        device: None takes the board, or the emulated device where TRITLOOM_EMULATE is set;
            "emulated"; a pynq device; or a session, whose overlay is shared then: the bitstream stays,
            and starts take turns.
        timeout: seconds a start of the kernel may take; None allows a multiple of the estimate.
        wait: "poll", or "interrupt" where the overlay's interrupt is wired.
        progress: called as the weights are written to the device (see `memory_map.Progress`).

    Raises:
        BundleError: the bundle is not sound.
        DeviceError: no board, no overlay, another kernel's overlay, no memory.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    if opened.net is None:
        return Session(opened, device, timeout, wait, progress)
    if isinstance(device, Session):
        raise DeviceError("a net has a kernel of its own", "load it onto a device")
    return NetSession(opened, device, timeout, wait)
