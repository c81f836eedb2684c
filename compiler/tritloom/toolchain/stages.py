"""The stages of a build: the commands of each, what decides it, what it makes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .find import Tool
from .project import STEM, Project
from .record import digests
from .versions import flow_line

CONFIG: Final = "hls_build.cfg"
"""The config file of HLS with the lines that depend on the release."""
REPORTS: Final = {
    "utilisation": "utilization.rpt",
    "hierarchy": "utilization_hierarchical.rpt",
    "timing": "timing.rpt",
    "power": "power.rpt",
}
"""Reports that build.tcl leaves in vivado/build once the design is routed."""

Commands = list[tuple[Path, list[str]]]
"""Folder and command, in order."""


@dataclass(frozen=True)
class Job:
    """What the stages know."""

    project: Project
    hls: Tool
    implementer: Tool | None
    """Vivado, or v++ for Alveo; None where the build is to stop after HLS."""
    jobs: int
    machine: str

    @property
    def implement(self) -> Tool:
        """The implementer, of a build that has one."""
        if self.implementer is None:
            raise ValueError("this build stops after HLS")
        return self.implementer

    @property
    def tools(self) -> dict[str, Tool]:
        """Role -> tool."""
        if self.implementer is None:
            return {"hls": self.hls}
        return {"hls": self.hls, "vpp" if self.project.alveo else "vivado": self.implementer}


@dataclass(frozen=True)
class Stage:
    """A stage that runs a tool."""

    name: str
    title: str
    tool: Callable[[Job], Tool]
    prepare: Callable[[Job], None]
    """Take away what an earlier run made, and write the options of this one."""
    commands: Callable[[Job], Commands]
    inputs: Callable[[Job], Mapping[str, str]]
    outputs: Callable[[Job], list[Path]]
    """What must be there afterwards; every one is noted with its sha256."""


# ---------------------------------------------------------------- HLS


def _hls_prepare(job: Job) -> None:
    folder, kernel = job.project.hls, job.project.kernel_name
    for name in (f"{kernel}_hls", "work"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for product in (f"{kernel}.zip", f"{kernel}.xo"):
        (folder / product).unlink(missing_ok=True)
    if job.hls.name == "v++":
        text = (folder / "hls_config.cfg").read_text(encoding="utf-8")
        text = re.sub(
            r"^flow_target=(\w+)$", lambda found: flow_line(job.hls.version, found[1]), text, flags=re.MULTILINE
        )
        (folder / CONFIG).write_text(text, encoding="utf-8")


def _hls_commands(job: Job) -> Commands:
    tool, folder = job.hls, job.project.hls
    if tool.name == "vitis_hls":
        return [(folder, [tool.path, "-f", "run_hls.tcl"])]
    if tool.name == "vitis-run":
        return [(folder, [tool.path, "--mode", "hls", "--tcl", "run_hls.tcl"])]
    options = ["--config", CONFIG, "--work_dir", "work"]
    package = str(Path(tool.path).with_name("vitis-run"))
    return [
        (folder, [tool.path, "-c", "--mode", "hls", *options]),
        (folder, [package, "--mode", "hls", "--package", *options]),
    ]


def _hls_inputs(job: Job) -> dict[str, str]:
    project = job.project
    other = "run_hls.tcl" if job.hls.name == "v++" else "hls_config.cfg"
    files = [file for file in project.kernel_sources() if file.name != other]
    return digests(project.root, [*files, *project.hls.glob("hls_options.tcl")])


def _hls_outputs(job: Job) -> list[Path]:
    return [job.project.csynth(), job.project.kernel_ip() or job.project.hls / "component.xml"]


# ---------------------------------------------------------------- Vivado, or v++ for Alveo


def _synth_prepare(job: Job) -> None:
    shutil.rmtree(job.project.build, ignore_errors=True)
    (job.project.build / "products").mkdir(parents=True)


def _impl_prepare(job: Job) -> None:
    build = job.project.build
    shutil.rmtree(build / "products", ignore_errors=True)
    (build / "products").mkdir()
    for name in REPORTS.values():
        (build / name).unlink(missing_ok=True)


def _implement(job: Job, stage: str) -> Commands:
    folder, path = job.project.vivado, job.implement.path
    if not job.project.alveo:
        command = [path, "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "build.tcl"]
        return [(folder, [*command, "-tclargs", str(job.jobs), stage])]
    step = ["--to_step", "vpl.synth"] if stage == "synth" else ["--from_step", "vpl.impl"]
    kernel = f"../hls/{job.project.kernel_ip_path()}"
    command = [path, "-l", "-t", "hw", "--config", "link.cfg", "--save-temps", "--temp_dir", "build"]
    return [(folder, [*command, "--jobs", str(job.jobs), *step, "-o", f"build/products/{STEM}.xclbin", kernel])]


def _synth_inputs(job: Job) -> dict[str, str]:
    kernel = job.project.kernel_ip()
    files = [*job.project.scripts(), *([kernel] if kernel is not None else [])]
    return digests(job.project.root, files)


def _synth_outputs(job: Job) -> list[Path]:
    found = sorted(job.project.build.glob("**/*.dcp"))
    return found or [job.project.build / "synth_1" / "checkpoint.dcp"]


def _impl_outputs(job: Job) -> list[Path]:
    reports = [] if job.project.alveo else [job.project.build / name for name in REPORTS.values()]
    return [*job.project.products, *reports]


STAGES: Final = (
    Stage("hls", "C++ to RTL", lambda job: job.hls, _hls_prepare, _hls_commands, _hls_inputs, _hls_outputs),
    Stage(
        "synth", "block design, synthesis", lambda job: job.implement, _synth_prepare,
        lambda job: _implement(job, "synth"), _synth_inputs, _synth_outputs,
    ),
    Stage(
        "impl", "placement, routing, bitstream", lambda job: job.implement, _impl_prepare,
        lambda job: _implement(job, "impl"), _synth_inputs, _impl_outputs,
    ),
)  # fmt: skip
"""In order. After them comes `overlay`, which runs no tool: it installs the products."""

NAMES: Final = tuple(stage.name for stage in STAGES)
