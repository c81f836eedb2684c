"""Generation: greedy in one start or in chunks, sampled, stopped, continued, streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritloom.runtime import InputError, Session, load
from tritloom.runtime.sampling import Sampling

from .fake_bundle import Reference, edit


def greedy(prompt: list[int], count: int) -> list[int]:
    reference, found = Reference(), []
    for token in prompt:
        logits = reference.step(token)
    for _ in range(count):
        found.append(int(logits.argmax()))
        logits = reference.step(found[-1])
    return found


class Recorder:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.text = ""
        self.calls = 0
        self.ended = False

    def put(self, tokens: list[int], text: str) -> None:
        self.tokens += tokens
        self.text += text
        self.calls += 1

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize("count", [1, 2, 16, 17, 50])
def test_greedy_in_one_start_equals_chunks(session: Session, count: int) -> None:
    single = session.generate([3, 1, 4], count)
    state = session.save_state()
    recorder = Recorder()
    chunked = session.generate([3, 1, 4], count, streamer=recorder)
    assert list(single.tokens) == greedy([3, 1, 4], count)
    assert chunked.tokens == single.tokens == tuple(recorder.tokens)
    assert recorder.ended
    assert recorder.calls >= -(-count // 16)
    assert recorder.text == single.text
    again = session.save_state()
    assert (again.position, again.pending) == (state.position, state.pending) == (3 + count - 1, single.tokens[-1])
    assert np.array_equal(again.words, state.words)


def test_one_start_is_one_start(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    monkeypatch.setattr(session._engine, "start", _counting(session._engine.start, starts))
    session.generate([1, 2, 3], 40)
    assert len(starts) == 1


def _counting(start: Any, starts: list[Any]) -> Any:
    def wrapped(*arguments: Any) -> Any:
        starts.append(arguments)
        return start(*arguments)

    return wrapped


def test_more_tokens_than_a_start_generates(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.generate.TOKENS", 10)
    assert list(session.generate([5], 35).tokens) == greedy([5], 35)


def test_text_with_bos(session: Session) -> None:
    assert session.tokenizer is not None
    result = session.generate("in the", 8)
    ids = [0, *session.tokenizer.encode("in the", bos=False)]
    assert list(result.prompt_tokens) == ids
    assert list(result.tokens) == greedy(ids, 8)
    assert result.text == session.tokenizer.decode(result.tokens) == str(result)
    pieces: list[str] = []
    session.generate("in the", 8, streamer=pieces.append)
    assert "".join(pieces) == result.text


def test_text_goes_on_without_a_second_bos(session: Session) -> None:
    assert session.tokenizer is not None
    first = session.generate("in the", 4)
    more = session.tokenizer.encode("the", bos=False)
    second = session.generate("the", 5, reset=False)
    assert 0 not in more
    assert list(second.prompt_tokens) == more
    assert list(second.tokens) == greedy([*first.prompt_tokens, *first.tokens, *more], 5)
    assert session.position == len(first.prompt_tokens) + 4 + len(more) + 4


@pytest.mark.parametrize("streamed", [False, True])
def test_one_stop_token(session: Session, streamed: bool) -> None:
    whole = greedy([3], 40)
    stop = whole[5]
    end = whole.index(stop) + 1
    result = session.generate([3], 40, stop=stop, streamer=Recorder() if streamed else None)
    assert list(result.tokens) == whole[:end]
    assert result.reason == "stop"
    assert session.position == 1 + end - 1
    assert session.generate([3], 1, stop=[]).reason == "length"


def test_several_stop_tokens(session: Session) -> None:
    whole = greedy([3], 40)
    stops = {whole[3], whole[4]}
    end = next(index for index, token in enumerate(whole) if token in stops) + 1
    result = session.generate([3], 40, stop=sorted(stops))
    assert list(result.tokens) == whole[:end]
    reference = Reference()
    for token in [3, *whole[: end - 1]]:
        reference.step(token)
    assert np.array_equal(session.save_state().words, reference.state)


def test_eos_of_the_tokenizer_stops(bundle: Path, emulation: None) -> None:
    whole = greedy([3], 10)
    edit(bundle, lambda manifest: manifest["program"]["tokenizer"].update(eos=whole[2]))
    with load(bundle, "emulated") as session:
        assert list(session.generate([3], 10).tokens) == whole[: whole.index(whole[2]) + 1]


@pytest.mark.parametrize("do_sample", [False, True])
def test_going_on_equals_one_generation(session: Session, do_sample: bool) -> None:
    options: Any = {"do_sample": do_sample, "top_k": 1}
    whole = session.generate([3, 1], 20, **options).tokens
    first = session.generate([3, 1], 8, **options).tokens
    rest = session.generate([], 12, reset=False, **options).tokens
    assert first + rest == whole


def test_sampling_is_repeatable(session: Session) -> None:
    options: Any = {"do_sample": True, "temperature": 30.0}
    first = session.generate([3], 30, seed=1, **options).tokens
    assert session.generate([3], 30, seed=1, **options).tokens == first
    assert session.generate([3], 30, seed=2, **options).tokens != first
    assert max(first) < 60
    assert session.generate([3], 30, do_sample=True, top_k=1).tokens == session.generate([3], 30).tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"do_sample": True, "temperature": 0.0}, "temperature"),
        ({"do_sample": True, "top_p": 1.5}, "top_p"),
        ({"do_sample": True, "top_k": -1}, "top_k"),
        ({"do_sample": True, "seed": -1}, "seed=-1"),
        ({"stop": [64]}, "stop token 64"),
        ({"prompt": [1, 99]}, "token 99 at position 1"),
        ({"prompt": []}, "give at least one token|shape"),
    ],
)
def test_bad_arguments(session: Session, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        session.generate(**({"prompt": [1]} | options))


def test_text_without_a_tokenizer(bundle: Path, emulation: None) -> None:
    edit(bundle, lambda manifest: manifest["program"].update(tokenizer=None))
    with load(bundle, "emulated") as session:
        with pytest.raises(InputError, match="no tokenizer"):
            session.generate("text", 3)
        result = session.generate([3], 3)
        assert result.text is None
        assert str(result) == " ".join(map(str, result.tokens))


# -- drawing


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=40), st.integers(0, 2**31))
def test_a_drawn_token_is_among_the_best(values: list[float], seed: int) -> None:
    logits = np.array(values, np.float32)
    token = Sampling(top_k=2).draw(logits, np.random.default_rng(seed))
    assert np.sum(logits > logits[token]) < 2


def test_draws_have_the_right_frequencies() -> None:
    logits, random = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32)), np.random.default_rng(0)
    plain = np.bincount([Sampling().draw(logits, random) for _ in range(4000)], minlength=4) / 4000
    nucleus = np.bincount([Sampling(top_p=0.7).draw(logits, random) for _ in range(4000)], minlength=4) / 4000
    assert np.abs(plain - [0.5, 0.3, 0.15, 0.05]).max() < 0.03
    assert np.abs(nucleus - [0.625, 0.375, 0, 0]).max() < 0.03


def test_infinite_logits_are_never_drawn() -> None:
    logits = np.array([-np.inf, 0, -np.inf], np.float32)
    assert Sampling(temperature=5.0).draw(logits, np.random.default_rng(0)) == 1
