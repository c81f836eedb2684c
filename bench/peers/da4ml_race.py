"""tritloom against da4ml in one run: adders of constant ternary matrices, both without a limit to the depth.

da4ml (constant-matrix multiplication by distributed arithmetic) weighs its pairs with the range of the codes and is
given it, so that it has a graph for each width of code; tritloom has one for all. Of both the adders are counted
(counted), and LUTs are the sum of the adders' widths (estimated): the width that the range of a result needs, without
the lowest bits of a shifted sum, which pass by. A negated result is an adder, 0 - x. Seconds are of the CPU, all
threads together, for one graph (measured). da4ml comes from PyPI into an environment of its own, in a temporary folder
or the one given, which is kept.

    python bench/peers/da4ml_race.py [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritloom.analysis.adders import ZERO, Trits, width_of
from tritloom.analysis.sharing import share
from tritloom.analysis.stage_traits import HARD_WIRED_TRITS
from tritloom.frontend import import_onnx
from tritloom.ir import tern

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from adders import random_matrices  # noqa: E402

PACKAGE = "da4ml==0.6.0"
WORKER = Path(__file__).with_name("da4ml_worker.py")
NETS = ("digits/mlp", "fashion/mlp", "fashion/cnn", "vowels/cnn")
BITS = (2, 4, 8)
"""Of the codes, which are signed."""
Adders = Sequence[Sequence[int]]
Outputs = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Graph:
    """What an adder graph takes, with the width of its adders for codes of each of `BITS`."""

    adders: int
    depth: int
    luts: dict[int, int]
    seconds: float


@dataclass(frozen=True)
class Row:
    """A matrix."""

    name: str
    shape: tuple[int, int]
    tritloom: Graph
    da4ml: Graph


def matrices() -> Iterator[tuple[str, Trits]]:
    """Those of `bench/adders.py`, and the layers of the examples that can be hard-wired."""
    for trits in random_matrices():
        yield f"random {trits.shape[0]}x{trits.shape[1]}", trits
    for name in NETS:
        imported = import_onnx(ROOT / "examples" / f"{name}.onnx")
        layers = [op for op in imported.module.walk() if isinstance(op, tern.DenseOp | tern.Conv2dOp)]
        for number, layer in enumerate(layers, 1):
            trits = imported.store.matrix(imported.module, layer.weight.root_reference.data)
            dense = isinstance(layer, tern.DenseOp) or layer.groups.value.data == 1
            if dense and trits.size <= HARD_WIRED_TRITS:
                yield f"{name}, layer {number}", trits


def measured(trits: Trits, adders: Adders, outputs: Outputs, bits: int) -> tuple[int, int]:
    """Depth and LUTs of adders as da4ml_worker.py lists them, for codes of a width."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    zero = np.zeros(trits.shape[1], np.int64)
    values, levels, luts = [*np.eye(trits.shape[1], dtype=np.int64)], [0] * trits.shape[1], 0
    for left, right, subtract, shift_left, shift_right in adders:
        a = zero if left == ZERO else values[left] << shift_left
        b = values[right] << shift_right
        values.append(a - b if subtract else a + b)
        levels.append(1 + max(0 if left == ZERO else levels[left], levels[right]))
        ends = np.stack([values[-1] * low, values[-1] * high])
        luts += width_of(int(ends.min(0).sum()), int(ends.max(0).sum())) - abs(shift_left - shift_right)
    rows = [zero if value == ZERO else values[value] << shift for value, shift in outputs]
    if not np.array_equal(np.stack(rows), trits):
        raise ValueError("the adders are not those of the matrix")
    return max(levels[value] for value, _ in outputs if value != ZERO), luts


def ours(trits: Trits) -> Graph:
    start = time.process_time()
    graph = share(trits)
    seconds = time.process_time() - start
    adders = [(adder.left, adder.right, int(adder.subtract), 0, 0) for adder in graph.adders]
    found = {bits: measured(trits, adders, [(value, 0) for value in graph.outputs], bits) for bits in BITS}
    return Graph(len(adders), found[BITS[0]][0], {bits: luts for bits, (_, luts) in found.items()}, seconds)


def theirs(trits: Trits, graphs: dict[str, Any]) -> Graph:
    """The fewest adders and the least depth and time of its graphs, the LUTs of each: to its advantage."""
    found = {bits: measured(trits, graphs[str(bits)]["adders"], graphs[str(bits)]["outputs"], bits) for bits in BITS}
    return Graph(
        min(len(graph["adders"]) for graph in graphs.values()),
        min(depth for depth, _ in found.values()),
        {bits: luts for bits, (_, luts) in found.items()},
        min(graph["seconds"] for graph in graphs.values()),
    )


def environment(folder: Path) -> Path:
    """The interpreter of an environment with da4ml."""
    python = folder / "da4ml" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "da4ml", with_pip=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", PACKAGE], check=True, stdout=sys.stderr)
    return python


def race(folder: Path) -> list[Row]:
    drawn = dict(matrices())
    np.savez(folder / "matrices.npz", **drawn)
    result = folder / "result.json"
    command = [str(environment(folder)), str(WORKER), str(folder / "matrices.npz"), str(result), *map(str, BITS)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    graphs = json.loads(result.read_text())
    return [Row(name, trits.shape, ours(trits), theirs(trits, graphs[name])) for name, trits in drawn.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep the environment here")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = race(folder.absolute())
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"{PACKAGE}; {datetime.datetime.now():%Y-%m-%d}; each cell: tritloom, da4ml")
    luts = " | ".join(f"LUT, {bits} bits" for bits in BITS)
    print(f"| matrix | rows x columns | adders | depth | {luts} | s of CPU |\n|{'---|' * (5 + len(BITS))}")
    for row in rows:
        a, b = row.tritloom, row.da4ml
        cells = [
            f"{a.adders:,}, {b.adders:,}",
            f"{a.depth}, {b.depth}",
            *(f"{a.luts[bits]:,}, {b.luts[bits]:,}" for bits in BITS),
            f"{a.seconds:.2f}, {b.seconds:.2f}",
        ]
        print(f"| {row.name} | {row.shape[0]} x {row.shape[1]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
