"""A session on the emulated device: values, state, failures after which it goes on, memory given back."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import DeviceError, InputError, KernelError, KernelTimeout, SavedState, Session, load
from tritloom.runtime.buffers import DeviceBuffer

from .fake_bundle import VOCAB, Reference, edit, write_bundle

DEADLOCK, STALL, STUCK, BAD_STATUS = 60, 61, 62, 63


def expected(tokens: list[int]) -> np.ndarray:
    reference = Reference()
    return np.stack([reference.step(token) for token in tokens])


def test_step(session: Session) -> None:
    tokens = [1, 5, 9, 2]
    got = np.stack([session.step(token) for token in tokens])
    assert got.dtype == np.float32
    assert np.array_equal(got, expected(tokens))
    assert session.position == 4
    counters = session.last_counters
    assert counters is not None
    assert (counters.cycles, counters.busy, counters.tokens) == (1000, 900, 0)


@pytest.mark.parametrize("count", [1, 3, 64, 65, 200])
def test_prefill_equals_steps(session: Session, count: int) -> None:
    tokens = [(7 * i + 3) % 60 for i in range(count)]
    want = expected(tokens)
    assert np.array_equal(session.prefill(tokens, all_logits=True), want)
    session.reset()
    assert np.array_equal(session.prefill(np.array(tokens)), want[-1])
    assert session.position == count


def test_a_prompt_longer_than_a_start_takes(session: Session) -> None:
    tokens = [i % 60 for i in range(5000)]
    want = expected(tokens)[-1]
    assert np.array_equal(session.prefill(tokens), want)
    session.reset()
    assert session.greedy(tokens, 1) == [int(want.argmax())]
    assert session.position == 5000


def test_a_vocabulary_that_fills_no_whole_beats(bundle: Path, emulation: None) -> None:
    """A row of logits is 64 floats long, of which 61 are the vocabulary's."""
    edit(bundle, lambda manifest: manifest["program"].update(vocab=61))
    tokens = [(7 * i + 3) % 60 for i in range(9)]
    want = expected(tokens)[:, :61]
    with load(bundle, "emulated") as session:
        assert session.vocab == 61
        assert np.array_equal(session.prefill(tokens, all_logits=True), want)
        assert session.get_outputs()[0].shape == ("tokens", 61)
        [logits] = session.run(["logits"], {"input_ids": np.array([tokens])})
        assert np.array_equal(logits, want)
        session.reset()
        assert np.array_equal(np.stack([session.step(token) for token in tokens]), want)
        assert session.generate(tokens, 1).tokens == (int(want[-1].argmax()),)
        drawn = session.generate(tokens, 20, do_sample=True, temperature=1e12, seed=3).tokens
        assert max(drawn) < 61
        with pytest.raises(InputError, match="token 61 at position 0 is outside the vocabulary of 61"):
            session.step(61)


def test_results_do_not_change_with_the_next_start(session: Session) -> None:
    first = session.step(1)
    kept = first.copy()
    session.step(2)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("family", ["zynq", "zynqmp"])
@pytest.mark.parametrize("wait", ["poll", "interrupt"])
def test_both_families_and_both_ways_to_wait(tmp_path: Path, emulation: None, family: str, wait: Any) -> None:
    with load(write_bundle(tmp_path / "b", family), "emulated", wait=wait) as session:
        tokens = [3, 1, 4, 1, 5]
        assert np.array_equal(np.stack([session.step(token) for token in tokens]), expected(tokens))


def test_two_sessions_with_interrupts_after_one_another(bundle: Path, emulation: None) -> None:
    for _ in range(2):
        with load(bundle, "emulated", wait="interrupt") as session:
            assert np.array_equal(session.step(3), expected([3])[-1])


def test_interrupt_time_limit(bundle: Path, emulation: None) -> None:
    with load(bundle, "emulated", wait="interrupt", timeout=0.3) as session:
        with pytest.raises(KernelTimeout):
            session.step(STALL)
        assert np.array_equal(session.step(3), expected([3])[-1])
        with pytest.raises(DeviceError, match="deadlocked"):
            session.step(DEADLOCK)
        assert np.array_equal(session.step(4), expected([3, 4])[-1])


def test_two_sessions_side_by_side(bundle: Path, emulation: None) -> None:
    with load(bundle, "emulated") as a, load(bundle, "emulated") as b:
        assert np.array_equal(a.step(1), expected([1])[-1])
        assert np.array_equal(b.step(2), expected([2])[-1])
        assert np.array_equal(a.step(3), expected([1, 3])[-1])


