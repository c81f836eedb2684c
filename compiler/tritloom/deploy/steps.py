"""A deployment, step by step: look at the board, send what it lacks, put it in place, install, test."""

from __future__ import annotations

import json
import shlex
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ..errors import DeployError
from . import wheel
from .check import Facts, check_board
from .files import Shipment
from .ssh import Done, Remote

SCRIPT = (Path(__file__).parent / "board.py").read_text(encoding="utf-8")
_SPARE_BYTES = 4 << 20
_HINTS = {
    "disk": "free space there, or choose another place with --to",
    "denied": "choose a place that the user may write to with --to",
    "occupied": "choose another place with --to",
    "damaged": "run the command again; if it stays, check the board's storage",
}

Progress = Callable[[int, int], None]
"""Called while files are sent: bytes so far, bytes in all."""


@dataclass(frozen=True)
class Outcome:
    """What a deployment did; `checks` is the self-test's answer, None where it was not run."""

    place: str
    python: str
    facts: Facts
    files: int
    sent_files: int
    sent_bytes: int
    checks: dict[str, Any] | None


class Deployment:
    """Puts a shipment on a board that is connected.

    Args:
        remote: the connection.
        shipment: what to send.
        target: folder on the board, relative to the user's home folder or absolute.
        python: path of the Python to use there; None takes the image's.
        password: for sudo; None where it asks for none.
    """

    def __init__(
        self,
        remote: Remote,
        shipment: Shipment,
        target: str,
        python: str | None = None,
        password: str | None = None,
    ) -> None:
        self._remote = remote
        self._shipment = shipment
        self._target = target
        self._python = python
        self._password = password

    def look(self) -> Facts:
        """Look at the board.

        Raises:
            DeployError: it cannot run the bundle.
        """
        pythons = [self._python] if self._python is not None else None
        facts = Facts.read(self._ask("facts", target=self._target, pythons=pythons))
        check_board(facts, self._shipment.bundle, self._password is not None)
        return facts

    def send(self, progress: Progress) -> tuple[str, int, int]:
        """Send what the board lacks and put the bundle in place: its place, files and bytes sent.

        Raises:
            DeployError: the disk is full, or the connection was cut; the bundle in place is as before.
        """
        files = self._shipment.seal()
        plan = self._ask("plan", target=self._target, files=files)
        needed: list[str] = plan["needed"]
        total = sum(files[name][0] for name in needed)
        if total + _SPARE_BYTES > plan["disk"]:
            raise DeployError(
                f"the board's disk is full: {total + _SPARE_BYTES:,} bytes are needed, {plan['disk']:,} are free",
                _HINTS["disk"],
            )
        if needed:
            self._send(needed, files, total, progress)
        place: str = self._ask("commit", target=self._target, files=files)
        return place, len(needed), total

    def install(self, facts: Facts, place: str) -> None:
        """Install the runtime's wheel, without network.

        Raises:
            DeployError: pip failed.
        """
        options = ("--no-index", "--no-deps", "--force-reinstall", "--disable-pip-version-check", "--quiet")
        done = self._as_root(facts, [_path(facts), "-m", "pip", "install", *options, f"{place}/{wheel.NAME}"])
        if done.code:
            raise DeployError(f"the runtime could not be installed: {_last(done)}", f"look at `{_path(facts)} -m pip`")

    def self_test(self, facts: Facts, place: str) -> dict[str, Any]:
        """Run the self-test on the board; its answer.

        Raises:
            DeployError: it could not be run: what the board's runtime said.
        """
        done = self._as_root(facts, [_path(facts), "-m", "tritloom.runtime", place, "--self-test", "--json"])
        try:
            answer = json.loads(done.out[done.out.index("{") :])
        except ValueError:
            lines = [line for line in done.err.splitlines() if line.startswith(("error: ", "Hint: "))]
            message = "\n".join(lines[:1]).removeprefix("error: ") or _last(done)
            hint = "".join(line.removeprefix("Hint: ") for line in lines if line.startswith("Hint: "))
            raise DeployError(f"the self-test failed on the board: {message}", hint) from None
        return dict(answer)

    # -- how

    def _ask(self, verb: str, **arguments: Any) -> Any:
        return _answer(self._remote.run(_script(verb, arguments)))

    def _send(self, names: Sequence[str], files: dict[str, tuple[int, str]], total: int, progress: Progress) -> None:
        with self._remote.writing(_script("receive", {"target": self._target, "files": files})) as (pipe, ended):
            _write_archive(pipe, self._shipment, names, lambda sent: progress(sent, total))
        if _answer(ended[0]) != len(names):
            raise DeployError("the connection was cut", "run the command again")

    def _as_root(self, facts: Facts, command: Sequence[str]) -> Done:
        """In a login shell, which knows what the image sets up for pynq and XRT."""
        shell = ["bash", "-lc", 'exec "$@"', "bash", *command]
        if not facts.needs_sudo:
            return self._remote.run(shell)
        if self._password is None:
            return self._remote.run(["sudo", "-n", "--", *shell])
        return self._remote.run(["sudo", "-S", "-p", "", "--", *shell], given=self._password + "\n")


def next_command(facts: Facts, place: str, destination: str, port: int | None, prompt: bool) -> str:
    """What to run next, from here."""
    what = '--prompt "Once upon a time"' if prompt else "--bench"
    login = f"{_path(facts)} -m tritloom.runtime {shlex.quote(place)} {what}"
    root = "sudo " if facts.needs_sudo else ""
    where = f"-p {port} " if port is not None else ""
    return f"ssh -t {where}{destination} {shlex.quote(f'{root}bash -lc {shlex.quote(login)}')}"


def _script(verb: str, arguments: dict[str, Any]) -> list[str]:
    return ["python3", "-c", SCRIPT, verb, json.dumps(arguments)]


def _answer(done: Done) -> Any:
    try:
        answer = json.loads(done.out)
    except ValueError:
        raise DeployError(
            f"the board's Python failed: {_last(done)}", "is python3 there? `ssh BOARD python3 -V`"
        ) from None
    if isinstance(answer, dict) and "error" in answer:
        error = answer["error"]
        prefix = "the board's disk is full: " if error["kind"] == "disk" else ""
        raise DeployError(f"{prefix}{error['message']}", _HINTS.get(error["kind"], ""))
    return answer


def _last(done: Done) -> str:
    lines = [line.strip() for line in (done.err + "\n" + done.out).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.code}"


def _path(facts: Facts) -> str:
    return facts.python.path if facts.python is not None else "python3"


def _write_archive(pipe: Any, shipment: Shipment, names: Iterable[str], progress: Callable[[int], None]) -> None:
    """A tar archive of the named files."""
    counted: Any = _Counted(pipe, progress)
    with tarfile.open(fileobj=counted, mode="w|") as archive:
        for name in names:
            if name in shipment.made:
                data = shipment.made[name]
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, BytesIO(data))
            else:
                archive.add(shipment.paths[name].resolve(), name, recursive=False)


class _Counted:
    """A pipe that says how much went through; it breaks quietly, since whoever reads it says why."""

    def __init__(self, pipe: Any, progress: Callable[[int], None]) -> None:
        self._pipe = pipe
        self._progress = progress
        self._sent = 0

    def write(self, data: bytes) -> int:
        try:
            self._pipe.write(data)
        except BrokenPipeError:
            return len(data)
        self._sent += len(data)
        self._progress(self._sent)
        return len(data)
