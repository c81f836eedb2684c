"""`tritloom estimate`: what the compiler expects of a bundle on its board."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tritloom.errors import InputError

from .console import emit_json, grouped, show, table
from .options import Bundle, Debug, Json

if TYPE_CHECKING:
    from rich.console import RenderableType

REPORT = Path("report", "report.json")


def estimate(
    bundle: Bundle,
    instructions: Annotated[
        bool, typer.Option("--instructions", help="A row for every instruction, in the order of the program.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the estimated speed, cycles, memory traffic and resources of a bundle."""
    report = read(bundle)
    if as_json:
        emit_json(report["estimate"])
    elif instructions:
        show(every_instruction(report))
    else:
        show(*estimate_tables(report))


def read(bundle: Path) -> dict[str, Any]:
    """The bundle's report."""
    path = bundle / REPORT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{bundle} has no {REPORT}", "is it a bundle that 'tritloom compile' wrote?") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", "compile the model again") from error
    if not isinstance(found, dict) or not {"estimate", "tables"} <= found.keys():
        raise InputError(f"{path} holds no estimate", "compile the model again")
    return found


def estimate_tables(report: Mapping[str, Any]) -> list[RenderableType]:
    """The report's tables with an empty line between them; each says in its title that it is estimated."""
    parts: list[RenderableType] = []
    for found in report["tables"]:
        names = [column["name"] for column in found["columns"]]
        right = "".join(">" if column["align"] == "right" else " " for column in found["columns"])
        parts += [table(names, found["rows"], title=found["title"], right=right), ""]
    return parts[:-1]


def every_instruction(report: Mapping[str, Any]) -> RenderableType:
    """The cycles of every instruction of a token, in the order of the program.

    Raises:
        InputError: the bundle holds a feed-forward net, which has stages and no instructions.
    """
    if "instructions" not in report["estimate"]:
        raise InputError("a feed-forward net has no instructions", "leave --instructions out: the stages are shown")
    rows = [
        (
            row["index"],
            row["name"],
            grouped(row["weight_bytes"]),
            grouped(row["stream_cycles"]),
            grouped(row["vector_cycles"]),
            grouped(row["barrier_cycles"]),
            grouped(row["cycles"]),
            row["bound"],
        )
        for row in report["estimate"]["instructions"]
    ]
    columns = ("no.", "instruction", "bytes", "stream", "vector", "barrier", "cycles", "bound")
    return table(columns, rows, title="Cycles (estimated)", right="> >>>>>")
