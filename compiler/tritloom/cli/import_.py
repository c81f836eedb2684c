"""`tritloom import`: an ONNX file as IR, the same for every spelling of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import note, working
from .options import Debug, Generic, IrOutput, Model, write_ir


def import_(
    model: Model,
    output: IrOutput = None,
    canonical: Annotated[
        bool,
        typer.Option(
            "--canonical", help="Number symbols and leave ONNX names out, so that two exports can be compared."
        ),
    ] = False,
    print_generic: Generic = False,
    debug: Debug = False,
) -> None:
    """Read an ONNX file into IR, and print it.

    All spellings of a model give the same operations, trits and hashes; with
    --canonical, the same text but for the last digits of scales. Passes that
    need the weights find them by 'tritloom opt --model'.
    """
    from tritloom.api import ir_text
    from tritloom.frontend import import_onnx
    from tritloom.ir.canonical import canonical as ir_canonical

    with working(f"reading {model.name}"):
        imported = import_onnx(model)
        module = ir_canonical(imported.module) if canonical else imported.module
        text = ir_text(module, generic=print_generic, locations=not canonical)
    write_ir(text, output)
    for weight, count in imported.near_ties.items():
        note(f"@{weight}: {count} masters lie at a rounding tie: another exporter may round them otherwise")
