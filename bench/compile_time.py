"""Seconds from the example's ONNX file to a written bundle (measured, median of several runs)."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tritloom.api import CompileResult, compile_model

MODEL = Path(__file__).resolve().parent.parent / "examples" / "matmulfree" / "model.onnx"
RUNS = 5


def compile_once(model: Path, board: str) -> CompileResult:
    with tempfile.TemporaryDirectory() as folder:
        return compile_model(model, board, Path(folder) / "bundle")


def main(model: Path = MODEL) -> None:
    compile_once(model, "kv260")  # imports and file cache
    for board in ("kv260", "pynq-z2"):
        results = [compile_once(model, board) for _ in range(RUNS)]
        seconds = sorted(result.seconds for result in results)
        print(f"compile {model.name} for {board}: {statistics.median(seconds):.2f} s", end=" ")
        print(f"(measured, {seconds[0]:.2f} to {seconds[-1]:.2f} over {RUNS} runs)")
        slowest = sorted(results[0].passes, key=lambda record: -record.seconds)[:4]
        print("  slowest passes: " + ", ".join(f"{record.name} {record.seconds * 1e3:.0f} ms" for record in slowest))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
