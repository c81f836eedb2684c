"""Adders of random hard-wired matrices, with and without shared pairs (counted), and the seconds that it takes."""

from __future__ import annotations

import time

import numpy as np
from tritloom.analysis.adders import plain_adders, share

SHAPES = ((32, 32), (64, 64), (64, 256), (128, 128))


def main() -> None:
    print("rows x columns, a third zeros: adders unshared, shared, in a row (counted); seconds (measured)")
    for shape in SHAPES:
        trits = np.random.default_rng(0).integers(-1, 2, shape).astype(np.int8)
        start = time.perf_counter()
        graph = share(trits)
        seconds = time.perf_counter() - start
        counts = f"{plain_adders(trits)}, {len(graph.adders)}, {graph.depth()}"
        print(f"{shape[0]} x {shape[1]}: {counts}; {seconds:.2f} s")


if __name__ == "__main__":
    main()
