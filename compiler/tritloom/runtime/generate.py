"""Generation: greedy in one start of the kernel, or in chunks where somebody listens; sampled step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .memory_map import TOKENS
from .sampling import Sampling
from .state import SavedState
from .tokenizer import StreamDecoder, Tokenizer
from .tokens import check_tokens

CHUNK = 16
"""Tokens a start generates where a streamer listens or several stop tokens are watched for."""


class LanguageModel(Protocol):
    """What generation needs of a session (see there)."""

    tokenizer: Tokenizer | None
    pending: int | None

    @property
    def vocab(self) -> int: ...

    def prefill(self, tokens: Iterable[int]) -> npt.NDArray[np.float32]: ...

    def greedy(self, tokens: Iterable[int], count: int, stop: int | None = None) -> list[int]: ...

    def reset(self) -> None: ...

    def save_state(self) -> SavedState: ...

    def load_state(self, saved: SavedState) -> None: ...


class TokenStreamer(Protocol):
    """Gets tokens as they come, with the text they complete (empty without a tokenizer), then `end`."""

    def put(self, tokens: list[int], text: str) -> None: ...

    def end(self) -> None: ...


Streamer = TokenStreamer | Callable[[str], object]
"""A token streamer, or a function that is called with pieces of text."""


@dataclass(frozen=True)
class Generation:
    """What was generated: new tokens only, and their text (None without a tokenizer).

    `seconds` counts from the prompt on; `reason` says what ended it.
    """

    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str | None
    reason: Literal["length", "stop"]
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens, over the whole time, prompt included."""
        return len(self.tokens) / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        return self.text if self.text is not None else " ".join(map(str, self.tokens))


def generate(
    session: LanguageModel,
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
    """Generate up to `max_new_tokens` tokens after a prompt.

    Args:
        session: the model.
        prompt: text (BOS goes in front where the model has one), or token ids, taken as they are.
        max_new_tokens: at least 1.
        do_sample: draw from the logits; otherwise the largest logit wins, and the kernel generates by
            itself.
        temperature: divides the logits before they are drawn from.
        top_k: draw from the k largest only; 0 takes all.
        top_p: draw from the fewest tokens that have this probability together.
        seed: makes drawing repeatable; 0 or more.
        streamer: gets the tokens as they come; it does not change them.
        stop: tokens that end the generation, and are part of it; None takes the tokenizer's EOS.
        reset: start from the initial state. Otherwise go on from the session's: a generated token that
            is still pending is fed first, no BOS is put in front, and the prompt may be empty.

    Raises:
        InputError: an argument out of range, a token outside the vocabulary, text without a tokenizer.
        DeviceError: the kernel failed or timed out.
    """
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens={max_new_tokens}", "generate at least one token")
    if seed is not None and seed < 0:
        raise InputError(f"seed={seed} is out of range", "give a value that is 0 or more")
    sampling = Sampling(temperature, top_k, top_p) if do_sample else None
    stops = _stop_tokens(session, stop)
    tokens = _prompt_tokens(session, prompt, reset)
    pending = [] if reset or session.pending is None else [session.pending]
    fed = [*pending, *tokens]
    check_tokens(fed, session.vocab, "prompt")
    if reset:
        session.reset()
    sink = _Sink(session, streamer)
    began = time.perf_counter()
    if sampling is not None:
        _sampled(session, fed, max_new_tokens, stops, sampling, np.random.default_rng(seed), sink)
    else:
        _greedy(session, fed, max_new_tokens, stops, sink)
    seconds = time.perf_counter() - began
    sink.end()
    found = tuple(sink.tokens)
    text = None if session.tokenizer is None else session.tokenizer.decode(found)
    return Generation(tuple(tokens), found, text, "stop" if found[-1] in stops else "length", seconds)


def _stop_tokens(session: LanguageModel, stop: int | Sequence[int] | None) -> frozenset[int]:
    if stop is None:
        eos = session.tokenizer.eos if session.tokenizer is not None else None
        return frozenset() if eos is None else frozenset({eos})
    found = frozenset({stop} if isinstance(stop, (int, np.integer)) else stop)
    for token in found:
        if not 0 <= token < session.vocab:
            raise InputError(
                f"the stop token {token} is outside the vocabulary of {session.vocab}",
                f"token ids go from 0 to {session.vocab - 1}",
            )
    return frozenset(int(token) for token in found)


def _prompt_tokens(session: LanguageModel, prompt: str | Iterable[int], reset: bool) -> list[int]:
    if isinstance(prompt, str):
        if session.tokenizer is None:
            raise InputError("the bundle has no tokenizer", "give token ids instead of text")
        return session.tokenizer.encode(prompt, bos=reset)
    return [int(token) for token in prompt]


def _greedy(session: LanguageModel, fed: list[int], count: int, stops: frozenset[int], sink: _Sink) -> None:
    chunk = CHUNK if sink.listening or len(stops) > 1 else TOKENS
    single = next(iter(stops)) if len(stops) == 1 else None
    while count:
        size = min(chunk, count)
        before = session.save_state()
        found = session.greedy(fed, size, single)
        if len(stops) > 1 and (end := _first(found, stops)) is not None and end + 1 < len(found):
            session.load_state(before)  # it went too far: again, to the stop token exactly
            found = session.greedy(fed, end + 1)
        sink.put(found)
        if found[-1] in stops:
            return
        fed = [found[-1]]
        count -= len(found)


def _first(tokens: Sequence[int], wanted: frozenset[int]) -> int | None:
    return next((index for index, token in enumerate(tokens) if token in wanted), None)


def _sampled(
    session: LanguageModel,
    fed: list[int],
    count: int,
    stops: frozenset[int],
    sampling: Sampling,
    random: np.random.Generator,
    sink: _Sink,
) -> None:
    for _ in range(count):
        token = sampling.draw(session.prefill(fed), random)
        session.pending = token
        sink.put([token])
        if token in stops:
            return
        fed = [token]


class _Sink:
    """Collects the tokens and passes them on to the streamer, if there is one."""

    def __init__(self, session: LanguageModel, streamer: Streamer | None) -> None:
        self.tokens: list[int] = []
        self.listening = streamer is not None
        self._streamer = streamer
        has_text = streamer is not None and session.tokenizer is not None
        self._decoder: StreamDecoder | None = (
            session.tokenizer.stream() if has_text and session.tokenizer is not None else None
        )

    def put(self, tokens: list[int]) -> None:
        self.tokens.extend(tokens)
        self._pass_on(tokens, self._decoder.put(tokens) if self._decoder is not None else "")

    def end(self) -> None:
        rest = self._decoder.end() if self._decoder is not None else ""
        if rest:
            self._pass_on([], rest)
        if self._streamer is not None and not callable(self._streamer):
            self._streamer.end()

    def _pass_on(self, tokens: list[int], text: str) -> None:
        if self._streamer is None:
            return
        if callable(self._streamer):
            if text:
                self._streamer(text)
        else:
            self._streamer.put(tokens, text)
