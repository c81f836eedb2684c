"""Commands on another machine through the OpenSSH client: one connection, and errors that say what is wrong."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import DeployError

_CONNECT_SECONDS = 15
_SSH_FAILED = 255
_CUT = (
    "the connection was cut",
    "run the command again: what arrived whole is not sent again, and the bundle in place was not touched",
)
_REASONS = (
    (
        ("Could not resolve hostname",),
        "there is no host of that name",
        "check the name, or give the address that the board's serial console shows",
    ),
    (
        ("Connection refused",),
        "it refuses connections: no ssh server listens there",
        "wait until the board has booted, and check --port",
    ),
    (
        ("Connection timed out", "No route to host", "Network is unreachable", "Operation timed out"),
        "it does not answer",
        "check its power, the network cable and the address",
    ),
    (
        ("Permission denied", "Too many authentication failures", "No such identity"),
        "it refuses the key",
        "copy your public key there (`ssh-copy-id USER@BOARD`), or name the right one with --key",
    ),
    (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED",),
        "its host key has changed since the last time",
        "if the board was flashed anew, forget the old key: `ssh-keygen -R BOARD`",
    ),
    (
        ("Host key verification failed",),
        "its host key is not known here",
        "connect once with `ssh USER@BOARD` and accept it, or give --ssh-option StrictHostKeyChecking=accept-new",
    ),
    (
        ("closed by", "Connection reset", "Broken pipe", "not responding", "disconnect", "Connection to"),
        *_CUT,
    ),
)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Remote:
    """The machine `destination` (``user@host``); use it in a `with` block, which connects.

    Args:
        destination: as ssh takes it.
        port: None leaves it to ssh's configuration.
        key: identity file; None leaves it to ssh's configuration.
        options: further ``NAME=VALUE`` for ``ssh -o``.

    Raises:
        DeployError: no ssh client here, or no connection.
    """

    def __init__(
        self, destination: str, port: int | None = None, key: Path | None = None, options: Sequence[str] = ()
    ) -> None:
        self.destination = destination
        self._folder = tempfile.TemporaryDirectory(prefix="tritloom-ssh-")
        self._control = str(Path(self._folder.name) / "control")
        given = [f"ConnectTimeout={_CONNECT_SECONDS}", "ServerAliveInterval=10", "ServerAliveCountMax=3", *options]
        if not sys.stdin.isatty():
            given.append("BatchMode=yes")  # nobody can answer a question
        if key is not None:
            given.append("IdentitiesOnly=yes")
        self._options = [part for option in given for part in ("-o", option)]
        self._options += ["-p", str(port)] if port is not None else []
        self._options += ["-i", str(key)] if key is not None else []

    def __enter__(self) -> Remote:
        if shutil.which("ssh") is None:
            raise DeployError("the program ssh is not installed here", "install OpenSSH's client")
        with tempfile.TemporaryFile("w+", errors="replace") as messages:  # a pipe would stay open with the connection
            command = ["ssh", "-M", "-N", "-f", "-S", self._control, *self._options, "--", self.destination]
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=messages, check=False
            ).returncode
            messages.seek(0)
            text = messages.read()
        if code:
            self._folder.cleanup()
            raise self._failure(text)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        command = ["ssh", "-S", self._control, "-O", "exit", "--", self.destination]
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        self._folder.cleanup()

    def run(self, command: Sequence[str], given: str = "") -> Done:
        """Run a command there, with `given` on its standard input.

        Raises:
            DeployError: the connection was cut.
        """
        done = subprocess.run(
            self._command(command), input=given, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode == _SSH_FAILED:
            raise self._failure(done.stderr)
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def writing(self, command: Sequence[str]) -> Iterator[tuple[IO[bytes], list[Done]]]:
        """Run a command there and write to its standard input; how it ended is in the list afterwards.

        A pipe that breaks because the command ended is no error here.

        Raises:
            DeployError: the connection was cut.
        """
        ended: list[Done] = []
        with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
            process = subprocess.Popen(self._command(command), stdin=subprocess.PIPE, stdout=out, stderr=err)
            try:
                if process.stdin is not None:
                    try:
                        yield process.stdin, ended
                        process.stdin.close()
                    except BrokenPipeError:
                        pass
                process.wait()
            finally:
                process.kill()
                process.wait()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))
        if process.returncode == _SSH_FAILED:
            raise self._failure(texts[1])
        ended.append(Done(process.returncode, *texts))

    def _command(self, command: Sequence[str]) -> list[str]:
        return ["ssh", "-S", self._control, *self._options, "--", self.destination, shlex.join(command)]

    def _failure(self, text: str) -> DeployError:
        for signs, meaning, hint in _REASONS:
            if any(sign in text for sign in signs):
                shown = next(line for line in text.splitlines() if any(sign in line for sign in signs))
                host = self.destination.rpartition("@")[2]
                filled = hint.replace("USER@BOARD", self.destination).replace("BOARD", host)
                return DeployError(f"{self.destination}: {meaning} ({shown.strip()})", filled)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:  # what ssh says of a shared connection that broke
            return DeployError(f"{self.destination}: {_CUT[0]}", _CUT[1])
        return DeployError(f"{self.destination}: {lines[-1]}", f"try `ssh -v {self.destination}`")
