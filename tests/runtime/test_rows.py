"""A session of a step that is fed with vectors of floats: what it takes, what it refuses, state, several starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import Bundle, BundleError, InputError, NodeArg, Session, load
from tritloom.runtime.__main__ import main
from tritloom.runtime.bench import bench
from tritloom.runtime.rows import check_rows
from tritloom.runtime.selftest import check

from .fake_bundle import LENGTH, ROWS, VOCAB, Reference, edit, fed_with_vectors, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = write_bundle(tmp_path / "bundle")
    edit(root, fed_with_vectors)
    return root


@pytest.fixture
def session(bundle: Path, emulation: None) -> Iterator[Session]:
    with load(bundle, "emulated") as opened:
        assert isinstance(opened, Session)
        yield opened


def vectors(count: int) -> np.ndarray:
    """The fake kernel takes the first float of each."""
    made = np.full((count, LENGTH), 9, np.float32)
    made[:, 0] = [(7 * index + 3) % 60 for index in range(count)]
    return made


def expected(rows: np.ndarray) -> np.ndarray:
    reference = Reference()
    return np.stack([reference.step(int(row[0])) for row in rows])


def test_steps(session: Session) -> None:
    rows = vectors(4)
    want = expected(rows)
    fed = [rows[0], rows[1].tolist(), rows[2][np.newaxis], tuple(float(number) for number in rows[3])]
    got = np.stack([session.step(row) for row in fed])
    assert got.dtype == np.float32
    assert np.array_equal(got, want)
    assert (session.position, session.vector, session.positions) == (4, LENGTH, ROWS)


@pytest.mark.parametrize("count", [1, 3, ROWS, ROWS + 1, 200])
def test_prefill_equals_steps(session: Session, count: int) -> None:
    """Also where there are more vectors than rows: then it takes several starts."""
    rows = vectors(count)
    want = expected(rows)
    assert np.array_equal(session.prefill(rows, all_logits=True), want)
    session.reset()
    assert np.array_equal(session.prefill(rows.tolist()), want[-1])
    assert session.position == count
    session.reset()
    assert np.array_equal(asyncio.run(session.prefill_async(rows)), want[-1])


def test_the_state_goes_on(session: Session) -> None:
    rows = vectors(9)
    want = expected(rows)
    session.prefill(rows[:4])
    saved = session.save_state()
    assert np.array_equal(session.prefill(rows[4:], all_logits=True), want[4:])
    session.load_state(saved)
    assert session.position == 4
    assert np.array_equal(session.step(rows[4]), want[4])
    session.reset()
    assert np.array_equal(session.step(rows[0]), want[0])


@pytest.mark.parametrize("shape", [(5, LENGTH), (5, 1, LENGTH), (1, 5, LENGTH)])
def test_run_is_a_function_of_its_inputs(session: Session, shape: tuple[int, ...]) -> None:
    rows = vectors(5)
    session.step(rows[4])
    logits, *states = session.run(None, {"x": rows.reshape(shape)})
    assert np.array_equal(logits, expected(rows))
    assert session.position == 1
    reference = Reference()
    for row in rows:
        reference.step(int(row[0]))
    assert [state.shape for state in states] == [(1, 12), (1, 8)]
    assert np.array_equal(np.concatenate([state.reshape(-1) for state in states]), reference.state)
    (later,) = session.run(["logits"], {"x": rows[0], "state.0": states[0], "state.1": states[1]})
    assert np.array_equal(later[0], reference.step(int(rows[0][0])))


def test_inputs_and_outputs(session: Session) -> None:
    assert session.get_inputs()[0] == NodeArg("x", ("positions", LENGTH), "tensor(float)")
    assert session.get_outputs()[0] == NodeArg("logits", ("positions", VOCAB), "tensor(float)")


HINT = "give float32 [3], or [T, 3] for T positions"


@pytest.mark.parametrize(
    ("fed", "message", "hint"),
    [
        (np.zeros((2, 4), np.float32), "x: shape [2, 4]", HINT),
        (np.zeros((0, 3), np.float32), "x: shape [0, 3]", HINT),
        (np.zeros((2, 2, 3), np.float32), "x: shape [2, 2, 3]", HINT),
        (np.float32(1), "x: 'numpy.float32' object is not iterable", HINT),
        (np.zeros((2, 3)), "x: float64, not float32", HINT),
        (np.zeros((2, 3), np.int64), "x: int64, not float32", HINT),
        ([[1, 2, 3]], "x: int64, not float32", HINT),
        ([[1.0, 2.0, 3.0], [1.0]], "x: setting an array element with a sequence.", HINT),
        ("abc", "x: <U1, not float32", HINT),
        (np.array([[1, 2, 3], [1, np.nan, 3]], np.float32), "x: nan at position 1, element 1", "give finite numbers"),
        (np.array([1, -np.inf, 3], np.float32), "x: -inf at position 0, element 1", "give finite numbers"),
        ([1e39, 0.0, 0.0], "x: inf at position 0, element 0", "give finite numbers of float32"),
    ],
)
def test_what_is_no_vector(session: Session, fed: Any, message: str, hint: str) -> None:
    session.step(vectors(1)[0])
    for call in (session.prefill, lambda rows: session.run(None, {"x": rows})):
        with pytest.raises(InputError) as caught:
            call(fed)
        assert caught.value.message.startswith(message)
        assert caught.value.hint is not None
        assert caught.value.hint.startswith(hint)
    assert session.position == 1


def test_subnormal_numbers_are_zero() -> None:
    tiny = np.finfo(np.float32).tiny
    given = np.array([tiny / 2, -tiny, -tiny / 4], np.float32)
    found = check_rows(given, 3, "x")
    assert found.tobytes() == np.array([[0, -tiny, 0]], np.float32).tobytes()
    assert given[0] == tiny / 2


def test_several_vectors_are_no_step(session: Session) -> None:
    with pytest.raises(InputError) as caught:
        session.step(vectors(2))
    assert caught.value.message == "2 vectors for one step"
    assert caught.value.hint == "feed them with `prefill` or `run`"


def test_a_missing_input(session: Session) -> None:
    with pytest.raises(InputError, match="the input 'x' is missing") as caught:
        session.run(None, {})
    assert caught.value.hint == "give float32 [T, 3]"
    with pytest.raises(InputError, match="there is no input 'input_ids'"):
        session.run(None, {"input_ids": [1]})


@pytest.mark.parametrize("call", ["greedy", "generate"])
def test_it_generates_nothing(session: Session, call: str) -> None:
    arguments = ([1], 1) if call == "greedy" else ([1],)
    with pytest.raises(InputError) as caught:
        getattr(session, call)(*arguments)
    assert caught.value.message == (f"{call} feeds generated tokens back, and fake is fed with vectors of 3 floats")
    assert caught.value.hint == "use `step`, `prefill` or `run`"


def test_bench(session: Session) -> None:
    found = bench(session, tokens=100, prompt=10, steps=12)
    assert found.cycles_per_token == 1000
    assert found.document()["unit"] == "vector"
    names = [line.split("  ")[0].strip() for line in found.text().splitlines()]
    assert names == ["model", "step latency", "throughput", "estimated", "cycles", "energy"]
    assert "tokens" not in found.text()


def test_self_test(session: Session) -> None:
    found = list(check(session))
    assert [one.name for one in found] == ["prompt equals steps", "twice the same", "known answer"]
    assert all(one.passed for one in found)


def test_the_command_line(bundle: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bundle)]) == 0
    told = capsys.readouterr().out
    assert "model      fake (step, states: 2)\n" in told
    assert "input      x, float32 ['positions', 3]\n" in told
    assert main([str(bundle), "--prompt", "words", "--emulate"]) == 2
    assert "error: generate feeds generated tokens back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [{"name": "x", "dtype": "int64", "shape": [3]}]}, "a row holds the vector of floats"),
        ({"inputs": [{"name": "x", "dtype": "float32", "shape": [5]}]}, "a row holds the vector of floats"),
        ({"inputs": []}, "a step has one input and one output"),
        ({"embedding": {"dtype": "f32", "rows": 1 << 20, "row_bytes": 16}}, "image `embedding` has"),
        ({"kind": "lm"}, "a language model has a row of the embedding for each token"),
    ],
)
def test_an_impossible_manifest(bundle: Path, change: dict[str, Any], message: str) -> None:
    edit(bundle, lambda manifest: manifest["program"].update(change))
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)
