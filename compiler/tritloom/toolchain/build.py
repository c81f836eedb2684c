"""Bundle -> overlay: runs the stages that are not up to date, checks their reports, installs the products."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..runtime.kernel_manifest import canonical_hash
from .checks import check_hls, timing_failure
from .errors import ToolError
from .figures import Figures, read_figures, write_report
from .find import find_hls, find_tool
from .machine import Local, Machine, Remote, locked
from .messages import KILLED_HINT, first_error, tcl_error
from .overlay import install, overlay_record
from .project import Project
from .record import Record
from .stages import NAMES, STAGES, Job, Stage
from .versions import Version


class Observer(Protocol):
    """Who is told how a build gets on."""

    def started(self, stage: str, title: str, tool: str) -> None: ...

    def line(self, stage: str, text: str) -> None: ...

    def ended(self, stage: str, seconds: float, kept: bool) -> None: ...


class Silent:
    """An observer that looks away."""

    def started(self, stage: str, title: str, tool: str) -> None:
        pass

    def line(self, stage: str, text: str) -> None:
        pass

    def ended(self, stage: str, seconds: float, kept: bool) -> None:
        pass


@dataclass(frozen=True)
class BuildOptions:
    """How to build."""

    tool_version: Version | None = None
    """Release to use; the first on the search path where it is None."""
    hls: str | None = None
    """Program that runs HLS: vitis-run, vitis_hls or v++; the first that can where it is None."""
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes of Vivado at once."""
    stop_after: str | None = None
    """The last stage to run: hls, synth or impl; all and the overlay where it is None."""
    remote: str | None = None
    """Machine to build on, as ssh takes it."""
    ssh: Sequence[str] = ("ssh",)
    keep_going: bool = False
    """Go on where HLS misses an interval, its clock, or expects more logic than the board has."""
    force: bool = False
    """Run every stage again."""


@dataclass(frozen=True)
class StageResult:
    """A stage of a build."""

    name: str
    tool: str
    seconds: float
    kept: bool
    """It was up to date, so it did not run."""


@dataclass(frozen=True)
class BuildResult:
    """What a build left."""

    folder: Path
    stages: tuple[StageResult, ...]
    figures: Figures
    warnings: tuple[str, ...]
    overlay: Mapping[str, Any] | None
    """Content of overlay.json; None where the build was to stop before."""


def build_bundle(folder: Path, options: BuildOptions | None = None, observer: Observer | None = None) -> BuildResult:
    """Build the overlay of a bundle, or go on where the last build stopped.

    Raises:
        ToolError: the bundle is damaged, a tool is missing, a stage failed, or a report shows that the design
            misses what was asked of it. overlay/ is then as it was.
    """
    options, observer = options or BuildOptions(), observer or Silent()
    project = Project.open(folder)
    machine = _machine(project, options)
    project.logs.mkdir(exist_ok=True)
    with locked(project.logs):
        job = _job(project, machine, options)
        return _Build(job, machine, options, observer).run()


def _machine(project: Project, options: BuildOptions) -> Machine:
    if options.remote is None:
        return Local()
    place = f".cache/tritloom/{canonical_hash({'folder': str(project.root)})[:16]}"
    return Remote(options.remote, place, options.ssh)


def _job(project: Project, machine: Machine, options: BuildOptions) -> Job:
    project.script("hls")
    hls = find_hls(machine, options.tool_version, options.hls)
    implementer = None
    if options.stop_after != "hls":
        project.script("impl")
        name, title = ("v++", "v++") if project.alveo else ("vivado", "Vivado")
        implementer = find_tool(machine, name, title, options.tool_version or hls.version)
    return Job(project, hls, implementer, options.jobs, machine.name)


