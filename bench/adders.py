"""Adders of random hard-wired matrices, with and without shared pairs (counted), and the seconds that it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from tritloom.analysis.adders import Trits, plain_adders
from tritloom.analysis.sharing import share

SHAPES = ((32, 32), (64, 64), (64, 256), (128, 128))


def random_matrices() -> Iterator[Trits]:
    """A third of each is zeros."""
    for shape in SHAPES:
        yield np.random.default_rng(0).integers(-1, 2, shape).astype(np.int8)


def main() -> None:
    print("rows x columns, a third zeros: adders unshared, shared, in a row (counted); seconds of CPU (measured)")
    for trits in random_matrices():
        start = time.process_time()
        graph = share(trits)
        seconds = time.process_time() - start
        counts = f"{plain_adders(trits)}, {len(graph.adders)}, {graph.depth()}"
        print(f"{trits.shape[0]} x {trits.shape[1]}: {counts}; {seconds:.2f} s")


if __name__ == "__main__":
    main()
