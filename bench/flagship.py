"""Tokens per second, resources and memory of the published model sizes on their boards (estimated, not measured).

No weights are needed: the program of a MatMul-free LM follows from its sizes. The table of docs/estimate.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tritloom.analysis import default_limits, estimate
from tritloom.errors import InputError
from tritloom.targets import load_target

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "analysis"))
from programs import M370, M1300, M2700, labels, program

BOARDS = ("kv260", "pynq-z2")
MODELS = {"370M": M370, "1.3B": M1300, "2.7B": M2700}


def main() -> None:
    for board in BOARDS:
        target = load_target(board)
        for name, shape in MODELS.items():
            try:
                limits = default_limits(target, shape.needs())
            except InputError as error:
                print(f"{name} on {board}: refused: {error.message}")
                continue
            found = estimate(program(shape), limits, target, labels=labels(shape))
            shares = ", ".join(f"{use.resource.upper()} {use.share:.0%}" for use in found.resources if use.used)
            print(f"{name} on {board}: {found.tokens_per_second:.1f} tokens/s (estimated), ", end="")
            print(f"prompt {found.prompt.tokens_per_second:.0f} at B = {found.prompt.positions}, ", end="")
            print(f"bandwidth {found.bandwidth_share:.0%}, {shares}, {found.memory.contiguous / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
