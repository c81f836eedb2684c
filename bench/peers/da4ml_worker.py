"""Adders that da4ml finds for constant matrices; run by the interpreter of its environment, which has no tritloom.

python da4ml_worker.py MATRICES.npz RESULT.json BITS...
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from da4ml.cmvm import solve

ZERO = -1


def flat(pipeline: Any, inputs: int) -> dict[str, Any]:
    """The two parts of a solution as one list of adders, [left, right, subtract, shift of left, shift of right].

    Value k is an input, value inputs + i the result of adder i. A negated result is one more adder, 0 - value.
    """
    adders: list[list[int]] = []

    def add(left: int, right: int, subtract: int, shifts: tuple[int, int]) -> int:
        adders.append([left, right, subtract, *shifts])
        return inputs + len(adders) - 1

    values = [(k, 0) for k in range(inputs)]  # a value and what it is shifted by
    for part in pipeline.solutions:
        local: list[tuple[int, int]] = []
        for op in part.ops:
            if op.opcode == -1:
                local.append(values[op.id0])
                continue
            if op.opcode not in (0, 1):
                raise ValueError(f"no adder: {op}")
            (left, shift_left), (right, shift_right) = local[op.id0], local[op.id1]
            shift_right += op.data
            common = min(shift_left, shift_right)
            local.append((add(left, right, op.opcode, (shift_left - common, shift_right - common)), common))
        values = []
        for index, shift, negative in zip(part.out_idxs, part.out_shifts, part.out_negs, strict=True):
            value, by = local[index] if index >= 0 else (ZERO, 0)
            if negative and value != ZERO:
                value = add(ZERO, value, 1, (0, 0))
            values.append((value, by + int(shift)))
    return {"adders": adders, "outputs": values}


def solution(trits: np.ndarray, bits: int) -> dict[str, Any]:
    """Of one matrix [N, K] and signed codes, with da4ml's defaults: no limit to the depth."""
    interval = (float(-(1 << (bits - 1))), float((1 << (bits - 1)) - 1), 1.0)
    kernel = np.ascontiguousarray(trits.T, np.float32)
    start = time.process_time()
    found = solve(kernel, qintervals=[interval] * trits.shape[1])
    seconds = time.process_time() - start
    return flat(found, trits.shape[1]) | {"seconds": seconds}


def main() -> None:
    file, result, *bits = sys.argv[1:]
    with np.load(file) as matrices:
        graphs = {name: {width: solution(matrices[name], int(width)) for width in bits} for name in matrices.files}
    Path(result).write_text(json.dumps(graphs))


if __name__ == "__main__":
    main()
