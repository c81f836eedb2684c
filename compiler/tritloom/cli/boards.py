"""`tritloom boards`: what it can compile for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from .console import emit_json, grouped, show, table
from .options import Debug, Json

if TYPE_CHECKING:
    from tritloom.targets import Target


def application() -> typer.Typer:
    """The command and its subcommand `show`."""
    app = typer.Typer(help="List the boards, or show one.", no_args_is_help=False)
    app.callback(invoke_without_command=True)(boards)
    app.command("show")(show_board)
    return app


def boards(context: typer.Context, as_json: Json = False, debug: Debug = False) -> None:
    """List the boards, or show one with all its figures."""
    if context.invoked_subcommand is not None:
        return
    from tritloom.targets import list_targets

    targets = list_targets()
    if as_json:
        emit_json([target.model_dump(mode="json") for target in targets])
        return
    columns = ("board", "part", "LUT", "DSP", "BRAM36", "URAM", "GB/s", "PYNQ")
    show(table(columns, [_row(target) for target in targets], right="  >>>>>"))


def _row(target: Target) -> tuple[object, ...]:
    have = target.resources
    return (
        target.name,
        target.part,
        grouped(have.lut),
        grouped(have.dsp),
        have.bram36,
        have.uram,
        target.memory.peak_gb_s,
        target.software.pynq,
    )


def show_board(
    name: Annotated[str, typer.Argument(help="Board, or the path of a board file.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a board: part, resources, memory, ports, default kernel, tools, and where the figures come from."""
    from tritloom.targets import load_target

    target = load_target(name)
    values = target.model_dump(mode="json")
    if as_json:
        emit_json(values)
        return
    rows = [(field, _plain(value)) for field, value in _fields(values) if field not in ("name", "title")]
    show(table(("field", "value"), rows, title=f"{target.title} ({target.name})"))


def _fields(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every field with its path; tables are gone into, tables that a board lacks are left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _plain(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(str(_plain(item)) for item in value) or "none"
    return value
