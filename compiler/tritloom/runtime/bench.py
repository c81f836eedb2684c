"""Timing a session: latency, tokens or frames per second, energy where the board has power rails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .errors import InputError
from .memory_map import TOKENS
from .net_session import FRAMES, NetSession
from .sensors import PowerMeter, Sensor, power_rails
from .session import Session

_WARM_UP = 2
_IDLE_SECONDS = 0.5


@dataclass(frozen=True)
class Energy:
    """What the rails said: mean watts idle and while working; joules a token or a frame (idle power included)."""

    rails: tuple[str, ...]
    idle_watts: float
    watts: float
    joules: float


@dataclass(frozen=True)
class Conditions:
    """Of which model on which board the figures are, and what kind of figures (`label`).

    `energy` is None where the board has no power rails.
    """

    label: str
    model: str
    board: str
    energy: Energy | None
    temperatures: dict[str, float]

    def lines(self, unit: str, figures: Iterable[tuple[str, str]]) -> str:
        """A line a figure, the conditions around them; energy is per `unit`."""
        found = [("model", f"{self.model} on {self.board}, {self.label}"), *figures]
        if self.energy is None:
            found.append(("energy", "no power rails found"))
        else:
            used, rails = self.energy, ", ".join(self.energy.rails)
            found.append(("energy", f"{used.joules:.3g} J/{unit}"))
            found.append(("power", f"{used.watts:.2f} W working, {used.idle_watts:.2f} W idle ({rails})"))
        found += [("temperature", f"{value:.1f} °C ({name})") for name, value in self.temperatures.items()]
        return "".join(f"{name:<13} {text}\n" for name, text in found)


@dataclass(frozen=True)
class Benchmark:
    """Times of a step: a language model, or one that is fed with vectors, which generates nothing.

    Latencies are of single steps, in seconds, at the 50th, 90th and 99th percentile and the largest.
    `estimated_tokens_per_second` is the compiler's figure for the board. `cycles_per_token` is the kernel's
    own counter, 0 where it cannot be read.
    """

    conditions: Conditions
    steps: int
    latency: dict[str, float]
    tokens: int
    tokens_per_second: float
    """Of generation; of vectors in one prompt where these are fed."""
    prompt_tokens: int
    prompt_tokens_per_second: float
    cycles_per_token: float
    estimated_tokens_per_second: float
    unit: str = "token"

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return _flat(asdict(self))

    def text(self) -> str:
        """A line a figure."""
        figures = [("step latency", f"{_milliseconds(self.latency)} ({self.steps} steps)")]
        if self.unit == "token":
            figures += [
                ("generation", f"{self.tokens_per_second:.1f} tokens/s ({self.tokens} tokens, one start)"),
                ("prompt", f"{self.prompt_tokens_per_second:.1f} tokens/s ({self.prompt_tokens} tokens)"),
                ("estimated", f"{self.estimated_tokens_per_second:.1f} tokens/s of generation on the board"),
            ]
        else:
            figures += [
                ("throughput", f"{self.tokens_per_second:.1f} vectors/s ({self.tokens} vectors at once)"),
                ("estimated", f"{self.estimated_tokens_per_second:.1f} vectors/s one by one on the board"),
            ]
        if self.cycles_per_token:
            figures.append(("cycles", f"{self.cycles_per_token:,.0f} a {self.unit}, by the kernel's counter"))
        return self.conditions.lines(self.unit, figures)


@dataclass(frozen=True)
class NetBenchmark:
    """Times of a feed-forward net; latencies are of runs of one frame, in seconds (see `Benchmark`)."""

    conditions: Conditions
    runs: int
    latency: dict[str, float]
    frames: int
    frames_per_second: float
    cycles_per_frame: float
    estimated_frames_per_second: float

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return _flat(asdict(self))

    def text(self) -> str:
        """A line a figure."""
        figures = [
            ("latency", f"{_milliseconds(self.latency)} ({self.runs} runs of a frame)"),
            ("throughput", f"{self.frames_per_second:.1f} frames/s ({self.frames} frames, one start)"),
            ("estimated", f"{self.estimated_frames_per_second:.1f} frames/s on the board"),
        ]
        if self.cycles_per_frame:
            figures.append(("cycles", f"{self.cycles_per_frame:,.0f} a frame, by the kernel's counter"))
        return self.conditions.lines("frame", figures)


def bench(session: Session, tokens: int = 64, prompt: int = 64, steps: int = 50) -> Benchmark:
    """Time a step; its state is reset.

    Args:
        session: the model.
        tokens: how many to generate in one start, 1 to 2048; or how many vectors to feed at once.
        prompt: how many to feed at once.
        steps: single steps, for the latency.

    Raises:
        InputError: a count out of range.
        DeviceError: the kernel failed or timed out.
    """
    _check_counts(TOKENS, tokens=tokens, prompt=prompt, steps=steps)
    fed = example_positions(session, max(prompt, steps, tokens))
    session.reset()
    for one in fed[:_WARM_UP]:
        session.step(one)
    latencies = [_seconds(session.step, one) for one in fed[:steps]]
    session.reset()
    prompt_seconds = _seconds(session.prefill, fed[:prompt])
    session.reset()
    seconds, conditions = _metered(session, tokens, lambda: _many(session, fed, tokens))
    counters, cycles = session.last_counters, session.bundle.program.cycles_per_token
    counted = tokens if session.vector is None else (tokens - 1) % session.positions + 1
    session.reset()
    return Benchmark(
        conditions=conditions,
        steps=steps,
        latency=_percentiles(latencies),
        tokens=tokens,
        tokens_per_second=tokens / seconds,
        prompt_tokens=prompt,
        prompt_tokens_per_second=prompt / prompt_seconds,
        cycles_per_token=counters.cycles / counted if counters is not None else 0.0,
        estimated_tokens_per_second=_rate(session, cycles),
        unit="token" if session.vector is None else "vector",
    )


def example_positions(session: Session, count: int) -> list[int] | npt.NDArray[np.float32]:
    """Tokens or vectors for a step, the same each time: which ones makes no difference to the time."""
    if session.vector is not None:
        return np.random.default_rng(0).standard_normal((count, session.vector), dtype=np.float32)
    return [index % min(32, session.vocab) for index in range(count)]


def _many(session: Session, fed: list[int] | npt.NDArray[np.float32], count: int) -> object:
    """Generate tokens in one start, or feed vectors in as few as take them."""
    return session.prefill(fed[:count]) if session.vector is not None else session.greedy(fed[:1], count)


def bench_net(session: NetSession, frames: int = FRAMES, runs: int = 50) -> NetBenchmark:
    """Time a feed-forward net: `runs` of a single frame, then `frames` in one start (1 to 256).

    Raises:
        InputError: a count out of range.
        DeviceError: the kernel failed or timed out.
    """
    _check_counts(FRAMES, frames=frames)
    _check_counts(100_000, runs=runs)
    feeds = random_frames(session, frames)
    single = {name: values[:1] for name, values in feeds.items()}
    for _ in range(_WARM_UP):
        session.run(None, single)
    latencies = [_seconds(session.run, None, single) for _ in range(runs)]
    seconds, conditions = _metered(session, frames, lambda: session.run(None, feeds))
    counters = session.last_counters
    return NetBenchmark(
        conditions=conditions,
        runs=runs,
        latency=_percentiles(latencies),
        frames=frames,
        frames_per_second=frames / seconds,
        cycles_per_frame=counters.cycles / frames if counters is not None else 0.0,
        estimated_frames_per_second=_rate(session, session.program.cycles_per_frame),
    )


def random_frames(session: NetSession, frames: int) -> dict[str, np.ndarray[Any, Any]]:
    """Frames for a net, the same each time: standard normal, or evenly spread codes."""
    port, random = session.program.input, np.random.default_rng(0)
    shape = (frames, *port.shape)
    if port.dtype == "float32":
        return {port.name: random.standard_normal(shape, dtype=np.float32)}
    limits = np.iinfo(port.dtype)
    return {port.name: random.integers(limits.min, limits.max + 1, shape).astype(port.dtype)}


class _Timed(Protocol):
    """What both kinds of session have."""

    bundle: Bundle

    @property
    def label(self) -> str: ...

    def sensors(self) -> list[Sensor]: ...


def _metered(session: _Timed, count: int, call: Callable[[], object]) -> tuple[float, Conditions]:
    """Seconds of a call that makes `count` tokens or frames, and what the sensors said meanwhile."""
    sensors = session.sensors()
    rails = power_rails(sensors)
    with PowerMeter(rails) as idle:
        time.sleep(_IDLE_SECONDS if rails else 0)
    with PowerMeter(rails) as meter:
        seconds = _seconds(call)
    energy = Energy(tuple(rail.name for rail in rails), idle.watts, meter.watts, meter.joules / count)
    temperatures = {sensor.name: sensor.read() for sensor in sensors if sensor.unit == "°C"}
    name, board = session.bundle.manifest.model.name, session.bundle.kernel.board
    return seconds, Conditions(session.label, name, board, energy if rails else None, temperatures)


def _check_counts(most: int, **counts: int) -> None:
    for name, count in counts.items():
        if not 1 <= count <= most:
            raise InputError(f"{name}={count} is out of range", f"give 1 to {most}")


def _rate(session: _Timed, cycles: float) -> float:
    return session.bundle.kernel.clock_mhz * 1e6 / cycles if cycles else 0.0


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def _percentiles(values: list[float]) -> dict[str, float]:
    found = {f"p{share}": float(np.percentile(values, share)) for share in (50, 90, 99)}
    return found | {"max": max(values)}


def _milliseconds(latency: dict[str, float]) -> str:
    return ", ".join(f"{name} {1000 * value:.2f}" for name, value in latency.items()) + " ms"


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    return {**document.pop("conditions"), **document}
