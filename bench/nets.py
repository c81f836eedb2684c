"""Feed-forward nets: CPU seconds from ONNX to a running emulation, and the classic shapes on their boards.

Times are of the CPU (user and system, children too), the best of several runs, since other programs share the
machine. Frames a second, cycles and resources are estimated, initiations counted by the emulated kernel (simulated).

    python bench/nets.py [--quick] [--verify FRAMES] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tritloom.api import compile_model
from tritloom.frontend import import_onnx
from tritloom.ir.interpreter.net import NetInterpreter
from tritloom.runtime import load
from tritloom.verify import verify_bundle

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.feedforward import cnv, images, mlp, mobilenet, resnet, resnext  # noqa: E402

FASHION = ROOT / "examples" / "fashion"


@dataclass(frozen=True)
class Turnaround:
    """CPU seconds of `tritloom compile` and of the C++ compiler, both cold; ms a sample (all measured)."""

    net: str
    compile_seconds: float
    build_seconds: float
    sample_ms: float

    @property
    def seconds(self) -> float:
        return self.compile_seconds + self.build_seconds


@dataclass(frozen=True)
class Row:
    """A net on a board. `difference` is counted over estimated initiations a frame, less one; `checks` are those of
    `tritloom verify` on so many frames, and `failed` the names of those that did not pass."""

    net: str
    board: str
    target_fps: int | None
    frames_per_second: float
    cycles: int
    counted: float
    difference: float
    lut: float
    ff: float
    dsp: float
    bram36: float
    compile_seconds: float
    frame_ms: float
    frames: int
    equal: bool
    checks: int
    failed: list[str]
    verified: int

    @property
    def good(self) -> bool:
        return self.equal and not self.failed


def children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spent(work: Callable[[], object], runs: int) -> float:
    """The least CPU seconds of this process in several runs."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


