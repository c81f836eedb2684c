"""`tritloom export`: a checkpoint becomes an ONNX file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from .console import emit, emit_json, grouped, megabytes, note, show, table, working
from .options import Debug, Json


def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Checkpoint: config.json, safetensors.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL.onnx", help="File to write.")],
    naive: Annotated[
        bool, typer.Option("--naive", help="Keep the float weights; the graph quantises them. Four times as large.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    external_data: Annotated[
        bool, typer.Option("--external-data", help="Weights in MODEL.onnx.data; always so over 64 MiB.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Export a checkpoint of the MatMul-free LM to the ONNX file of one decoding step.

    Reads a released checkpoint (HGRNBitForCausalLM: config.json, safetensors,
    tokenizer.json), one tensor at a time, with neither torch nor a GPU.
    """
    from tritloom.export import export_checkpoint

    start = time.perf_counter()
    with working(f"exporting {checkpoint.name}") as status:
        done = export_checkpoint(
            checkpoint,
            output,
            naive=naive,
            force=force,
            external_data=external_data or None,
            progress=lambda name: status.update(f"writing {name}") if status is not None else None,
        )
    seconds = time.perf_counter() - start
    sizes = {str(path): path.stat().st_size for path in done.files}
    for warning in done.warnings:
        note(f"warning: {warning}")
    if as_json:
        emit_json(
            {
                "files": sizes,
                "form": done.form,
                "ternary_weights": done.config.ternary_weights,
                "warnings": done.warnings,
                "seconds": round(seconds, 3),
            }
        )
        return
    show(table(("file", "size"), [(name, megabytes(size)) for name, size in sizes.items()], right=" >"))
    emit(
        f"\nExported {grouped(done.config.ternary_weights)} ternary weights ({done.form}) in {seconds:.1f} s.\n"
        f"Next: tritloom compile {output} --board kv260 -o build/"
    )
