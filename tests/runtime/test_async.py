"""Calls to await: a loop goes on meanwhile, a cancelled task ends its start, several tasks take turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.runtime import DeviceError, KernelTimeout, Session, load

from .fake_bundle import Reference

DEADLOCK, STALL, STUCK = 60, 61, 62
WAITS = ["poll", "interrupt"]


def expected(tokens: list[int]) -> np.ndarray:
    reference = Reference()
    return np.stack([reference.step(token) for token in tokens])


async def counting(call: Coroutine[Any, Any, Any]) -> tuple[Any, int]:
    """The call's result, and how often the loop went round meanwhile."""
    rounds, done = 0, False

    async def count() -> None:
        nonlocal rounds
        while not done:
            rounds += 1
            await asyncio.sleep(0.002)

    counter = asyncio.ensure_future(count())
    try:
        return await call, rounds
    finally:
        done = True
        await counter


@pytest.mark.parametrize("wait", WAITS)
def test_every_call(bundle: Path, emulation: None, wait: Any) -> None:
    async def main() -> None:
        with load(bundle, "emulated", wait=wait) as session:  # in a running loop, as in a notebook
            assert np.array_equal(await session.prefill_async([1, 2], all_logits=True), expected([1, 2]))
            (logits,) = await session.run_async(["logits"], {"input_ids": [4, 5]})
            assert np.array_equal(logits, expected([4, 5]))
            assert np.array_equal(session.step(3), expected([1, 2, 3])[-1])  # blocking ones work there too
            whole = session.generate([1, 2], 20)
            assert (await session.generate_async([1, 2], 20)).tokens == whole.tokens
            drawn = await session.generate_async([1, 2], 9, do_sample=True, temperature=2.0, seed=4)
            assert drawn.tokens == session.generate([1, 2], 9, do_sample=True, temperature=2.0, seed=4).tokens

    asyncio.run(main())


def test_a_streamer_is_called_in_the_loops_thread(session: Session) -> None:
    pieces: list[str] = []
    threads: set[int] = set()

    def stream(text: str) -> None:
        pieces.append(text)
        threads.add(threading.get_ident())

    async def main() -> Any:
        result = await session.generate_async("in the", 40, streamer=stream)
        await asyncio.sleep(0)
        return result

    result = asyncio.run(main())
    assert "".join(pieces) == result.text
    assert threads == {threading.get_ident()}


def test_a_token_streamer(session: Session) -> None:
    seen: list[Any] = []

    class Streamer:
        def put(self, tokens: list[int], text: str) -> None:
            seen.extend(tokens)

        def end(self) -> None:
            seen.append("end")

    async def main() -> Any:
        result = await session.generate_async([1], 40, streamer=Streamer())
        await asyncio.sleep(0)
        return result

    result = asyncio.run(main())
    assert seen == [*result.tokens, "end"]


@pytest.mark.parametrize("wait", WAITS)
def test_the_loop_goes_on(bundle: Path, emulation: None, wait: Any) -> None:
    async def main() -> None:
        with load(bundle, "emulated", wait=wait, timeout=0.3) as session:
            with pytest.raises(KernelTimeout):
                await session.prefill_async([STALL])
            timer = asyncio.get_running_loop().time
            began = timer()
            error, rounds = await counting(_error(session.prefill_async([STALL])))
            assert isinstance(error, KernelTimeout)
            assert rounds > 20
            assert timer() - began < 5
            assert np.array_equal(await session.prefill_async([3]), expected([3])[-1])

    asyncio.run(main())


async def _error(call: Coroutine[Any, Any, Any]) -> Exception:
    with pytest.raises(DeviceError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("wait", WAITS)
def test_a_cancelled_task(bundle: Path, emulation: None, wait: Any) -> None:
    async def main() -> None:
        with load(bundle, "emulated", wait=wait) as session:
            session.step(1)
            task = asyncio.ensure_future(session.prefill_async([STALL]))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)
            assert session.position == 1
            assert np.array_equal(await session.prefill_async([2]), expected([1, 2])[-1])

    asyncio.run(main())


def test_a_time_limit_of_the_callers(bundle: Path, emulation: None) -> None:
    async def main() -> None:
        with load(bundle, "emulated") as session:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(session.run_async(None, {"input_ids": [STALL]}), 0.1)
            assert np.array_equal(session.step(2), expected([2])[-1])

    asyncio.run(main())


def test_a_task_that_is_cancelled_while_it_queues(bundle: Path, emulation: None) -> None:
    async def main() -> None:
        with load(bundle, "emulated", timeout=0.5) as session:
            first = asyncio.ensure_future(_error(session.prefill_async([STALL])))
            await asyncio.sleep(0.05)
            second = asyncio.ensure_future(session.prefill_async([5]))
            await asyncio.sleep(0.05)
            second.cancel()
            assert isinstance(await first, KernelTimeout)
            with pytest.raises(asyncio.CancelledError):
                await second
            assert session.position == 0

    asyncio.run(main())


def test_tasks_take_turns(session: Session) -> None:
    async def one(token: int) -> bool:
        (logits,) = await session.run_async(["logits"], {"input_ids": [token]})
        return np.array_equal(logits[0], expected([token])[0])

    async def main() -> list[bool]:
        return await asyncio.gather(*(one(token) for token in range(20)))

    assert asyncio.run(main()) == [True] * 20


def test_several_loops_after_one_another(bundle: Path, emulation: None) -> None:
    with load(bundle, "emulated", wait="interrupt") as session:
        for count in (1, 2, 3):
            assert asyncio.run(_last(session, count))


async def _last(session: Session, count: int) -> bool:
    got = await session.prefill_async([3])
    return np.array_equal(got, expected([3] * count)[-1])


def test_errors_come_through(session: Session) -> None:
    with pytest.raises(DeviceError, match="deadlocked"):
        asyncio.run(session.prefill_async([DEADLOCK]))