class _Build:
    """One run through the stages."""

    def __init__(self, job: Job, machine: Machine, options: BuildOptions, observer: Observer) -> None:
        self._job, self._machine, self._options, self._observer = job, machine, options, observer
        self._project = job.project
        self._record = Record(job.project.root)
        self._results: list[StageResult] = []
        self._warnings: list[str] = []
        self._figures = Figures()

    def run(self) -> BuildResult:
        last = self._options.stop_after
        before: Mapping[str, str] = {}
        try:
            for stage in STAGES if last is None else STAGES[: NAMES.index(last) + 1]:
                before = self._stage(stage, before)
                self._figures = read_figures(self._project, self._furthest())
                self._check(stage)
        finally:
            if self._figures.hls is not None:
                write_report(self._project, self._figures, self._record.finished())
        overlay = None
        if last is None:
            overlay = overlay_record(self._project.kernel, self._job.tools, self._project.products)
            install(self._project.root, overlay, self._project.products)
        return BuildResult(self._project.root, tuple(self._results), self._figures, tuple(self._warnings), overlay)

    def _furthest(self) -> str:
        """The last stage whose products are there: an earlier build may have got further than this one is to."""
        return [name for name in NAMES if self._record.get(name) is not None][-1]

    def _inputs(self, stage: Stage, before: Mapping[str, str]) -> dict[str, Any]:
        tool = stage.tool(self._job)
        # A project of Vivado holds paths of the machine it was made on; the kernel's IP does not.
        machine = self._job.machine if stage.name != "hls" else ""
        return {
            "stage": stage.name,
            "tool": tool.as_dict(),
            "machine": machine,
            "files": dict(stage.inputs(self._job)),
            "before": dict(before),
        }

    def _stage(self, stage: Stage, before: Mapping[str, str]) -> Mapping[str, str]:
        """Run a stage unless it is up to date; its outputs."""
        tool = stage.tool(self._job)
        inputs = self._inputs(stage, before)
        kept = not self._options.force and self._record.fresh(stage.name, inputs)
        self._observer.started(stage.name, stage.title, str(tool))
        start = time.monotonic()
        if not kept:
            self._record.forget(*NAMES[NAMES.index(stage.name) :])
            self._run(stage)
            outputs = self._outputs(stage)
            self._record.finish(stage.name, inputs, outputs, tool.as_dict(), time.monotonic() - start)
        done = self._record.get(stage.name)
        seconds = done.seconds if done is not None else 0.0
        self._observer.ended(stage.name, seconds, kept)
        self._results.append(StageResult(stage.name, str(tool), seconds, kept))
        return done.outputs if done is not None else {}

    def _run(self, stage: Stage) -> None:
        stage.prepare(self._job)
        self._machine.send(self._project.root)
        commands = stage.commands(self._job)
        try:
            for index, (folder, command) in enumerate(commands):
                name = stage.name if index == 0 else f"{stage.name}-{index + 1}"
                log = _fresh_log(self._project.logs / f"{name}.log")
                status = self._machine.run(command, folder, log, lambda text: self._observer.line(stage.name, text))
                if status:
                    self._machine.fetch(self._project.root)
                    raise self._failure(stage, log, status)
            self._machine.fetch(self._project.root)
        finally:
            self._keep_logs(stage)

    def _keep_logs(self, stage: Stage) -> None:
        """Copy the logs of the tool's own processes; a later run takes the originals away."""
        folder = self._project.hls if stage.name == "hls" else self._project.build
        for log in self._project.run_logs():
            if log.is_relative_to(folder):
                shutil.copyfile(log, self._kept_log(stage, log))

    def _outputs(self, stage: Stage) -> list[Path]:
        outputs = stage.outputs(self._job)
        missing = [path for path in outputs if not path.exists() or (path.is_file() and not path.stat().st_size)]
        if missing:
            log = self._project.logs / f"{stage.name}.log"
            finding = first_error(log, self._project.run_logs())
            said = f"\n  {finding.message}" if finding is not None else ""
            name = missing[0].relative_to(self._project.root)
            what = "an empty" if missing[0].exists() else "no"
            raise ToolError(
                f"{stage.name}: {stage.tool(self._job)} ended without complaint but left {what} {name}{said}",
                f"see {log}",
            )
        return outputs

    def _failure(self, stage: Stage, log: Path, status: int) -> ToolError:
        """What went wrong: the figures where they tell it, else the first real error of the logs."""
        tool = stage.tool(self._job)
        if stage.name == "impl":
            self._figures = read_figures(self._project, stage.name)
            if self._figures.timing is not None and not self._figures.timing.met:
                return timing_failure(self._project, self._figures.timing, self._figures.hls)
        finding = first_error(log, self._project.run_logs()) or tcl_error(log)
        if status < 0 or (finding is None and status == 1 and _killed(log)):
            signal = f"signal {-status}" if status < 0 else "the system"
            return ToolError(f"{stage.name}: {tool} was ended by {signal}\n  see {log}", KILLED_HINT)
        if finding is None:
            return ToolError(f"{stage.name}: {tool} ended with status {status}\n  see {log}", "its log may say why")
        where = f"\n  source: {self._inside(finding.file)}" if finding.file else ""
        place = f"{self._kept_log(stage, finding.log)}:{finding.line}"
        text = f"{stage.name}: {tool} failed: {_sentences(finding.message)}{where}\n  {place}"
        return ToolError(text, finding.hint or "the log has the context; the build goes on where it stopped")

    def _inside(self, place: str) -> str:
        """A source file as the bundle has it."""
        return f"hls/{place}" if (self._project.hls / place.rpartition(":")[0]).is_file() else place

    def _kept_log(self, stage: Stage, log: Path) -> Path:
        """Where a log of the tool's own processes is kept."""
        if log.is_relative_to(self._project.logs):
            return log
        return self._project.logs / f"{stage.name}-{log.parent.name}-{log.name}"

    def _check(self, stage: Stage) -> None:
        if stage.name != "hls" or self._figures.hls is None:
            return
        found = check_hls(self._project, self._figures.hls)
        if found and not self._options.keep_going:
            raise found[0]
        self._warnings += [problem.message for problem in found]


def _sentences(text: str, most: int = 250) -> str:
    """As many whole sentences as fit; at least the first."""
    kept = ""
    for sentence in re.split(r"(?<=\.) (?=[A-Z])", text):
        if kept and len(kept) + len(sentence) > most:
            break
        kept = f"{kept} {sentence}".strip()
    return kept


def _fresh_log(log: Path) -> Path:
    """Where to log; the log of the run before is kept beside."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    return log


def _killed(log: Path) -> bool:
    """Whether the tool's own wrapper says that it was killed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return any(" Killed " in f"{line} " for line in lines[-20:])