def test_sessions_on_one_device_replace_each_other(bundle: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    device = EmulatedDevice()
    with load(bundle, device) as old, load(bundle, device) as new:
        assert np.array_equal(new.step(2), expected([2])[-1])
        with pytest.raises(DeviceError, match="another overlay has been loaded"):
            old.step(1)


# -- state


def test_save_and_load_state(session: Session, tmp_path: Path) -> None:
    session.prefill([1, 2, 3])
    saved = session.save_state()
    saved.save(tmp_path / "state.npz")
    after = [session.step(4), session.step(5)]
    for state in (saved, SavedState.open(tmp_path / "state.npz")):
        session.load_state(state)
        assert session.position == 3
        assert np.array_equal(np.stack([session.step(4), session.step(5)]), np.stack(after))


def test_a_state_of_another_program(session: Session) -> None:
    other = SavedState("0" * 64, 1, None, np.zeros(20, np.float32))
    with pytest.raises(InputError, match="another program"):
        session.load_state(other)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_not_a_saved_state(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a saved state"):
        SavedState.open(tmp_path / "x.npz")


def test_reset(session: Session) -> None:
    first = session.step(7)
    session.step(8)
    session.reset()
    assert session.position == 0
    assert np.array_equal(session.step(7), first)


# -- onnxruntime's shape


def test_run(session: Session) -> None:
    session.step(9)
    before = session.save_state()
    tokens = [1, 5, 9]
    logits, first, second = session.run(None, {"input_ids": np.array([tokens])})
    assert np.array_equal(logits, expected(tokens))
    assert (first.shape, second.shape) == ((1, 12), (1, 8))
    (last,) = session.run(["logits"], {"input_ids": [5, 9], **_states(session, [1])})
    assert np.array_equal(last, expected(tokens)[1:])
    assert session.position == 1
    assert np.array_equal(session.save_state().words, before.words)


def _states(session: Session, tokens: list[int]) -> dict[str, Any]:
    names = ["state_out.0", "state_out.1"]
    values = session.run(names, {"input_ids": tokens})
    return {name.replace("_out", ""): value for name, value in zip(names, values, strict=True)}


def test_inputs_and_outputs(session: Session) -> None:
    assert [(arg.name, arg.shape, arg.type) for arg in session.get_inputs()] == [
        ("input_ids", ("tokens",), "tensor(int64)"),
        ("state.0", (1, 12), "tensor(float)"),
        ("state.1", (1, 8), "tensor(float)"),
    ]
    assert [arg.name for arg in session.get_outputs()] == ["logits", "state_out.0", "state_out.1"]


@pytest.mark.parametrize(
    ("names", "feeds", "message"),
    [
        (["x"], {"input_ids": [1]}, "no output 'x'"),
        (None, {}, "'input_ids' is missing"),
        (None, {"input_ids": [1], "y": 1}, "no input 'y'"),
        (None, {"input_ids": [[1], [2]]}, r"shape \[2, 1\]"),
        (None, {"input_ids": []}, r"shape \[0\]"),
        (None, {"input_ids": [1.5]}, "float64, not integers"),
        (None, {"input_ids": [1, 64]}, "token 64 at position 1 is outside the vocabulary of 64"),
        (None, {"input_ids": [-1]}, "token -1 at position 0"),
        (None, {"input_ids": [1], "state.0": np.zeros((1, 11), np.float32)}, r"'state.0' has float32 \[1, 11\]"),
        (None, {"input_ids": [1], "state.0": np.zeros((1, 12))}, "'state.0' has float64"),
        (None, {"input_ids": [1], "state.0": np.full((1, 12), np.nan, np.float32)}, "'state.0'"),
    ],
)
def test_bad_feeds(session: Session, names: Any, feeds: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        session.run(names, feeds)
    assert session.position == 0


@pytest.mark.parametrize("token", [VOCAB, -1, 2**40])
def test_a_token_outside_the_vocabulary(session: Session, token: int) -> None:
    with pytest.raises(InputError, match="outside the vocabulary"):
        session.step(token)


# -- failures


def test_a_kernel_that_stops_on_request(bundle: Path, emulation: None) -> None:
    with load(bundle, "emulated", timeout=0.2) as session:
        session.step(1)
        with pytest.raises(KernelTimeout, match=r"not done after 0.2 s\n  CTRL=0x01 \(START\)") as caught:
            session.step(STALL)
        assert "T=1 B=4" in caught.value.message
        assert "port0=0x1" in caught.value.message
        assert session.position == 1
        assert np.array_equal(session.step(2), expected([1, 2])[-1])


def test_a_kernel_that_never_stops(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.engine._GRACE_SECONDS", 0.2)
    with load(bundle, "emulated", timeout=0.2) as session:
        session.step(1)
        with pytest.raises(KernelTimeout):
            session.prefill([4, STUCK])
        assert np.array_equal(session.step(2), expected([1, 2])[-1])


def test_a_deadlock_is_reported(session: Session) -> None:
    session.step(1)
    with pytest.raises(DeviceError, match="deadlocked:\nprocess `engine` waits for stream `codes`"):
        session.step(DEADLOCK)
    assert np.array_equal(session.step(2), expected([1, 2])[-1])


def test_a_status_code_is_explained(session: Session) -> None:
    session.step(1)
    with pytest.raises(KernelError, match="status 77: an unknown status") as caught:
        session.prefill([5, BAD_STATUS])
    assert caught.value.status == 77
    assert np.array_equal(session.step(2), expected([1, 2])[-1])


def test_an_interrupted_start(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with load(bundle, "emulated") as session:
        session.step(1)
        with monkeypatch.context() as patch:
            patch.setattr("tritloom.runtime.driver.KernelDriver.wait", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                session.step(STALL)
        assert np.array_equal(session.step(2), expected([1, 2])[-1])


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_steps_from_several_threads_do_not_mix(session: Session) -> None:
    want = {token: expected([token])[0] for token in range(8)}
    wrong: list[int] = []

    def work(token: int) -> None:
        for _ in range(10):
            if not np.array_equal(session.run(["logits"], {"input_ids": [token]})[0][0], want[token]):
                wrong.append(token)

    threads = [threading.Thread(target=work, args=(token,)) for token in want]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("direction", ["to_device", "from_device"])
def test_a_forgotten_sync_shows(session: Session, monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    session.step(1)
    monkeypatch.setattr(DeviceBuffer, direction, lambda *_: None)
    try:
        got = session.step(2)
    except KernelError:
        return
    assert not np.array_equal(got, expected([1, 2])[-1])


# -- memory


def test_no_buffer_is_left(bundle: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    device = EmulatedDevice()
    for _ in range(3):
        with load(bundle, device) as session:
            session.step(1)
            session.generate([1, 2], 5)
            in_use = len(device.memory.blocks)
        assert in_use == 5 + 6
        gc.collect()
        assert device.memory.blocks == ()
    with pytest.raises(DeviceError, match="the session is closed"):
        session.step(1)
    session.close()


def test_too_little_memory(bundle: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    device = EmulatedDevice(memory=32 << 10)
    with pytest.raises(DeviceError, match="emulated CMA exhausted") as caught:
        load(bundle, device)
    assert "bytes of contiguous memory" in caught.value.message
    assert "cma=" in caught.value.hint
    del caught
    gc.collect()
    assert device.memory.blocks == ()


# -- devices


def test_no_board(bundle: Path, emulation: None) -> None:
    with pytest.raises(DeviceError, match="no FPGA board was found") as caught:
        load(bundle)
    assert "device='emulated'" in caught.value.hint


def test_the_environment_asks_for_emulation(bundle: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITLOOM_EMULATE", "1")
    with load(bundle) as session:
        assert np.array_equal(session.step(3), expected([3])[-1])


def test_a_board_without_overlay(bundle: Path, emulation: None) -> None:
    from tritloom.runtime.emulator.device import EmulatedDevice

    class Board(EmulatedDevice):
        emulated = False

    with pytest.raises(DeviceError, match="the bundle has no overlay: it has not been built for kv260") as caught:
        load(bundle, Board())
    assert "tritloom build" in caught.value.hint


@pytest.mark.parametrize("options", [{"wait": "sleep"}, {"timeout": 0}, {"timeout": -1.0}])
def test_bad_options(bundle: Path, emulation: None, options: Any) -> None:
    with pytest.raises(InputError):
        load(bundle, "emulated", **options)


def test_an_unknown_device(bundle: Path) -> None:
    choice: Any = "fpga"
    with pytest.raises(DeviceError, match="no device 'fpga'"):
        load(bundle, choice)


def test_without_a_state(tmp_path: Path, emulation: None) -> None:
    root = write_bundle(tmp_path / "b")
    edit(root, lambda manifest: manifest["program"].update(states=[]))
    with load(root, "emulated") as session:
        (logits,) = session.run(None, {"input_ids": [3]})
        assert np.array_equal(logits, expected([3]))
