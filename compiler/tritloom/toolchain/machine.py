"""Where the tools run: this machine, or another over ssh. Both end a tool whose builder is gone."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from .errors import ToolError

GUARD: Final = """
exec {life}<&0
set -m
"$@" </dev/null {life}<&- & tool=$!
{ cat <&$life >/dev/null; kill -TERM -- -$tool; sleep 5; kill -KILL -- -$tool; } 2>/dev/null & guard=$!
exec {life}<&-
wait $tool; status=$?
kill -KILL -- -$guard 2>/dev/null
exit $status
"""
"""Runs a command in a process group of its own and ends the group when standard input is closed: when the
builder is killed, or the connection drops, no orphaned tool goes on writing into the folder."""

QUERY_SECONDS: Final = 60


class Machine(Protocol):
    """A machine that has the tools."""

    @property
    def name(self) -> str:
        """What it is called: `local`, or the host."""

    def which(self, program: str) -> list[str]:
        """Paths of a program, in the order in which they are to be tried."""

    def query(self, command: Sequence[str]) -> str:
        """What a short command prints, both streams; "" where it does not start."""

    def run(self, command: Sequence[str], folder: Path, log: Path, on_line: Callable[[str], None]) -> int:
        """Run a command in `folder` with everything it prints in `log`; its exit status, negative for a signal."""

    def send(self, folder: Path) -> None:
        """Bring the inputs of a build onto the machine."""

    def fetch(self, folder: Path) -> None:
        """Bring back what a stage made."""


INSTALL_FOLDERS: Final = ("/tools/Xilinx", "/opt/Xilinx", "/opt/xilinx", "/tools/AMD", "/opt/AMD")
"""Where the installers put the tools: PRODUCT/VERSION up to 2024.2, VERSION/PRODUCT after."""
_HOME_VARIABLES: Final = ("XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO")


def _pumped(command: Sequence[str], folder: Path | None, log: Path, on_line: Callable[[str], None]) -> int:
    """Run `command`, copying its output to `log` line by line; it ends with us."""
    with log.open("w", encoding="utf-8", errors="replace") as out, subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", bufsize=1, start_new_session=True,
        close_fds=False,  # the lock, the one handle that is inheritable, lives as long as the tool
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                out.write(line)
                out.flush()
                on_line(line.rstrip("\n"))
            return process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()  # what tells the guard
            process.wait()


def _status(code: int) -> int:
    """A shell says 128 + N for signal N."""
    return 128 - code if 128 < code < 160 else code


@dataclass(frozen=True)
class Local:
    """This machine."""

    name: str = "local"

    def which(self, program: str) -> list[str]:
        folders = [Path(folder) for folder in os.get_exec_path()]
        folders += [Path(home, "bin") for home in map(os.environ.get, _HOME_VARIABLES) if home]
        for root in map(Path, INSTALL_FOLDERS):
            folders += sorted(root.glob("*/*/bin"), reverse=True)
        found = (shutil.which(program, path=str(folder)) for folder in folders)
        return list(dict.fromkeys(path for path in found if path is not None))

    def query(self, command: Sequence[str]) -> str:
        try:
            ran = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=QUERY_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return ran.stdout + ran.stderr

    def run(self, command: Sequence[str], folder: Path, log: Path, on_line: Callable[[str], None]) -> int:
        return _status(_pumped(["bash", "-c", GUARD, "tritloom", *command], folder, log, on_line))

    def send(self, folder: Path) -> None:
        """Nothing to do: the folder is here."""

    def fetch(self, folder: Path) -> None:
        """Nothing to do: the folder is here."""


SENT: Final = ("hls", "vivado")
"""Folders of a bundle that the tools read and write."""


class Remote:
    """Another machine over ssh; the folders travel by rsync. Nothing but the tools is needed there.

    Args:
        host: as ssh takes it: `user@host`, or a name of ~/.ssh/config.
        place: folder below the home folder there, one for each bundle.
        ssh: the command, for options such as a port or a key.
    """

    def __init__(self, host: str, place: str, ssh: Sequence[str] = ("ssh",)) -> None:
        if host.startswith("-") or not host.strip():
            raise ToolError(f"{host!r} is no machine", "give --remote user@host", exit_code=2)
        self.name = host
        self.place = place
        self._ssh = [*ssh, "-o", "BatchMode=yes"]
        self._place: Path | None = None

    def _shell(self, script: str, *arguments: str) -> list[str]:
        """A login shell there, so that its profile can source the tools' settings."""
        quoted = " ".join(shlex.quote(argument) for argument in ("bash", "-lc", script, "tritloom", *arguments))
        return [*self._ssh, self.name, quoted]

    def which(self, program: str) -> list[str]:
        roots = " ".join(f"{root}/*/*/bin/{program}" for root in INSTALL_FOLDERS)
        script = f'type -ap "$1"; for p in {roots}; do [ -x "$p" ] && echo "$p"; done; true'
        return list(dict.fromkeys(line for line in self._checked(script, program).splitlines() if line.startswith("/")))

    def query(self, command: Sequence[str]) -> str:
        return self._checked('timeout 60 "$@" 2>&1 </dev/null; true', *command)

    def _checked(self, script: str, *arguments: str) -> str:
        ran = subprocess.run(
            self._shell(script, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
        if ran.returncode == 0:
            return ran.stdout
        reason = ran.stderr.strip().splitlines()[-1:] or [f"ssh ended with {ran.returncode}"]
        raise ToolError(f"{self.name}: {reason[0]}", f"does `ssh {self.name} true` work without a password?")

    def _root(self) -> Path:
        """Where the bundle lies there; made at first."""
        if self._place is None:
            home = self._checked('mkdir -p "$HOME/$1" && cd "$HOME/$1" && pwd', self.place).strip().splitlines()
            self._place = Path(home[-1])
        return self._place

    def run(self, command: Sequence[str], folder: Path, log: Path, on_line: Callable[[str], None]) -> int:
        there = self._root() / folder.name
        script = f'cd "$1" || exit 1; shift; {GUARD}'
        status = _pumped(self._shell(script, str(there), *command), None, log, on_line)
        if status == 255:
            raise ToolError(
                f"the connection to {self.name} was lost", "run the same command again: it goes on where it stopped"
            )
        return _status(status)

    def send(self, folder: Path) -> None:
        there = self._root()
        self._rsync([str(folder / name) for name in SENT], f"{self.name}:{there}/")

    def fetch(self, folder: Path) -> None:
        there = self._root()
        self._rsync([f"{self.name}:{there / SENT[0]}", *(f":{there / name}" for name in SENT[1:])], f"{folder}/")

    def _rsync(self, sources: Sequence[str], destination: str) -> None:
        if shutil.which("rsync") is None:
            raise ToolError("rsync is not installed on this machine", "install it; --remote copies with it")
        command = ["rsync", "-a", "--delete", "-e", shlex.join(self._ssh), *sources, destination]
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if ran.returncode:
            lines = ran.stderr.strip().splitlines() or [f"rsync ended with {ran.returncode}"]
            raise ToolError(f"cannot copy to or from {self.name}: {lines[0]}", f"is rsync installed on {self.name}?")


@contextmanager
def locked(folder: Path, patience_s: float = 12.0) -> Iterator[None]:
    """Hold a bundle for one build at a time, through `folder`/lock.

    The tools inherit the lock: it goes when the builder and its tools have gone, however they end. It is
    waited for, `patience_s` seconds, because a killed builder's guard takes some to end its tool.

    Raises:
        ToolError: another build holds it.
    """
    with (folder / "lock").open("w") as handle:
        os.set_inheritable(handle.fileno(), True)
        end = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > end:
                    hint = "wait for it to end, or stop it"
                    raise ToolError(f"another build is at work in {folder.parent}", hint) from error
                time.sleep(0.1)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
