"""Public build scripts for PYNQ boards, run in the model: none of their text is kept here, only what they use.

By hand, with clones of the repositories of catalogue/sources.toml side by side in one folder:

    python tests/vivado/vivado_public.py FOLDER            # run each script, compare with the facts kept
    python tests/vivado/vivado_public.py FOLDER --record   # write the facts into public/
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import vivado_catalogue as catalogue
import vivado_model as model

RESIZE = model.Kernel("xilinx.com:hls:resize_accel:1.0", (("src", "axis", "slave"), ("dst", "axis", "master")))
JAM = model.Kernel("xilinx.com:hls:BlackBoxJam:1.0", (("m_axi_hostmem", "axi", "master"),))


@dataclass(frozen=True)
class PublicRun:
    """Scripts that belong together (keys of sources.toml), and what their machine has installed."""

    scripts: tuple[str, ...]
    part: str
    board: str = ""
    kernels: tuple[model.Kernel, ...] = ()


RUNS = (
    PublicRun(("resizer-z1",), "xc7z020clg400-1", kernels=(RESIZE,)),
    PublicRun(("resizer-z2", "resizer-z2-build"), "xc7z020clg400-1", kernels=(RESIZE,)),
    PublicRun(("resizer-zu",), "xczu5eg-sfvc784-1-e", "tul.com.tw:pynqzu:part0:1.1", (RESIZE,)),
    PublicRun(("resizer-u96",), "xczu3eg-sbva484-1-e", "avnet.com:ultra96v2:part0:1.2", (RESIZE,)),
    PublicRun(("resizer-zcu104",), "xczu7ev-ffvc1156-2-e", "xilinx.com:zcu104:part0:1.1", (RESIZE,)),
    PublicRun(("bnn-z",), "xc7z020clg400-1", kernels=(JAM,)),
    PublicRun(("bnn-u96",), "xczu3eg-sbva484-1-i", kernels=(JAM,)),
    PublicRun(("pynqz1-bsp", "pynqz1-bsp-build"), "xc7z020clg400-1"),
    PublicRun(("pynqzu-bsp",), "xczu5eg-sfvc784-1-e", "tul.com.tw:pynqzu:part0:1.1"),
    PublicRun(("rfsoc4x2-bsp",), "xczu48dr-ffvg1517-2-e", "realdigital.org:rfsoc4x2:part0:1.0"),
)
HLS_RUNS = {
    "resizer-hls": "-f script.tcl include",
    "bnn-hls": "-f script.tcl prj src params image 3 xc7z020clg400-1 10",
}


def text_of(clones: Path, source: str) -> str | None:
    """A public file at the commit that the catalogue names; None where its repository is not at hand."""
    entry = catalogue.sources()[source]
    clone = clones / entry["repository"].partition("/")[2]
    if not clone.exists():
        return None
    done = subprocess.run(
        ["git", "-C", clone, "show", f"{entry['commit']}:{entry['path']}"], capture_output=True, check=True
    )
    return done.stdout.decode("utf-8", errors="replace")


def installed(texts: Sequence[str]) -> str:
    """The IPs that scripts name, as if installed in just those versions."""
    found = {vlnv for text in texts for vlnv in re.findall(r"-vlnv (\S+:\S+:\S+:[\d.]+)", text)}
    return " ".join(sorted(found))


def run(
    clones: Path,
    case: PublicRun,
    folder: Path,
    *,
    learn: bool = False,
    change: Callable[[str], str] = lambda text: text,
) -> model.Ran | None:
    """Run scripts, changed, in the model; `learn` takes the parameters of processing systems as they come."""
    texts = [text_of(clones, script) for script in case.scripts]
    if None in texts:
        return None
    paths = []
    for script, text in zip(case.scripts, texts, strict=True):
        path = folder / f"{script}.tcl"
        path.write_text(change(text or ""), encoding="utf-8")
        paths.append(path)
    check = folder / "check.tcl"  # not every script validates what it made
    check.write_text("validate_bd_design\n", encoding="utf-8")
    paths.insert(1, check)
    version = re.search(r"scripts_vivado_version (\S+)", texts[0] or "")
    return model.run_vivado(
        paths,
        folder,
        kernels=case.kernels,
        ips=installed([text or "" for text in texts]),
        parts=case.part,
        boards=case.board,
        version=version.group(1) if version else "2024.1",
        learn=int(learn),
    )


def run_hls(clones: Path, source: str, folder: Path) -> model.Ran | None:
    """Run an HLS script in the model."""
    text = text_of(clones, source)
    if text is None:
        return None
    script = folder / "script.tcl"
    script.write_text(f"set ::env(XILINX_BNN_ROOT) .\n{text}", encoding="utf-8")
    return model.run_hls(script, folder, component=False, any_file=True, arguments=HLS_RUNS[source])


SYSTEMS = ("processing_system7", "zynq_ultra_ps_e")


def split_facts(facts: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A script's facts, and the parameters of processing systems among them: those are kept once for all scripts."""
    kept: list[str] = []
    names: dict[str, list[str]] = {system: [] for system in SYSTEMS}
    for fact in facts:
        words = fact.split()
        if words[0] == "parameter" and words[1] in SYSTEMS:
            names[words[1]].append(words[2])
        else:
            kept.append(fact)
    return kept, names


def record(script: str, facts: Sequence[str], parameters: dict[str, dict[str, str]]) -> None:
    """Write a script's facts; add the parameters that it is the first to set."""
    kept, names = split_facts(facts)
    (catalogue.PUBLIC / f"{script}.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
    for system, found in names.items():
        for name in found:
            parameters[system].setdefault(name, script)


def write_parameters(parameters: dict[str, dict[str, str]]) -> None:
    """The parameters of each processing system, a script's first ones together, eight a line."""
    for system, found in parameters.items():
        lines = []
        for script in dict.fromkeys(found.values()):
            names = [name for name, source in found.items() if source == script]
            lines += [f"{script}: {' '.join(names[at : at + 8])}" for at in range(0, len(names), 8)]
        (catalogue.FOLDER / f"{system}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    clones, recording = Path(sys.argv[1]), "--record" in sys.argv
    worst = 0
    parameters: dict[str, dict[str, str]] = {system: {} for system in SYSTEMS}
    for case in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            ran = run(clones, case, Path(folder), learn=recording)
        if ran is None:
            sys.stdout.write(f"{case.scripts[0]}: not at hand\n")
            continue
        sys.stdout.write(f"{case.scripts[0]}: {'accepted' if ran.code == 0 else ran.errors.splitlines()[0]}\n")
        worst = max(worst, ran.code)
        if recording and ran.code == 0:
            record(case.scripts[0], ran.facts, parameters)
    if recording:
        write_parameters(parameters)
    for source in HLS_RUNS:
        with tempfile.TemporaryDirectory() as folder:
            ran = run_hls(clones, source, Path(folder))
        if ran is not None:
            sys.stdout.write(f"{source}: {'accepted' if ran.code == 0 else ran.errors.splitlines()[0]}\n")
            worst = max(worst, ran.code)
    return worst


if __name__ == "__main__":
    sys.exit(main())
