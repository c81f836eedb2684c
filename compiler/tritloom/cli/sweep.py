"""`tritloom sweep`: one model on many kernels (boards, clocks, lanes, batches), built at once."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tritloom.errors import InputError

from .console import emit_json, note, show, table
from .options import Debug, Json, Model

if TYPE_CHECKING:
    from tritloom.toolchain.sweep import Outcome


@dataclass(frozen=True)
class Point:
    """One kernel of a sweep; None is the board's, or the compiler's, own choice."""

    board: str
    clock: float | None
    lanes: int | None
    batch: int | None

    @property
    def name(self) -> str:
        parts = (self.board, self.clock and f"{self.clock:g}mhz", self.lanes and f"l{self.lanes}")
        return "-".join(str(part) for part in (*parts, self.batch and f"b{self.batch}") if part)


def sweep(
    model: Model,
    board: Annotated[list[str], typer.Option("--board", "-b", help="A board; may be given more than once.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", file_okay=False, help="Folder of the bundles.")
    ],
    clock: Annotated[list[float] | None, typer.Option("--clock", metavar="MHZ", help="A clock, in MHz.")] = None,
    lanes: Annotated[list[int] | None, typer.Option("--lanes", help="Floats a cycle in the vector unit.")] = None,
    batch: Annotated[list[int] | None, typer.Option("--batch", help="Positions that share a pass.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="A running dask scheduler; a local one if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Builds at once, on the local scheduler.")] = 2,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes of Vivado in each build.")] = 2,
    tool_version: Annotated[str | None, typer.Option(metavar="YEAR.N", help="Release of the tools.")] = None,
    stop_after: Annotated[str | None, typer.Option(metavar="hls|synth|impl", help="The last stage to run.")] = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="As of tritloom build.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Build a model on every combination of boards, clocks, lanes and batches.

    A combination that the compiler refuses is listed and left out. Run again, the
    sweep goes on where it stopped. The figures are in DIR/sweep.json.
    """
    from tritloom.toolchain import BuildOptions, Version
    from tritloom.toolchain.sweep import build_many

    from .build import STAGES, _among

    _among("--stop-after", stop_after, STAGES)
    version = Version.parse(tool_version) if tool_version is not None else None
    options = BuildOptions(tool_version=version, jobs=jobs, stop_after=stop_after, keep_going=keep_going)
    points = list(_grid(board, clock, lanes, batch))
    output.mkdir(parents=True, exist_ok=True)
    refused = _compile_all(model, points, output)
    folders = {(output / point.name).resolve(): point for point in points if point.name not in refused}
    done: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        done.append(outcome)
        said = "built" if outcome.built else outcome.error.partition("\n")[0]
        note(f"{len(done)} of {len(folders)}  {folders[outcome.folder].name}: {said}")

    outcomes = build_many(list(folders), options, scheduler, workers, tell)
    rows = [_row(folders[outcome.folder].name, outcome) for outcome in outcomes]
    rows += [{"name": name, "state": "refused", "error": message} for name, message in refused.items()]
    (output / "sweep.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if as_json:
        emit_json(rows)
    else:
        _show(rows)
    if not any(row["state"] == "built" for row in rows):
        raise typer.Exit(1)


def _grid(
    boards: list[str], clocks: list[float] | None, lanes: list[int] | None, batches: list[int] | None
) -> Iterator[Point]:
    """Every combination; what is not given is left to the compiler."""
    for values in itertools.product(boards, clocks or (None,), lanes or (None,), batches or (None,)):
        yield Point(*values)


def _compile_all(model: Path, points: list[Point], output: Path) -> dict[str, str]:
    """Compile every point; the points that the compiler refuses, and why.

    Raises:
        InputError: it refuses all of them, or there is no such board.
    """
    from tritloom.api import compile_model
    from tritloom.targets import load_target

    targets = {name: load_target(name) for name in dict.fromkeys(point.board for point in points)}
    refused: dict[str, InputError] = {}
    for point in points:
        target = targets[point.board]
        if point.clock is not None:
            target = type(target).model_validate({**target.model_dump(), "clock_mhz": float(point.clock)})
        beside = output / f".{point.name}.new"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            compile_model(model, target, beside, lanes=point.lanes, batch=point.batch)
        except InputError as error:
            refused[point.name] = error
            continue
        _take(beside, output / point.name)
    if len(refused) == len(points):
        raise refused[points[0].name]
    return {name: error.message.partition("\n")[0] for name, error in refused.items()}


def _take(new: Path, folder: Path) -> None:
    """Put a bundle in place, unless the one there is the same: that one may be built already."""
    if folder.is_dir() and _identity(folder) == _identity(new):
        shutil.rmtree(new)
        return
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def _identity(bundle: Path) -> Any:
    """What makes two bundles the same: kernel, program, every file."""
    try:
        content = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        return content["kernel"], content["program"], content["files"]
    except (OSError, ValueError, KeyError):
        return bundle


def _row(name: str, outcome: Outcome) -> dict[str, Any]:
    """The figures of one build."""
    from .estimate import read

    report = read(outcome.folder)
    built = report.get("implementation") or {}
    used = {row["resource"]: row["implemented"] or row["hls"] for row in built.get("comparison", ())}
    return {
        "name": name,
        "state": "built" if outcome.built else "failed",
        "error": outcome.error,
        "tokens_per_second": report["estimate"].get("tokens_per_second"),
        "resources": used or None,
        "timing": built.get("timing"),
        "seconds": outcome.seconds,
        "label": built.get("label", "estimated"),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    lines = []
    for row in rows:
        used, timing = row.get("resources") or {}, row.get("timing") or {}
        figures = (row.get("tokens_per_second"), used.get("lut"), used.get("dsp"))
        cells = ("" if figure is None else f"{figure:,.0f}" for figure in figures)
        lines.append((row["name"], row["state"], *cells, f"{timing['wns']:.3f}" if timing else ""))
    columns = ("kernel", "state", "tokens/s (estimated)", "LUT", "DSP", "slack ns")
    show(table(columns, lines, title="Sweep", right="  >>>>"))
