"""Measures the blocks of the dataflow mapping with yosys and simulates their netlists: `python -m bench.area`.

Needs the extra `[bench]` (yosys) and Icarus Verilog. Points that results.json has are not measured again,
unless `--again`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from . import arithmetic, matrix, storage
from .cases import Case
from .measure import Result, load, measure, save
from .synthesis import YOSYS, version


def points() -> Iterator[tuple[Case, str]]:
    for case in (*arithmetic.cases(), *storage.cases(), *matrix.cases()):
        for family in ("xc7", "xcup") if case.both_families else ("xc7",):
            yield case, family


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.area", description=__doc__)
    parser.add_argument("names", nargs="*", help="measure only points whose name contains one of these")
    parser.add_argument("--again", action="store_true", help="measure what results.json has already, too")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if not YOSYS.exists() or shutil.which("iverilog") is None:
        sys.exit("yosys or Icarus Verilog is missing: pip install '.[bench]', and apt-get install iverilog")
    yosys = version()
    known = {result.key: result for result in load()}
    wanted = [
        (case, family)
        for case, family in points()
        if (not options.names or any(name in case.name for name in options.names))
        and (options.again or case.key(family) not in known)
    ]

    def run(point: tuple[Case, str]) -> Result:
        return measure(*point)

    order = [case.key(family) for case, family in points()]
    with ThreadPoolExecutor(options.jobs) as pool:
        for (case, family), result in zip(wanted, pool.map(run, wanted), strict=True):
            print(
                f"{case.name} {family}: {result.lut} LUT {result.ff} FF {result.dsp} DSP {result.bram36} BRAM36", end=""
            )
            print(f", {result.compared} values compared", flush=True)
            known[result.key] = result
            save([known[key] for key in order if key in known], yosys)


if __name__ == "__main__":
    main()
