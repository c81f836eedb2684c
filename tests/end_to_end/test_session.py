"""A compiled model through the driver, on the emulated device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tritloom.api import compile_model
from tritloom.errors import InputError
from tritloom.ir.interpreter import Interpreter
from tritloom.runtime import Bundle, Session, load
from tritloom.verify.device import Expected, check_traces, same_bits

from .conftest import EXAMPLE, FIXTURES, Compiled

PROMPT = [0, 812, 33, 7, 1999, 64, 64]


@pytest.fixture
def session(compiled: Compiled) -> Iterator[Session]:
    with load(compiled.bundle, device="emulated") as opened:
        yield opened


def test_a_prompt_equals_its_steps(session: Session) -> None:
    board, batch = session.bundle.kernel.board, session.bundle.program.max_batch
    assert batch == {"kv260": 4, "pynq-z2": 2}[board]
    steps = np.stack([session.step(token) for token in PROMPT])
    after = session.save_state()
    session.reset()
    prompt = session.prefill(PROMPT, all_logits=True)
    assert same_bits(prompt, steps)
    assert same_bits(session.save_state().words, after.words)
    assert session.position == len(PROMPT)


def test_greedy_generation_equals_steps(session: Session, compiled: Compiled) -> None:
    generated = session.generate(PROMPT, max_new_tokens=9)
    session.reset()
    logits, found = session.prefill(PROMPT), []
    for _ in range(9):
        found.append(int(np.argmax(logits)))
        logits = session.step(found[-1])
    assert list(generated.tokens) == found
    interpreter = Interpreter(compiled.module, compiled.store).run([*PROMPT, *found[:-1]])
    assert [int(row.argmax()) for row in interpreter.outputs["logits"][len(PROMPT) - 1 :]] == found


def test_a_saved_state_goes_on(session: Session) -> None:
    session.prefill(PROMPT[:3])
    saved = session.save_state()
    first = session.prefill(PROMPT[3:])
    session.reset()
    session.step(9)
    session.load_state(saved)
    assert session.position == 3
    assert same_bits(session.prefill(PROMPT[3:]), first)


def test_run_takes_states_and_gives_them(session: Session, compiled: Compiled) -> None:
    tokens = np.array([PROMPT])
    logits, *states = session.run(None, {"input_ids": tokens})
    step = Interpreter(compiled.module, compiled.store).run(PROMPT)
    assert same_bits(logits, step.outputs["logits"])
    for state, wanted in zip(states, step.states.values(), strict=True):
        assert same_bits(state.reshape(-1), wanted)
    feeds = {"input_ids": tokens[:, 3:]}
    _, *middle = session.run(None, {"input_ids": tokens[:, :3]})
    feeds |= {f"state.{index}": state for index, state in enumerate(middle)}
    assert same_bits(session.run(["logits"], feeds)[0], logits[3:])


# The same kernel runs other models of the family.


def fine_tuned(path: Path, output: Path) -> Path:
    """tiny-baked with other trits, scales and gains."""
    model = onnx.load(path)
    random = np.random.default_rng(3)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.int8:
            changed = np.where(random.random(values.shape) < 0.01, -values, values)
        elif values.dtype == np.float32 and values.ndim == 1 and values.size > 1 and (values > 0).all():
            continue  # bounds come in pairs
        elif values.dtype == np.float32 and values.ndim == 2:
            changed = values * np.float32(1.5)
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(changed.astype(values.dtype), tensor.name))
    onnx.save(model, output)
    return output


def test_one_kernel_runs_a_second_model(baked: Compiled, tmp_path: Path) -> None:
    model = fine_tuned(FIXTURES / "tiny-baked.onnx", tmp_path / "tuned.onnx")
    second = Compiled.of(model, "kv260", tmp_path / "second", overlay=baked.root)
    naive = Compiled.of(FIXTURES / "tiny-naive.onnx", "kv260", tmp_path / "naive", overlay=baked.root)
    for other in (second, naive):
        assert other.bundle.kernel.hash == baked.bundle.kernel.hash
        assert other.bundle.program.hash != baked.bundle.program.hash
        expected = Expected.of(other.module, other.store, PROMPT)
        check = check_traces(other.bundle, expected, PROMPT, stepwise=False)
        assert check.passed, check.lines()
    first = Expected.of(baked.module, baked.store, PROMPT)
    changed = Expected.of(second.module, second.store, PROMPT)
    assert not same_bits(first.logits, changed.logits)


def test_the_examples_kernel_runs_a_smaller_model(baked: Compiled, tmp_path: Path) -> None:
    large = tmp_path / "large"
    compile_model(EXAMPLE / "model.onnx", "kv260", large)
    small = Compiled.of(FIXTURES / "tiny-baked.onnx", "kv260", tmp_path / "small", overlay=large)
    assert small.bundle.kernel.hash == Bundle.open(large).kernel.hash != baked.bundle.kernel.hash
    sources = {path.relative_to(large) for path in (large / "hls").rglob("*") if path.is_file()}
    differing = {path.name for path in sources if (large / path).read_bytes() != (small.root / path).read_bytes()}
    assert differing == {"program.h"}, "the listing alone depends on the model"
    expected = Expected.of(small.module, small.store, PROMPT)
    check = check_traces(small.bundle, expected, PROMPT, stepwise=False)
    assert check.passed, check.lines()


def test_a_model_beyond_an_existing_kernel_is_refused(baked: Compiled, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        compile_model(EXAMPLE / "model.onnx", "kv260", tmp_path / "large", overlay=baked.root)
    assert refused.value.message == (
        "the model exceeds the kernel's limits: k_max 1024 > 560, vector_words 1792 > 1024, state_words 2304 > 1024"
    )
    assert not (tmp_path / "large").exists()


def test_a_program_is_refused_by_another_kernel(baked: Compiled, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kv260, not for pynq-z2"):
        Compiled.of(FIXTURES / "tiny-baked.onnx", "pynq-z2", tmp_path / "other", overlay=baked.root)
