"""`tritloom estimate`: what the compiler expects of a bundle on its board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritloom.errors import InputError

from .console import emit_json, show, table
from .options import Bundle, Debug, Json

if TYPE_CHECKING:
    from rich.table import Table

REPORT = Path("report", "report.json")


def estimate(bundle: Bundle, as_json: Json = False, debug: Debug = False) -> None:
    """Show the estimated speed, cycles by instruction, memory traffic and resources of a bundle."""
    if as_json:
        emit_json(read(bundle))
    else:
        show(*estimate_tables(read(bundle)))


def read(bundle: Path) -> dict[str, Any]:
    """The report's figures."""
    path = bundle / REPORT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{bundle} has no {REPORT}", "is it a bundle that 'tritloom compile' wrote?") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", "compile the model again") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a report", "compile the model again")
    return found


def estimate_tables(report: dict[str, Any]) -> list[Table]:
    """The report's tables; each says in its title whether it is estimated or measured."""
    return [
        table([column["name"] for column in found["columns"]], found["rows"], title=found["title"])
        for found in report.get("tables", ())
    ]
