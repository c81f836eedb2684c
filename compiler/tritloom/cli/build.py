"""`tritloom build`: a bundle becomes an overlay, with AMD's tools."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tritloom.errors import InputError

from .console import console, emit_json, note, show, table
from .options import Bundle, Debug, Json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from tritloom.toolchain import BuildResult

STAGES = ("hls", "synth", "impl")
HLS_PROGRAMS = ("vitis-run", "vitis_hls", "v++")


def build(
    bundle: Bundle,
    tool_version: Annotated[
        str | None, typer.Option(metavar="YEAR.N", help="Release of the tools, like 2024.1.")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes of Vivado at once.")] = None,
    stop_after: Annotated[str | None, typer.Option(metavar="hls|synth|impl", help="The last stage to run.")] = None,
    remote: Annotated[
        str | None, typer.Option(metavar="USER@HOST", help="Run the tools on another machine, over ssh and rsync.")
    ] = None,
    hls: Annotated[
        str | None, typer.Option("--hls", metavar="PROGRAM", help="Run HLS with vitis-run, vitis_hls or v++.")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on where HLS misses an interval, its clock or the board's size.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Run every stage again.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Build the bitstream of a bundle with Vitis HLS and Vivado.

    The stages are hls, synth, impl, and the overlay. A stage that is up to
    date is kept, so a build goes on where it stopped. Logs are in DIR/logs.
    """
    from tritloom.toolchain import BuildOptions, Version, build_bundle

    _among("--stop-after", stop_after, STAGES)
    _among("--hls", hls, HLS_PROGRAMS)
    options: dict[str, Any] = {"jobs": jobs} if jobs is not None else {}
    with Watch() as watch:
        result = build_bundle(
            bundle,
            BuildOptions(
                tool_version=Version.parse(tool_version) if tool_version is not None else None,
                hls=hls,
                stop_after=stop_after,
                remote=remote,
                keep_going=keep_going,
                force=force,
                **options,
            ),
            watch,
        )
    if as_json:
        emit_json(as_data(result))
    else:
        tell(bundle, result)


def _among(option: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InputError(f"{option} {value}: there is no such choice", f"choices: {', '.join(allowed)}")


def as_data(result: BuildResult) -> dict[str, Any]:
    """What `--json` prints."""
    timing = result.figures.timing
    return {
        "folder": str(result.folder),
        "stages": [vars(stage) for stage in result.stages],
        "warnings": list(result.warnings),
        "timing": timing.as_dict() if timing is not None else None,
        "overlay": result.overlay,
    }


def tell(bundle: Path, result: BuildResult) -> None:
    """Tables on stdout, what to do next on stderr."""
    from tritloom.report import comparison_table

    from .estimate import read

    implementation = read(bundle)["implementation"]
    data = comparison_table(implementation)
    right = "".join(">" if align == "right" else " " for _, align in data.columns)
    show(table([name for name, _ in data.columns], data.rows, title=data.title, right=right), "", *_figures(result))
    for warning in result.warnings:
        note(f"warning: {warning}")
    if result.overlay is not None:
        note(f"Wrote {', '.join(result.overlay['files'])} and overlay.json to {bundle / 'overlay'}.")
    else:
        note(f"Stopped after {result.stages[-1].name}; `tritloom build {bundle}` goes on from here.")


def _figures(result: BuildResult) -> list[Any]:
    figures, rows = result.figures, []
    if figures.timing is not None:
        rows.append(
            ("worst setup, hold slack", f"{figures.timing.wns:.3f}, {figures.timing.whs:.3f} ns", "implemented")
        )
    elif figures.hls is not None:
        clock = f"{figures.hls.estimated_ns:g} ns of {figures.hls.target_ns:g}"
        rows.append(("clock period", clock, "estimated by HLS"))
    if figures.power:
        rows.append(("power", f"{figures.power['total_w']} W", str(figures.power["label"])))
    return [table(("figure", "value", "how it is known"), rows)] if rows else []


class Watch:
    """Progress on stderr: a line a stage, live with the elapsed time where stderr is a terminal."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._label = ""
        self._start = 0.0

    def __enter__(self) -> Watch:
        if sys.stderr.isatty():
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.table import Column

            self._progress = Progress(
                SpinnerColumn(finished_text=" "),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[line]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
                console=console(sys.stderr),
                expand=True,
            )
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._progress is None:
            return
        if kind is not None and self._task is not None:
            self._progress.update(self._task, line="failed")
        self._progress.stop()

    def started(self, stage: str, title: str, tool: str) -> None:
        """A stage begins."""
        self._label, self._start = f"{stage:5}  {tool}", time.monotonic()
        if self._progress is not None:
            self._task = self._progress.add_task(f"{self._label:22}", total=1, line=title)
        else:
            note(f"{self._label}: {title}")

    def line(self, stage: str, text: str) -> None:
        """A line of the tool's output."""
        if self._progress is not None and self._task is not None and text.strip():
            self._progress.update(self._task, line=text.strip())

    def ended(self, stage: str, seconds: float, kept: bool) -> None:
        """A stage is done."""
        said = "up to date" if kept else "done"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=1, line=said)
        else:
            note(f"{self._label}: {said}" + ("" if kept else f" in {seconds:.0f} s"))
