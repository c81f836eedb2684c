"""Dataflow design -> the HLS sources of a bundle.

The kernel library is copied as it is, the headers that the design uses; the templates fill in stages, streams and
tables. Nothing is written here: :func:`render_flow` returns the files as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..resources import templates_dir
from .flow_adders import statements
from .flow_check import check_design
from .flow_design import FlowDesign, Stage, Stream
from .flow_kernels import KERNELS
from .flow_roms import RomText, integer, key_element, roms_of, sum_element
from .hls import HlsTarget, comment, tcl

TOP: Final = "tritloom_flow"
"""Name of the kernel function and of its IP."""

SIMULATED_FRAMES: Final = 2
"""Frames that a co-simulation takes: depth of its memory ports."""

TEMPLATES: Final = ("config.h", "weights.h", "top.h", "top.cpp", "emulate.cpp", "testbench.cpp", "Makefile")
SHARED_TEMPLATES: Final = ("hls_config.cfg", "run_hls.tcl")
"""Those that are the engine's too."""

_EMULATION: Final = ("ap_int.h", "flow_call.h", "hls_stream.h", "region.h")
_FLAGS: Final = ("LAST", "MAX", "WEIGHTS_IN_BRAM")
_SIGNED: Final = ("LOW", "HIGH", "STEP", "PAD_CODE")


@dataclass(frozen=True)
class StageText:
    """A stage as the templates see it."""

    stage: Stage
    type: str
    """Name of its traits struct."""
    typedefs: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, str, str], ...]
    """Type, name, value."""
    roms: tuple[RomText, ...]
    sums: tuple[str, ...]
    """Statements of a hard-wired stage."""
    arguments: tuple[str, ...]
    """Of the kernel's call."""


def type_name(name: str) -> str:
    """Name of the C++ type of a stage or stream.

    >>> type_name("conv1_window")
    'Conv1Window'
    """
    return "".join(part.capitalize() for part in name.split("_"))


def _typedefs(design: FlowDesign, stage: Stage, roms: tuple[RomText, ...]) -> Iterator[tuple[str, str]]:
    kernel = KERNELS[stage.kernel]
    for name, stream in zip(kernel.inputs, stage.inputs, strict=False):
        yield name, integer(design.stream(stream).element)
    for name, stream in zip(kernel.outputs, stage.outputs, strict=False):
        yield name, integer(design.stream(stream).element)
    yield from dict(rom.typedef for rom in roms if rom.typedef is not None).items()
    if stage.kernel.startswith("multiply_shift"):
        yield "Sum", integer(sum_element(stage, [design.stream(name).element for name in stage.inputs]))
    if stage.kernel == "top_k":
        yield "Key", integer(key_element(stage, design.stream(stage.inputs[0]).element))


def _constants(stage: Stage) -> Iterator[tuple[str, str, str]]:
    for name in KERNELS[stage.kernel].traits:
        value = stage.traits[name]
        if name in _FLAGS:
            yield "bool", name, str(bool(value)).lower()
        else:
            yield "int" if name in _SIGNED else "unsigned", name, str(value)


def _arguments(stage: Stage, roms: tuple[RomText, ...]) -> tuple[str, ...]:
    tables = tuple(rom.name for rom in roms)
    if stage.kernel.startswith("load_"):
        return ("input", *stage.outputs, "frames")
    if stage.kernel == "store":
        return (*stage.inputs, "output", "frames", "finish")
    if stage.kernel == "fork":
        return (*stage.inputs, "frames", *stage.outputs)
    return (*stage.inputs, *stage.outputs, *tables, "frames")


def _sums(design: FlowDesign, stage: Stage) -> tuple[str, ...]:
    if stage.kernel != "hard_wired":
        return ()
    return tuple(statements(stage, design.stream(stage.inputs[0]).element))


def _stage_text(design: FlowDesign, stage: Stage) -> StageText:
    roms = roms_of(stage)
    return StageText(
        stage,
        type_name(stage.name),
        tuple(_typedefs(design, stage, roms)),
        tuple(_constants(stage)),
        roms,
        _sums(design, stage),
        _arguments(stage, roms),
    )


def _includes(text: str) -> set[str]:
    return set(re.findall(r'#include "(tritloom/[\w/]+\.h)"', text))


def _headers(design: FlowDesign) -> dict[str, str]:
    """The headers of the library that the design's kernels include, and those of the emulation."""
    folder = templates_dir() / "hls" / "include"
    wanted = {f"tritloom/flow/{KERNELS[stage.kernel].header}" for stage in design.stages}
    wanted |= {"tritloom/timer.h"}
    found: dict[str, str] = {}
    while wanted - found.keys():
        for name in sorted(wanted - found.keys()):
            found[name] = (folder / name).read_text(encoding="utf-8")
            wanted |= _includes(found[name])
    for name in _EMULATION:
        found[f"emulation/{name}"] = (folder / "emulation" / name).read_text(encoding="utf-8")
    return {f"include/{name}": text for name, text in sorted(found.items())}


def context(design: FlowDesign, target: HlsTarget) -> Mapping[str, object]:
    """What the templates see of a design, checked or not."""
    stages = [_stage_text(design, stage) for stage in design.stages]
    return {
        "banner": f"Generated by tritloom {comment(target.version)} for {comment(target.board)}",
        "top": TOP,
        "indent": " " * len(f"void {TOP}("),
        "design": design,
        "stages": stages,
        "target": target,
        "headers": sorted({KERNELS[stage.kernel].header for stage in design.stages}),
        "has_adders": any(stage.sums for stage in stages),
        "has_roms": any(stage.roms for stage in stages),
        "input_beats": 8 * design.input_bytes // design.beat_bits,
        "output_beats": 8 * design.output_bytes // design.beat_bits,
        "simulated_frames": SIMULATED_FRAMES,
        "images": [],
    }


def _word(stream: Stream) -> str:
    return type_name(stream.name) + "Word"


def environment() -> Environment:
    """The templates of a dataflow kernel; those that are equal come from the engine's folder."""
    folder = templates_dir()
    found = Environment(
        loader=FileSystemLoader([folder / "hls_flow", folder / "hls"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    found.filters |= {"comment": comment, "tcl": tcl, "integer": integer, "word": _word}
    return found


def render_flow(design: FlowDesign, target: HlsTarget) -> dict[str, str]:
    """The folder hls/ of a bundle: path within it -> text.

    Raises:
        ValueError: the design contradicts itself; the text names stage or stream.
    """
    check_design(design)
    templates = environment()
    values = context(design, target)
    files = {name: templates.get_template(f"{name}.j2").render(values) for name in TEMPLATES + SHARED_TEMPLATES}
    if values["has_adders"]:
        files["adders.h"] = templates.get_template("adders.h.j2").render(values)
    return files | _headers(design)
