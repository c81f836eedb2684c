"""tritloom against hls4ml in one run: the fashion MLP 784-256-256-10, QONNX, from file to running g++ emulation.

Measured, in CPU seconds (user and system, children too), the best of several runs. hls4ml comes from PyPI into an
environment of its own, in a temporary folder or the one given, which is kept.

    python bench/peers/hls4ml_race.py [--folder DIR] [--samples N] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tritloom.api import compile_model
from tritloom.runtime import load

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nets import FASHION, cold_cache, fashion_images, turnaround

PACKAGES = ("hls4ml==1.3.0", "qonnx==1.0.0", "onnxruntime")
MODEL = FASHION / "mlp.qonnx.onnx"
WORKER = Path(__file__).with_name("hls4ml_worker.py")


def environment(folder: Path) -> Path:
    """The interpreter of an environment with hls4ml."""
    python = folder / "hls4ml" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "hls4ml", with_pip=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
    return python


def theirs(folder: Path, x: np.ndarray, runs: int) -> dict[str, Any]:
    python = environment(folder)
    np.save(folder / "images.npy", x)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    with (folder / "hls4ml.log").open("w") as log:
        command = [str(python), str(WORKER), str(MODEL), str(folder / "images.npy"), str(work), str(runs)]
        subprocess.run(command, check=True, stdout=log, stderr=log)
    return json.loads((work / "result.json").read_text())


def agreement(x: np.ndarray, classes: list[int]) -> float:
    """Share of the samples in which our class is qonnx's."""
    with cold_cache() as folder:
        compile_model(MODEL, "pynq-z2", folder / "bundle", fps=100_000)
        with load(folder / "bundle", device="emulated") as session:
            (scores,) = session.run(None, {session.get_inputs()[0].name: x})
    return float((scores.reshape(len(x), -1).argmax(1) == np.array(classes)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep the environment here")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    x = fashion_images(arguments.samples).astype(np.float32) / np.float32(255)
    ours = turnaround(MODEL, x, "pynq-z2", 100_000, arguments.runs)
    with tempfile.TemporaryDirectory() as temporary:
        peer = theirs((arguments.folder or Path(temporary)).absolute(), x, arguments.runs)
    classes = peer.pop("classes", None)
    same = agreement(x, classes) if classes else None
    if arguments.json:
        print(json.dumps({"tritloom": asdict(ours) | {"agreement": same}, "hls4ml": peer}, indent=2))
        return
    versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
    print(f"{MODEL.name}, {len(x)} samples, best of {arguments.runs}; {datetime.datetime.now():%Y-%m-%d}; {versions}")
    if "refused" in peer:
        print(f"hls4ml refused the net: {peer['refused']}")
        return
    print(f"hls4ml on the file as it is: {peer['as_exported']}")
    convert = peer["import_seconds"] + peer["convert_seconds"]
    rows = [
        ("start and convert, s of CPU", ours.compile_seconds, convert),
        ("g++ build of the emulation, s of CPU", ours.build_seconds, peer["build_seconds"]),
        ("together, s of CPU", ours.seconds, convert + peer["build_seconds"]),
        ("emulation, ms of CPU a sample", ours.sample_ms, peer["sample_ms"]),
    ]
    print("| measured | tritloom | hls4ml |\n|---|---|---|")
    for name, mine, other in rows:
        print(f"| {name} | {mine:.3g} | {other:.3g} |")
    print(f"| classes equal to qonnx's executor | {same:.1%} | {peer['agreement']:.1%} |")


if __name__ == "__main__":
    main()
