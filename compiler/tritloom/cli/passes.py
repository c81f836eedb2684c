"""`tritloom passes` and `tritloom opt`: what the passes are, and running some of them on an IR file."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import emit, emit_json, show, table
from .options import Debug, DumpIr, Generic, IrOutput, Json, PrintAfter, PrintBefore, write_ir


def passes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this pass with its example.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the passes, or explain one."""
    from tritloom.passes import PASSES

    from .observe import check_pass_name

    check_pass_name(name, PASSES, words=())
    described = [describe(key, PASSES[key]) for key in PASSES if name in (None, key)]
    if as_json:
        emit_json(described if name is None else described[0])
    elif name is None:
        show(table(("pass", "what it does"), [(item["name"], item["summary"]) for item in described]))
    else:
        emit(_explained(described[0]))


def describe(name: str, kind: type) -> dict[str, Any]:
    """Name, first line, whole documentation and options of a pass."""
    document = inspect.getdoc(kind) or ""
    options = [
        {"name": option.name.replace("_", "-"), "type": str(option.type), "default": _default(option)}
        for option in (dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ())
        if option.init
    ]
    return {
        "name": name,
        "summary": document.partition("\n")[0],
        "documentation": document,
        "options": options,
    }


def _default(option: dataclasses.Field[Any]) -> str | None:
    return None if option.default is dataclasses.MISSING else str(option.default)


def _explained(item: dict[str, Any]) -> str:
    lines = [f"{item['name']}: {item['documentation']}"]
    if item["options"]:
        lines += ["", "Options:"]
        lines += [f"  {option['name']}: {option['type']} = {option['default']}" for option in item["options"]]
    return "\n".join(lines)


def opt(
    file: Annotated[Path, typer.Argument(metavar="FILE.mlir", exists=True, dir_okay=False, help="IR file.")],
    pipeline: Annotated[
        str, typer.Option("-p", "--pipeline", metavar="PASSES", help="For instance 'fuse-norm,tile{lanes=8}'.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL.onnx", exists=True, dir_okay=False, help="Where the weights are, if passes ask."),
    ] = None,
    board: Annotated[str | None, typer.Option("--board", "-b", help="The board, if passes ask.")] = None,
    output: IrOutput = None,
    print_generic: Generic = False,
    print_ir_before: PrintBefore = None,
    print_ir_after: PrintAfter = None,
    dump_ir: DumpIr = None,
    debug: Debug = False,
) -> None:
    """Run passes on an IR file and print the result."""
    from tritloom.api import ir_text, optimise
    from tritloom.passes import PASSES

    from .observe import Watcher, check_pass_name

    for name in (print_ir_before, print_ir_after):
        check_pass_name(name, PASSES)
    watcher = Watcher(
        lambda module: ir_text(module, generic=print_generic),
        before=print_ir_before,
        after=print_ir_after,
        folder=dump_ir,
    )
    module = optimise(file, pipeline, model=model, board=board, observer=watcher)
    write_ir(ir_text(module, generic=print_generic), output)
