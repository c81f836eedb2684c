"""What the commands print with: stdout takes data, stderr takes progress and notes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def console(stream: IO[str] | None = None) -> Console:
    """A rich console on stdout (or `stream`): 80 columns of plain text where it is not a terminal."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, highlight=False, markup=False)


def show(*renderables: RenderableType) -> None:
    """Write rich tables and trees to stdout, without the padding at the end of a line unless it is a terminal."""
    out = console()
    if out.is_terminal:
        out.print(*renderables, sep="\n")
        return
    with out.capture() as capture:
        out.print(*renderables, sep="\n")
    emit("\n".join(line.rstrip() for line in capture.get().splitlines()))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", right: str = ""
) -> RenderableType:
    """A table; `right` has one letter a column, `>` where it is aligned to the right."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    body = Table(
        box=box.SIMPLE_HEAD if terminal else None,
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if terminal else 2, 0, 0),  # the box puts a space of its own between columns
    )
    for index, column in enumerate(columns):
        body.add_column(column, justify="right" if right[index : index + 1] == ">" else "left")
    for row in rows:
        body.add_row(*(Text(str(cell)) for cell in row))
    # A table's own title is wrapped to the table's width.
    return Group(Text(title, style="bold"), body) if title else body


def emit(text: str) -> None:
    """Write text to stdout as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def emit_json(value: Any) -> None:
    """Write a value to stdout as indented JSON."""
    emit(json.dumps(value, indent=2))


def note(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(text + "\n")


@contextmanager
def working(text: str) -> Iterator[Any]:
    """A spinner on stderr while something takes its time; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with console(sys.stderr).status(text) as status:
        yield status


def grouped(number: float) -> str:
    """A whole number with its thousands apart: 1,234,567."""
    return f"{number:,.0f}"


def megabytes(count: int) -> str:
    """Bytes in readable units of 1000."""
    if count < 1_000_000:
        return f"{count / 1_000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB"
