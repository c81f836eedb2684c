"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .console import emit


@dataclass
class Settings:
    """What holds for the whole invocation."""

    debug: bool = False


def _set_debug(context: typer.Context, wanted: bool) -> bool:
    if wanted and isinstance(context.obj, Settings):
        context.obj.debug = True
    return wanted


Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Bundle = Annotated[
    Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Bundle that 'tritloom compile' wrote.")
]
Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", exists=True, dir_okay=False, help="ONNX file.")]
PrintBefore = Annotated[
    str | None, typer.Option(metavar="PASS|all|changed", help="Print the IR before this pass on stdout.")
]
PrintAfter = Annotated[
    str | None, typer.Option(metavar="PASS|all|changed", help="Print the IR after this pass on stdout.")
]
DumpIr = Annotated[
    Path | None, typer.Option(metavar="DIR", file_okay=False, help="Write the IR after every pass here.")
]
Generic = Annotated[bool, typer.Option("--print-generic", help="The generic form, which mlir-opt reads.")]
IrOutput = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", dir_okay=False, help="Write here, not to stdout.")
]


def write_ir(text: str, output: Path | None) -> None:
    """Print IR text, or write it beside its file and move it there, so that the file is whole or the old one."""
    if output is None:
        emit(text)
        return
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
