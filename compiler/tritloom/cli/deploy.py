"""`tritloom deploy`: a built bundle onto a board, over ssh."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tritloom.errors import DeployError

from .console import emit, emit_json, megabytes, note
from .options import Bundle, Debug, Json

if TYPE_CHECKING:
    from tritloom.deploy import Deployment, Facts, Outcome, Shipment


def deploy(
    bundle: Bundle,
    board: Annotated[str, typer.Argument(metavar="USER@BOARD", help="The board, as ssh takes it.")],
    to: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where to on the board; by default ~/tritloom/NAME.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, metavar="PORT", help="The board's ssh port.")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Your private key (ssh -i).")
    ] = None,
    ssh_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A further option of ssh (ssh -o); repeat it.")
    ] = None,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="The Python on the board that has pynq.")] = None,
    ask_password: Annotated[bool, typer.Option("--ask-password", help="Ask for the password of sudo there.")] = False,
    reference: Annotated[
        bool, typer.Option(help="Compute on the emulated device what the board must answer, and compare.")
    ] = True,
    self_test: Annotated[bool, typer.Option(help="Test the bundle on the board.")] = True,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy a built bundle and the runtime to a board, and test it there.

    What the board has already is not sent again. The bundle is put in place
    only when every file has arrived: an interrupted copy is never loaded.
    """
    from tritloom.deploy import Deployment, Remote, add_reference, next_command, pack

    if board.startswith("-") or any(letter.isspace() for letter in board):
        raise typer.BadParameter(f"{board!r} is not user@host", param_hint="USER@BOARD")
    shipment = pack(bundle)
    password = typer.prompt("password of sudo on the board", hide_input=True, err=True) if ask_password else None
    if reference and self_test:
        add_reference(shipment, note)
    target = to or f"tritloom/{bundle.resolve().name}"
    note(f"connecting to {board}")
    with Remote(board, port, key, ssh_option or ()) as remote:
        outcome = _carry_out(Deployment(remote, shipment, target, python, password), shipment, self_test)
    text = shipment.bundle.net is None and shipment.bundle.program.vector is None
    command = next_command(outcome.facts, outcome.place, board, port, prompt=text)
    if as_json:
        emit_json(dataclasses.asdict(outcome) | {"next": command})
    else:
        emit(f"{outcome.place}\nNext: {command}")
    if outcome.checks is not None and not outcome.checks["passed"]:
        failed = [entry for entry in outcome.checks["checks"] if not entry["passed"]]
        shown = "; ".join(f"{entry['name']}: {entry['detail']}" for entry in failed)
        raise DeployError(f"the self-test failed on the board: {shown}", "the bundle is in place, but do not trust it")


def _carry_out(deployment: Deployment, shipment: Shipment, self_test: bool) -> Outcome:
    from tritloom.deploy import Outcome

    facts = deployment.look()
    note(describe(facts))
    with _sending() as progress:
        place, files, sent = deployment.send(progress)
    count = len(shipment.paths) + len(shipment.made)
    note(f"sent {files} of {count} files ({megabytes(sent)}); in place and checked")
    deployment.install(facts, place)
    note("runtime installed")
    checks = None
    if self_test:
        checks = deployment.self_test(facts, place)
        for entry in checks["checks"]:
            note(f"{'ok' if entry['passed'] else 'failed':<7} {entry['name']}: {entry['detail']}")
        note(f"self-test {'passed' if checks['passed'] else 'failed'} ({checks['label']})")
    path = facts.python.path if facts.python is not None else ""
    return Outcome(place, path, facts, count, files, sent, checks)


def describe(facts: Facts) -> str:
    """The board in a line or two."""
    python = facts.python
    software = f"Python {python.version}, pynq {python.pynq}" if python is not None else "no Python"
    what = facts.model or facts.machine
    if facts.emulated:
        what += ", emulated device"
    cma = "unknown" if facts.cma_total is None else f"{megabytes(facts.cma_free or 0)} of {megabytes(facts.cma_total)}"
    return f"{what}: {software}\nCMA free: {cma}; disk free: {megabytes(facts.disk)}"


@contextmanager
def _sending() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda sent, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from .console import console

    columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("sending", total=None)
        yield lambda sent, total: bar.update(task, completed=min(sent, total), total=total)
