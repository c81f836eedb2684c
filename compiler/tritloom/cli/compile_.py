"""`tritloom compile`: an ONNX file becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tritloom.errors import InputError

from . import quantise
from .console import emit, emit_json, megabytes, note, show, table, working
from .estimate import estimate_tables, read
from .options import Debug, DumpIr, Json, Model, PrintAfter, PrintBefore
from .quantise import Activations, Calibration, Ternarise

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

    from tritloom.api import CompileResult


def compile_(
    model: Model,
    board: Annotated[str, typer.Option("--board", "-b", help="Board to compile for; 'tritloom boards' lists them.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder to write the bundle to.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder if it exists.")] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", exists=True, file_okay=False, help="Compile for the kernel of this bundle."),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Tokenizer, if not beside the model."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Positions that share a pass over the weights.")] = None,
    lanes: Annotated[int | None, typer.Option(min=1, help="Floats a cycle in the vector unit: 4, 8 or 16.")] = None,
    fps: Annotated[
        int | None,
        typer.Option("--target-fps", min=1, help="Frames a second of a feed-forward net, if not as many as fit."),
    ] = None,
    print_ir_before: PrintBefore = None,
    print_ir_after: PrintAfter = None,
    dump_ir: DumpIr = None,
    stop_after: Annotated[
        str | None, typer.Option(metavar="PASS", help="Stop after this pass, print its IR, write no bundle.")
    ] = None,
    ternarise: Ternarise = None,
    quantise_activations: Activations = False,
    calibration: Calibration = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compile an ONNX file into a bundle for a board.

    The bundle holds the HLS C++ with its testbench, the Vivado scripts, the
    packed weights, the IR after every pass and a report: all that a build
    machine, a board and the emulated device need.
    """
    from tritloom.api import compile_model, ir_text
    from tritloom.passes import PASSES

    from .observe import Watcher, check_pass_name

    if output is None and stop_after is None:
        raise InputError("there is no folder to write the bundle to", "give one: -o DIR")
    for name in (print_ir_before, print_ir_after):
        check_pass_name(name, ("import", *PASSES))
    check_pass_name(stop_after, ("import", *PASSES), words=())
    if stop_after is not None and print_ir_before is None and print_ir_after is None and dump_ir is None:
        print_ir_after = stop_after
    with working(f"compiling {model.name}") as status:
        watcher = Watcher(ir_text, before=print_ir_before, after=print_ir_after, folder=dump_ir, status=status)
        folder = output or Path("build")
        wish = quantise.Wish(ternarise, quantise_activations, calibration, tokenizer)
        with quantise.quantised(model, wish, folder.with_name(f"{folder.name}.onnx"), force) as changes:
            result = compile_model(
                model if changes is None else changes.file,
                board,
                folder,
                force=force,
                overlay=overlay,
                tokenizer=tokenizer if changes is None else changes.tokenizer,
                batch=batch,
                lanes=lanes,
                fps=fps,
                observer=watcher,
                stop_after=stop_after,
            )
    for warning in result.warnings:
        note(f"warning: {warning}")
    ir_is_the_data = print_ir_before is not None or print_ir_after is not None
    if as_json:
        emit_json(summary(result) | ({} if changes is None else {"quantised": changes.to_json()}))
    elif not ir_is_the_data and result.bundle is not None:
        show(*(quantise.tables(changes) if changes is not None else []))
        show(pass_table(result), "", tree_of(result.bundle), "", *estimate_tables(read(result.bundle)))
        if changes is not None:
            emit(quantise.sentences(changes))
        emit(next_steps(result))


def summary(result: CompileResult) -> dict[str, Any]:
    """What `compile --json` prints."""
    return {
        "bundle": None if result.bundle is None else str(result.bundle),
        "seconds": round(result.seconds, 3),
        "passes": [
            {
                "name": record.name,
                "ops_before": record.ops_before,
                "ops_after": record.ops_after,
                "changed": record.changed,
                "seconds": round(record.seconds, 4),
            }
            for record in result.passes
        ],
        "contiguous_bytes": result.contiguous_bytes,
        "files": list(result.files),
        "warnings": list(result.warnings),
    }


def pass_table(result: CompileResult) -> RenderableType:
    """A row a pass: operations before and after, and the time it took."""
    rows = [
        (record.name, record.ops_before, record.ops_after, "yes" if record.changed else "", f"{record.seconds:.3f}")
        for record in result.passes
    ]
    return table(("pass", "ops before", "ops after", "changed", "seconds"), rows, title="Passes", right=" >> >")


def tree_of(bundle: Path) -> Tree:
    """The bundle's folders and files; a folder of many alike shows its first and last."""
    from rich.tree import Tree

    tree = Tree(f"{bundle}/")
    _branch(tree, bundle)
    return tree


MANY = 8


def _branch(tree: Tree, folder: Path) -> None:
    entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    files = [path for path in entries if path.is_file()]
    if len(files) > MANY:
        shown: list[Path | None] = [*files[:2], None, files[-1]]
    else:
        shown = list(files)
    for file in shown:
        tree.add(f"... {len(files) - 3} more" if file is None else f"{file.name}  {megabytes(file.stat().st_size)}")
    for path in entries:
        if path.is_dir():
            _branch(tree.add(f"{path.name}/"), path)


def next_steps(result: CompileResult) -> str:
    """The last lines: how long it took, what it needs, what to type now."""
    return (
        f"Compiled in {result.seconds:.1f} s; it needs {megabytes(result.contiguous_bytes)} of contiguous memory.\n"
        f"Next: tritloom verify {result.bundle}; README.md in the bundle says how to build and deploy it."
    )
