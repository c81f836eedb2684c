"""`tritloom estimate`: what the compiler expects of a bundle on its board."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tritloom.errors import InputError

from .console import emit_json, grouped, megabytes, show, table
from .options import Bundle, Debug, Json

if TYPE_CHECKING:
    from rich.table import Table

REPORT = Path("report", "report.json")
Figures = Mapping[str, Any]


def estimate(
    bundle: Bundle,
    instructions: Annotated[
        bool, typer.Option("--instructions", help="A row for every instruction, not for every kind.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the estimated speed, cycles, memory traffic and resources of a bundle."""
    figures = read(bundle)
    if as_json:
        emit_json(figures)
    else:
        show(*estimate_tables(figures, every=instructions))


def read(bundle: Path) -> dict[str, Any]:
    """The estimate in the bundle's report."""
    path = bundle / REPORT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{bundle} has no {REPORT}", "is it a bundle that 'tritloom compile' wrote?") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", "compile the model again") from error
    figures = found.get("estimate") if isinstance(found, dict) else None
    if not isinstance(figures, dict):
        raise InputError(f"{path} holds no estimate", "compile the model again")
    return figures


def estimate_tables(figures: Figures, *, every: bool = False) -> list[Table | str]:
    """Speed, resources and cycles, as tables with an empty line between them."""
    cycles = _cycles(figures["instructions"]) if every else _cycles(_by_kind(figures["instructions"]))
    return [_speed(figures), "", _resources(figures), "", cycles]


def _speed(figures: Figures) -> Table:
    memory, prompt = figures["memory"], figures["prompt"]
    rows = [
        ("tokens/s", f"{figures['tokens_per_second']:.1f}"),
        (f"prompt tokens/s ({prompt['positions']} positions a pass)", f"{prompt['tokens_per_second']:.1f}"),
        ("cycles a token", grouped(figures["cycles_per_token"])),
        ("bytes a token", grouped(figures["bytes_per_token"])),
        (
            f"share of {figures['delivered_gb_s']:.1f} GB/s delivered by the memory",
            _percent(figures["bandwidth_share"]),
        ),
        (f"contiguous memory (the image reserves {megabytes(memory['cma'])})", megabytes(memory["contiguous"])),
    ]
    title = f"{figures['board_title']} at {figures['clock_mhz']:g} MHz ({figures['label']})"
    return table(("figure", "value"), rows, title=title, right=" >")


def _resources(figures: Figures) -> Table:
    rows = [
        (
            use["resource"].upper(),
            grouped(use["used"]),
            grouped(use["available"]),
            _percent(use["used"] / use["available"]) if use["available"] else "",
        )
        for use in figures["resources"]
    ]
    return table(
        ("resource", "used", "available", "share"), rows, title=f"Resources ({figures['label']})", right=" >>>"
    )


SUMMED = ("weight_bytes", "gain_bytes", "stream_cycles", "array_cycles", "vector_cycles", "barrier_cycles", "cycles")


def _by_kind(instructions: Iterable[Figures]) -> list[Figures]:
    """One row a kind of instruction, in the order of the program, with the sums of its figures."""
    kinds: dict[str, dict[str, Any]] = {}
    for row in instructions:
        into = kinds.setdefault(
            row["name"], {"name": row["name"], "count": 0, "padding": 0.0, **dict.fromkeys(SUMMED, 0)}
        )
        into["count"] += 1
        into["padding"] += row["padding_share"] * row["weight_bytes"]
        for key in SUMMED:
            into[key] += row[key]
    for into in kinds.values():
        into["padding_share"] = into["padding"] / into["weight_bytes"] if into["weight_bytes"] else 0.0
    return list(kinds.values())


def _cycles(rows: Iterable[Figures]) -> Table:
    shown = [
        (
            row["name"],
            row.get("count", row.get("index", "")),
            grouped(row["weight_bytes"]),
            _percent(row["padding_share"]) if row["weight_bytes"] else "",
            grouped(row["stream_cycles"]),
            grouped(row["vector_cycles"]),
            grouped(row["barrier_cycles"]),
            grouped(row["cycles"]),
        )
        for row in rows
    ]
    columns = ("instruction", "no.", "bytes", "padding", "stream", "vector", "barrier", "cycles")
    return table(columns, shown, title="Cycles a token (estimated)", right=" >>>>>>>")


def _percent(share: float) -> str:
    return f"{share:.1%}"