@contextmanager
def cold_cache() -> Iterator[Path]:
    """A folder, with an empty cache of compiled emulations while it is there."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        try:
            yield Path(folder)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def turnaround(model: Path, x: NDArray[np.generic], board: str, fps: int, runs: int) -> Turnaround:
    """A fresh process and an empty cache of emulations for every compilation.

    As in an installation, Python's bytecode is there: a run that is not counted writes it.
    """
    compiled, built, sample = [], [], []
    command = [sys.executable, "-m", "tritloom", "compile", str(model), "--board", board, "--target-fps", str(fps)]
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        for run in range(-1, runs):
            with cold_cache() as folder:
                start = children()
                subprocess.run(
                    [*command, "-o", str(folder / "bundle")], check=True, capture_output=True, env=environment
                )
                if run < 0:
                    continue
                compiled.append(children() - start)
                start = children()
                with load(folder / "bundle", device="emulated") as session:
                    built.append(children() - start)
                    sample.append(spent(lambda: session.run(None, {"x": x}), 3) / len(x) * 1e3)
    best = min(range(runs), key=lambda run: compiled[run] + built[run])
    return Turnaround(model.name, compiled[best], built[best], min(sample))


def row(
    name: str, model: onnx.ModelProto, board: str, fps: int | None, frames: int, runs: int, verified: int | None
) -> Row:
    """Compile, emulate, compare with the interpreter on the net as it was imported, and verify as users do."""
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    x = images(shape, frames, seed=1)
    with cold_cache() as folder:
        file = folder / f"{name}.onnx"
        onnx.save(model, file)
        seconds = spent(lambda: compile_model(file, board, folder / "bundle", force=True, fps=fps), runs)
        found = compile_model(file, board, folder / "bundle", force=True, fps=fps).estimate
        imported = import_onnx(file)
        wanted = NetInterpreter(imported.module, imported.store).run({"x": x})["scores"]
        with load(folder / "bundle", device="emulated") as session:
            counts = []
            for batch in (x[:1], x):
                (scores,) = session.run(None, {"x": batch})
                counts.append(session.last_counters.cycles)
            frame_ms = spent(lambda: session.run(None, {"x": x}), runs) / frames * 1e3
        report = verify_bundle(folder / "bundle", model=file, frames=verified)
    counted = (counts[1] - counts[0]) / (frames - 1)
    used = {each.resource: each.used for each in found.resources}
    return Row(
        net=name,
        board=board,
        target_fps=fps,
        frames_per_second=found.frames_per_second,
        cycles=found.cycles_per_frame,
        counted=counted,
        difference=counted / found.cycles_per_frame - 1,
        lut=used["lut"],
        ff=used["ff"],
        dsp=used["dsp"],
        bram36=used["bram36"],
        compile_seconds=seconds,
        frame_ms=frame_ms,
        frames=frames,
        equal=bool(np.array_equal(scores, wanted)),
        checks=len(report.checks),
        failed=[check.name for check in report.checks if not check.passed],
        verified=report.tokens,
    )


def shapes(quick: bool, verified: int | None) -> Iterator[Row]:
    runs, frames = (1, 3) if quick else (3, 8)
    yield row("MLP 784-256-256-10", mlp(784, 256, 256, 10), "pynq-z2", 100_000, 16 * frames, runs, verified)
    if quick:
        return
    vgg = cnv()
    for board in ("pynq-z2", "kv260"):
        yield row("CNV-like VGG", vgg, board, None, frames, runs, verified)
    yield row("MobileNet-like, 96x96", mobilenet(), "zcu104", None, frames, runs, verified)
    yield row("ResNet-20-like", resnet(), "zcu104", None, frames, runs, verified)
    for fps in (10_000, None):
        yield row("ResNeXt-like, 4 groups", resnext(), "pynq-z2", fps, frames, runs, verified)
        yield row("the same without groups", resnext(groups=1), "pynq-z2", fps, frames, runs, verified)


def fashion_images(count: int) -> NDArray[np.uint8]:
    """Held-out images [count, 1, 28, 28]."""
    return np.load(FASHION / "heldout.npz")["x"][:count]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run each, the perceptron only")
    parser.add_argument("--verify", type=int, metavar="FRAMES", help="verify on so many frames instead of a budget")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    first = turnaround(
        FASHION / "mlp.float.onnx", fashion_images(256), "pynq-z2", 100_000, runs=1 if arguments.quick else 5
    )
    if not arguments.json:
        print(f"fashion MLP 784-256-256-10, PYNQ-Z2 at 100,000 frames/s, {first.net} (measured)")
        print(f"  tritloom compile, fresh process   {first.compile_seconds:6.2f} s of CPU")
        print(f"  g++ build of its emulation        {first.build_seconds:6.2f} s of CPU")
        print(f"  together                          {first.seconds:6.2f} s of CPU, goal under 3")
        print(f"  emulation                         {first.sample_ms:6.3f} ms a sample, goal under 0.5")
        print("\ncompile, ms: measured; counted: simulated; the rest estimated")
        titles = "net|board|frames/s|cycles|counted|LUT|FF|DSP|BRAM36|compile s|ms|equal|verified".split("|")
        print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    rows = []
    for found in shapes(arguments.quick, arguments.verify):
        rows.append(found)
        if not arguments.json:
            print(
                f"| {found.net} | {found.board} | {found.frames_per_second:,.0f} | {found.cycles:,} |"
                f" {found.counted:,.0f} ({found.difference:+.2%}) | {found.lut:,.0f} | {found.ff:,.0f} |"
                f" {found.dsp:,.0f} | {found.bram36:g} | {found.compile_seconds:.1f} | {found.frame_ms:.2f} |"
                f" {'yes' if found.equal else 'NO'}, {found.frames} |"
                f" {found.checks - len(found.failed)} of {found.checks} on {found.verified:,} |",
                flush=True,
            )
    if arguments.json:
        print(json.dumps({"turnaround": asdict(first), "shapes": [asdict(found) for found in rows]}, indent=2))
    return 0 if all(found.good for found in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
