"""Timing a session: latency of a step, tokens per second, energy where the board has power rails."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .errors import InputError
from .memory_map import TOKENS
from .sensors import PowerMeter, power_rails
from .session import Session

_WARM_UP = 2
_IDLE_SECONDS = 0.5


@dataclass(frozen=True)
class Energy:
    """What the rails said: mean watts idle and while generating, joules a token (idle power included)."""

    rails: tuple[str, ...]
    idle_watts: float
    watts: float
    joules_per_token: float


@dataclass(frozen=True)
class Benchmark:
    """Times of a session, and what kind of figure they are (`label`).

    Latencies are of single steps, in seconds, at the 50th, 90th and 99th percentile and the largest.
    `estimated_tokens_per_second` is the compiler's figure for the board. `cycles_per_token` is the kernel's
    own counter, 0 where it cannot be read.
    """

    label: str
    model: str
    board: str
    steps: int
    latency: dict[str, float]
    tokens: int
    tokens_per_second: float
    prompt_tokens: int
    prompt_tokens_per_second: float
    cycles_per_token: float
    estimated_tokens_per_second: float
    energy: Energy | None
    temperatures: dict[str, float]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """A line a figure."""
        milliseconds = ", ".join(f"{name} {1000 * value:.2f}" for name, value in self.latency.items())
        lines = [
            ("model", f"{self.model} on {self.board}, {self.label}"),
            ("step latency", f"{milliseconds} ms ({self.steps} steps)"),
            ("generation", f"{self.tokens_per_second:.1f} tokens/s ({self.tokens} tokens, one start)"),
            ("prompt", f"{self.prompt_tokens_per_second:.1f} tokens/s ({self.prompt_tokens} tokens)"),
            ("estimated", f"{self.estimated_tokens_per_second:.1f} tokens/s of generation on the board"),
        ]
        if self.cycles_per_token:
            lines.append(("cycles", f"{self.cycles_per_token:,.0f} a token, by the kernel's counter"))
        if self.energy is None:
            lines.append(("energy", "no power rails found"))
        else:
            used = self.energy
            lines += [
                ("energy", f"{used.joules_per_token:.3f} J/token"),
                ("power", f"{used.watts:.2f} W generating, {used.idle_watts:.2f} W idle ({', '.join(used.rails)})"),
            ]
        lines += [("temperature", f"{value:.1f} °C ({name})") for name, value in self.temperatures.items()]
        return "".join(f"{name:<13} {text}\n" for name, text in lines)


def bench(session: Session, tokens: int = 64, prompt: int = 64, steps: int = 50) -> Benchmark:
    """Time a session; its state is reset.

    Args:
        session: the model.
        tokens: how many to generate in one start, 1 to 2048.
        prompt: how many to feed at once.
        steps: single steps, for the latency.

    Raises:
        InputError: a count out of range.
        DeviceError: the kernel failed or timed out.
    """
    for name, count in (("tokens", tokens), ("prompt", prompt), ("steps", steps)):
        if not 1 <= count <= TOKENS:
            raise InputError(f"{name}={count} is out of range", f"give 1 to {TOKENS}")
    fed = [index % min(32, session.vocab) for index in range(max(prompt, steps))]  # which ones makes no difference
    session.reset()
    for token in fed[:_WARM_UP]:
        session.step(token)
    latencies = [_seconds(lambda token=token: session.step(token)) for token in fed[:steps]]
    session.reset()
    prompt_seconds = _seconds(lambda: session.prefill(fed[:prompt]))
    session.reset()
    sensors = session.sensors()
    rails = power_rails(sensors)
    with PowerMeter(rails) as idle:
        time.sleep(_IDLE_SECONDS if rails else 0)
    with PowerMeter(rails) as meter:
        seconds = _seconds(lambda: session.greedy(fed[:1], tokens))
    counters = session.last_counters
    program, kernel = session.bundle.program, session.bundle.kernel
    cycles = program.cycles_per_token
    energy = Energy(tuple(rail.name for rail in rails), idle.watts, meter.watts, meter.joules / tokens)
    result = Benchmark(
        label=session.label,
        model=program.name,
        board=kernel.board,
        steps=steps,
        latency=_percentiles(latencies),
        tokens=tokens,
        tokens_per_second=tokens / seconds,
        prompt_tokens=prompt,
        prompt_tokens_per_second=prompt / prompt_seconds,
        cycles_per_token=counters.cycles / tokens if counters is not None else 0.0,
        estimated_tokens_per_second=kernel.clock_mhz * 1e6 / cycles if cycles else 0.0,
        energy=energy if rails else None,
        temperatures={sensor.name: sensor.read() for sensor in sensors if sensor.unit == "°C"},
    )
    session.reset()
    return result


def _seconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _percentiles(values: list[float]) -> dict[str, float]:
    found = {f"p{share}": float(np.percentile(values, share)) for share in (50, 90, 99)}
    return found | {"max": max(values)}
