"""Prints results.json as the tables of README.md: `python -m bench.area.table`."""

from __future__ import annotations

from itertools import groupby

from .measure import Result, load

PUBLISHED = (
    ("dot product, int8, a trit of 80", "14.2", "dot product", {"kind": "signed", "bits": 8, "simd": 80}, 80),
    ("dot product, int4, a trit of 32", "8.2", "dot product", {"kind": "signed", "bits": 4, "simd": 32}, 32),
    ("dot product, int2, a trit of 32", "5.3", "dot product", {"kind": "signed", "bits": 2, "simd": 32}, 32),
    ("requantiser, 24 x 16 bits, 1 DSP", "20", "requantiser", {"accumulator": 24, "multiplier": 16, "out": 8}, 1),
    ("the same without DSP, 20 x 16 bits", "844 (24 x 16)", "requantiser without DSP", {"accumulator": 20}, 1),
    ("3 thresholds of 24 bits", "50", "thresholds, parallel", {"accumulator": 24, "levels": 3}, 1),
    ("15 thresholds of 24 bits", "258", "thresholds, parallel", {"accumulator": 24, "levels": 15}, 1),
    ("255 thresholds of 24 bits, searched", "338", "thresholds, binary search", {"key": 24, "levels": 255}, 1),
    ("hard-wired, 2 bits, a weight", "1.43 (64 x 64)", "hard-wired, plain", {"rows": 32, "bits": 2}, 1024),
    ("the same, pairs shared", "1.19 (64 x 64)", "hard-wired, shared pairs", {"rows": 32, "bits": 2}, 1024),
    ("hard-wired, 8 bits, a weight", "3.68 (64 x 64)", "hard-wired, plain", {"rows": 32, "bits": 8}, 1024),
    ("the same, pairs shared", "2.81 (64 x 64)", "hard-wired, shared pairs", {"rows": 32, "bits": 8}, 1024),
)
"""Block, LUTs of an earlier table (yosys too), where ours is, and what it is divided by (all weights, zeros too)."""


def find(results: list[Result], block: str, parameters: dict[str, int | str]) -> Result | None:
    for result in results:
        if (result.block, result.family) == (block, "xc7") and parameters.items() <= result.parameters.items():
            return result
    return None


def number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def main() -> None:
    results = load()
    print("| block | published LUT | measured LUT |\n|---|---|---|")
    for name, published, block, parameters, divisor in PUBLISHED:
        if found := find(results, block, dict(parameters)):
            print(f"| {name} | {published} | {number(found.lut / divisor)} |")
    print("\n| block | point | LUT | FF | DSP | BRAM36 | CARRY | UltraScale+: LUT, FF, CARRY |")
    print("|---" * 8 + "|")
    for block, group in groupby((result for result in results if result.family == "xc7"), lambda result: result.block):
        for result in group:
            point = ", ".join(f"{name} {value}" for name, value in result.parameters.items())
            cells = (result.lut, result.ff, result.dsp, number(result.bram36), result.carry)
            also = [r for r in results if r.family == "xcup" and r.key[:2] == result.key[:2]]
            other = ", ".join(f"{r.lut}, {r.ff}, {r.carry}" for r in also)
            print(f"| {block} | {point} | {' | '.join(map(str, cells))} | {other} |")


if __name__ == "__main__":
    main()
