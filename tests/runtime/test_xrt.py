"""A session on an Alveo card: the pyxrt backend over a stand-in for pyxrt. Nothing here ran on a card."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from tritloom.runtime import DeviceError, KernelError, KernelTimeout, load
from tritloom.runtime.bench import bench
from tritloom.runtime.selftest import check

from .fake_bundle import Reference, write_bundle, write_overlay
from .fake_pyxrt import Card, make_module

STALL, STUCK, BAD_STATUS = 61, 62, 63


@pytest.fixture
def alveo(tmp_path: Path, emulation: None) -> Path:
    root = write_bundle(tmp_path / "alveo", "alveo")
    write_overlay(root, {"tritloom.xclbin": b"xclbin2" + bytes(100)})
    return root


@pytest.fixture
def card(alveo: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    plugged = Card(alveo)
    monkeypatch.setitem(sys.modules, "pyxrt", make_module(plugged))
    return plugged


def expected(tokens: list[int]) -> np.ndarray:
    reference = Reference()
    return np.stack([reference.step(token) for token in tokens])


def test_the_same_session(alveo: Path, card: Card) -> None:
    with load(alveo) as session:
        assert session.label == "measured on board"
        assert card.kernel_names == ["tritloom"]
        tokens = [(7 * i + 3) % 60 for i in range(70)]
        assert np.array_equal(session.prefill(tokens, all_logits=True), expected(tokens))
        session.reset()
        assert np.array_equal(np.stack([session.step(token) for token in tokens[:5]]), expected(tokens[:5]))
        assert all(found.passed for found in check(session))
        assert session.generate("in the", 20).text
        session.reset()
        assert np.array_equal(asyncio.run(session.prefill_async([1])), session.run(None, {"input_ids": [1]})[0][0])
    gc.collect()
    assert card.memory.blocks == ()


def test_numbers_as_on_the_emulated_device(alveo: Path, card: Card) -> None:
    for options in ({}, {"do_sample": True, "temperature": 3.0, "seed": 7}):
        with load(alveo) as there, load(write_bundle(alveo.parent / "kv260"), "emulated") as here:
            assert there.generate([1, 2, 3], 40, **options).tokens == here.generate([1, 2, 3], 40, **options).tokens


@pytest.mark.parametrize("prompt", [1, 3, 4, 5, 9])
def test_the_count_follows_from_the_progress(alveo: Path, card: Card, prompt: int) -> None:
    tokens = list(range(1, prompt + 1))
    with load(alveo) as session:
        whole = session.greedy(tokens, 12)
        assert len(whole) == 12
        for stop in dict.fromkeys(whole):
            session.reset()
            assert session.greedy(tokens, 12, stop) == whole[: whole.index(stop) + 1]


@pytest.mark.parametrize(("tokens", "done"), [([BAD_STATUS], 0), ([1, 2, 3, 4, BAD_STATUS], 1)])
def test_a_refused_start(alveo: Path, card: Card, tokens: list[int], done: int) -> None:
    with load(alveo) as session:
        session.step(1)
        passes = -(-len(tokens) // 4)
        with pytest.raises(KernelError, match=f"the kernel ended after {done} of {passes} passes"):
            session.prefill(tokens)
        assert np.array_equal(session.step(2), expected([1, 2])[-1])


def test_a_kernel_that_stops_on_request(alveo: Path, card: Card) -> None:
    with load(alveo, timeout=0.2) as session:
        session.step(1)
        with pytest.raises(
            KernelTimeout, match=r"not done after 0.2 s\n  mode=2 T=1 B=4.*\n  passes done=0 stopping=0"
        ):
            session.step(STALL)
        assert np.array_equal(session.step(2), expected([1, 2])[-1])


def test_a_kernel_that_never_stops(alveo: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.engine._GRACE_SECONDS", 0.1)
    with load(alveo, timeout=0.2) as session:
        with pytest.raises(KernelTimeout):
            session.step(STUCK)
        with pytest.raises(DeviceError, match="hangs since an earlier start") as caught:
            session.step(1)
        assert "reset the card" in caught.value.hint


def test_scalars_are_c_ints(alveo: Path, card: Card) -> None:
    """A number from 2**31 on keeps its 32 bits; here it makes the card read far outside its memory."""
    with load(alveo) as session:
        engine = session._engine
        scalars = engine._prepare(np.array([1], np.uint32), 2, 0, None) | {"port_beats": 0x8000_0005}
        engine.kernel.start(engine.memory.arguments(), scalars, "poll")
        assert -0x7FFF_FFFB in engine.kernel._run._values.values()
        with pytest.raises(DeviceError, match="XRT reports State.ERT_CMD_STATE_ERROR for the kernel"):
            engine.kernel.settle(5)


def test_two_sessions_and_a_replaced_overlay(alveo: Path, card: Card) -> None:
    with load(alveo) as a, load(alveo, a) as b:
        assert np.array_equal(a.step(1), expected([1])[-1])
        assert np.array_equal(b.step(2), expected([2])[-1])
        card.loaded = "other"
        with pytest.raises(DeviceError, match="another overlay has been loaded"):
            a.step(1)


def test_power(alveo: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.bench._IDLE_SECONDS", 0.02)
    with load(alveo) as session:
        found = bench(session, 5, 5, 5)
        assert found.conditions.energy is not None
        assert found.conditions.energy.watts == pytest.approx(31.5)
        assert found.cycles_per_token == 0
        assert "cycles" not in found.text()
        card.watts = None
        assert session.sensors() == []


def test_what_is_missing(alveo: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    xclbin = alveo / "overlay/tritloom.xclbin"
    sound = xclbin.read_bytes()
    xclbin.write_bytes(sound[:-1])
    with pytest.raises(DeviceError, match=r"overlay/tritloom\.xclbin has 106 bytes"):
        load(alveo)
    write_overlay(alveo, {"tritloom.xclbin": b"not an xclbin"})
    with pytest.raises(DeviceError, match=r"XRT could not load tritloom\.xclbin on card 0: invalid xclbin"):
        load(alveo)
    write_overlay(alveo, {"tritloom.xclbin": sound})
    card.memory.allocate(card.memory.size - 8192)
    with pytest.raises(DeviceError, match="no memory for 4,096 bytes on the card"):
        load(alveo)
    monkeypatch.setitem(sys.modules, "pyxrt", None)
    with pytest.raises(DeviceError, match="the package pyxrt cannot be imported") as caught:
        load(alveo)
    assert "source its setup.sh" in caught.value.hint
