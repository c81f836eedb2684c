"""Tokens per second of the emulated device beside onnxruntime, same model, same run (measured).

Both generate greedily on this machine. onnxruntime runs the baked export with its default optimisations and threads;
the emulated device runs the emitted C++ on one core, once with the driver between tokens and once a start.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from tritloom.api import compile_model
from tritloom.runtime import load

MODEL = Path(__file__).resolve().parent.parent / "examples" / "matmulfree" / "model.onnx"
TOKENS = 128
RUNS = 5


def onnxruntime_rate(model: Path) -> Callable[[], float]:
    session = onnxruntime.InferenceSession(str(model))
    token_input, *state_inputs = session.get_inputs()

    def run() -> float:
        states = {state.name: np.zeros(state.shape, np.float32) for state in state_inputs}
        token = 1
        start = time.perf_counter()
        for _ in range(TOKENS):
            logits, *new = session.run(None, {token_input.name: np.array([token]), **states})
            states = dict(zip(states, new, strict=True))
            token = int(logits.argmax())
        return TOKENS / (time.perf_counter() - start)

    return run


def report(name: str, rates: list[float]) -> None:
    print(f"{name:<44} {statistics.median(rates):8.1f} tokens/s  ({min(rates):.1f} to {max(rates):.1f})")


def main(model: Path = MODEL) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        compile_model(model, "kv260", bundle)
        with load(bundle, device="emulated") as session:

            def stepped() -> float:
                session.reset()
                token = 1
                start = time.perf_counter()
                for _ in range(TOKENS):
                    token = int(session.step(token).argmax())
                return TOKENS / (time.perf_counter() - start)

            def one_start() -> float:
                session.reset()
                start = time.perf_counter()
                session.generate([1], max_new_tokens=TOKENS)
                return TOKENS / (time.perf_counter() - start)

            contenders = {
                "emulated device, one start (measured)": one_start,
                "emulated device, a start a token (measured)": stepped,
                "onnxruntime, default session (measured)": onnxruntime_rate(model),
            }
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(RUNS):
                for name, contender in contenders.items():
                    rates[name].append(contender())
    print(f"{model.name}: {TOKENS} tokens, median of {RUNS} interleaved runs")
    for name, values in rates.items():
        report(name, values)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
