"""Seconds and anonymous memory that the import of a large model takes (measured).

    python bench/import_large.py [370M | 1.3B | 2.7B] [--keep FOLDER]

The model has the published sizes, random trits in int8 and external data: what `tritloom export` writes. It is made in
a temporary folder (as large as its trits: 1.4 GB for 1.3B), or in FOLDER, where a later run finds it again. The
import runs in a process of its own, and the file is in the page cache. Anonymous memory (RssAnon) is sampled while it
runs; pages of the mapped file are not of it: the system takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tritloom.export.config import Config
from tritloom.export.layout import expected_shapes
from tritloom.export.safetensors import BLOCK, StoredTensor
from tritloom.export.step import StepBuilder
from tritloom.export.writer import write_model, writing
from tritloom.frontend import import_onnx

SIZES = {"370M": (1024, 24), "1.3B": (2048, 24), "2.7B": (2560, 32)}
RUNS = 5
SAMPLE_SECONDS = 0.002


@dataclass(frozen=True)
class RandomTensor(StoredTensor):
    """A tensor of a checkpoint that no file holds."""

    def raw(self) -> Iterator[NDArray[np.generic]]:
        return (block.astype(np.float16) for block in self.blocks())

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        random = np.random.default_rng(len(self.name))
        for start in range(0, self.size, BLOCK):
            yield random.uniform(0.5, 1.5, min(BLOCK, self.size - start)).astype(np.float32)

    def read(self) -> NDArray[np.float32]:
        return np.concatenate(list(self.blocks())).reshape(self.shape)


def random_trits(count: int, seed: int) -> Iterator[NDArray[np.int8]]:
    random = np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        yield random.integers(-1, 2, min(BLOCK, count - start), np.int8)


def write_random_model(path: Path, hidden: int, layers: int) -> None:
    """A baked export of random trits."""
    intermediate = 256 * -(-int(hidden * 8 / 3) // 256)
    config = Config(32_000, hidden, hidden, layers, intermediate, 1e-6, True, False, 1, 2)
    types = {"model.embeddings.weight": "F16"}
    tensors = {
        name: RandomTensor(name, path, types.get(name, "F32"), shape, 0)
        for name, shape in expected_shapes(config).items()
    }
    step = StepBuilder(config, tensors, naive=False).build()
    for seed, constant in enumerate(step.builder.initializers.values()):
        if constant.name.endswith(".trits"):
            count = int(np.prod(constant.shape))
            object.__setattr__(constant, "chunks", lambda count=count, seed=seed: random_trits(count, seed))
        elif constant.name.endswith(".scale"):
            object.__setattr__(constant, "chunks", lambda: [np.asarray([0.02], np.float32)])
    with writing(path, force=True) as output:
        write_model(output, step, {}, external=True, progress=lambda name: None)


def anonymous_bytes() -> int:
    """Anonymous memory of this process."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


class Watch:
    """The most anonymous memory while something runs."""

    def __init__(self) -> None:
        self.peak = anonymous_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, anonymous_bytes())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


def measure(path: Path) -> None:
    """Import once; print seconds, those of the processors, the peak of anonymous memory, and what was there before."""
    before = anonymous_bytes()
    start, busy = time.perf_counter(), time.process_time()
    with Watch() as watch:
        imported = import_onnx(path)
    seconds = time.perf_counter() - start
    assert imported.module is not None
    print(seconds, time.process_time() - busy, watch.peak, before)


def import_once(path: Path) -> list[float]:
    command = [sys.executable, __file__, "--measure", str(path)]
    return [
        float(figure) for figure in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    ]


def report(name: str, path: Path) -> None:
    import_once(path)  # file cache
    runs = [import_once(path) for _ in range(RUNS)]
    seconds = sorted(run[0] for run in runs)
    busy, peak, before = (statistics.median(run[1] for run in runs), *(max(run[k] for run in runs) for k in (2, 3)))
    data = sum(file.stat().st_size for file in path.parent.iterdir())
    print(f"import {name} ({data / 1e9:.2f} GB): {statistics.median(seconds):.2f} s", end=" ")
    print(
        f"(measured, {seconds[0]:.2f} to {seconds[-1]:.2f} over {RUNS} runs), {busy:.2f} s of the processors,", end=" "
    )
    print(f"anonymous memory {peak / 2**20:.0f} MiB at most, of which {before / 2**20:.0f} MiB were there before")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", nargs="?", choices=SIZES, default="370M")
    parser.add_argument("--keep", type=Path, help="folder for the model")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = (given.keep or Path(scratch)) / given.size / "model.onnx"
        if not path.exists():
            write_random_model(path, *SIZES[given.size])
        report(given.size, path)


if __name__ == "__main__":
    main()
