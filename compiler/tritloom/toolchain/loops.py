"""From a loop of the kernel to the IR ops and ONNX nodes that run in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from .reports import Loop

RUNS_IN: Final = {
    "array.h": "linear",
    "dot.h": "linear",
    "embed.h": "embed",
    "head.h": "linear.logits",
    "linear.h": "linear",
    "quantize.h": "quantize",
    "row_constants.h": "linear",
    "sum.h": "quantize",
    "topk.h": "linear.logits",
    "trits.h": "linear",
    "vector.h": "vector",
}
"""Header of the kernel library -> the instructions that run in its loops. The loops of other headers (readers,
engine) serve every instruction."""

_UNNAMED: Final = re.compile(r"VITIS_LOOP_(\d+)_\d+")


def _definitions(header: Path) -> dict[str, int]:
    """Functions of a header and the lines they start on."""
    pattern = re.compile(r"^(?:inline |static )*[\w:<>, ]+[ &*](\w+)\(")
    found = {}
    for number, line in enumerate(header.read_text(encoding="utf-8").splitlines(), 1):
        if (match := pattern.match(line)) is not None:
            found[match[1]] = number
    return found


def locate(loop: Loop, sources: Path) -> str:
    """File and line of a loop, relative to `sources` (the folder hls/ of a bundle) where it lies there.

    Where the report gives none, the name does: an unlabelled loop is called after its line, and its module
    after the function that it stands in.
    """
    if loop.location:
        path, _, line = loop.location.rpartition(":")
        name = PurePosixPath(path).name
        inside = next(
            (file for file in sorted(sources.rglob(name)) if "include" in file.parts or file.parent == sources), None
        )
        return f"{inside.relative_to(sources).as_posix()}:{line}" if inside is not None else loop.location
    match = _UNNAMED.search(loop.name)
    if match is None:
        return ""
    line_number = int(match[1])
    for header in sorted((sources / "include" / "tritloom").glob("*.h")):
        lines = header.read_text(encoding="utf-8").splitlines()
        if line_number > len(lines) or not re.search(r"\b(for|while) ?\(", lines[line_number - 1]):
            continue
        before = {name: at for name, at in _definitions(header).items() if at <= line_number}
        function = max(before, key=lambda name: before[name], default="")
        if function and re.search(rf"(^|_){function}(_|$)", loop.module):
            return f"{header.relative_to(sources).as_posix()}:{line_number}"
    return ""


def instructions_of(location: str, instructions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The program's instructions (of report.json) that run in the loop at a place; none where all do."""
    prefix = RUNS_IN.get(PurePosixPath(location.rpartition(":")[0]).name)
    if prefix is None:
        return []
    return [row for row in instructions if f"{row['name']}.".startswith(f"{prefix}.")]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def stage_of(module: str, stages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The stage of a net that a module of HLS implements.

    HLS calls the module `mvau_MvauFc1_s`: the kernel, then the type that is named after the stage.
    """
    named = [stage for stage in stages if _plain(module).startswith(_plain(f"{stage['kernel']}{stage['name']}"))]
    return max(named, key=lambda stage: len(stage["name"]), default=None)


def describe(loop: Loop, sources: Path, origins: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A loop for people: its name, where it stands, and the IR op and ONNX node that it belongs to.

    Args:
        loop: as HLS reports it.
        sources: the folder hls/ of the bundle.
        origins: the `instructions` of a program, or the `stages` of a net, with their ONNX nodes.
    """
    place = locate(loop, sources)
    text = f"loop {loop.name} of {loop.module}"
    if place:
        inside = (sources / place.rpartition(":")[0]).is_file()
        text += f" ({'hls/' if inside else ''}{place})"
    stage = stage_of(loop.module, origins.get("stages", ()))
    if stage is not None:
        return f"{text}\n  is stage {stage['name']} ({_nodes(str(stage['onnx']))})"
    rows = instructions_of(place, origins.get("instructions", ()))
    if not rows:
        return text
    kind = RUNS_IN[PurePosixPath(place.rpartition(":")[0]).name]
    first = f"{str(rows[0]['op']).partition(' {')[0]} ({_nodes(str(rows[0]['onnx']))})"
    return f"{text}\n  runs " + (
        first if len(rows) == 1 else f"the {len(rows)} instructions engine.{kind}, first {first}"
    )


def _nodes(names: str) -> str:
    """The first ONNX nodes of an op."""
    first, second, *more = [*names.split(", "), ""]
    if not first:
        return "no ONNX node"
    return f"ONNX {first}" + (f", {second}" if second else "") + (f" and {len(more) - 1} more" if len(more) > 1 else "")


def loop_of_path(path: str, loops: Sequence[Loop]) -> Loop | None:
    """The loop whose logic a timing path ends in: Vivado's cells are named after HLS's modules."""
    modules = set(re.findall(r"grp_(\w+?)_fu_\d+", path))
    named = [loop for loop in loops if loop.module in modules]
    by_name = [loop for loop in loops if any(module.endswith(f"_Pipeline_{loop.name}") for module in modules)]
    return next(iter(named or by_name), None)
