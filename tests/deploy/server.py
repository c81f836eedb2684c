"""A real OpenSSH server on loopback, with throw-away keys: the board's side of a deployment."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from pathlib import Path

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


def why_not() -> str | None:
    """Why no server can be started here."""
    if SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "OpenSSH's server and client are not installed"
    return None


def can_mount() -> bool:
    """Whether a mount of our own can be made, seen by nobody else."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


class Server:
    """sshd in `folder`, whose users have the environment `environment`, and `home` as home folder.

    `command` is a shell script that every command goes through (its words are in $SSH_ORIGINAL_COMMAND);
    `mounts` are shell commands that set up mounts which only the server and its children see.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], command: str = "", mounts: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as its service does at the start
        self.key = make_key(folder / "client")
        host_key = make_key(folder / "host")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        values = {"HOME": str(self.home), **environment}
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {host_key}",
            f"AuthorizedKeysFile {folder / 'client.pub'}",
            "PidFile none",
            "UsePAM yes" if os.geteuid() == 0 else "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "SetEnv " + " ".join(f'{name}="{value}"' for name, value in values.items()),
        ]
        if command:
            script = folder / "command.sh"
            script.write_text(f"#!/bin/bash\n{command}\n")
            script.chmod(0o755)
            lines.append(f"ForceCommand exec {script}")
        (folder / "config").write_text("\n".join(lines) + "\n")
        start = f"{mounts}\nexec {SSHD} -D -e -f {folder / 'config'}"
        wrapper = ["unshare", "-m"] if mounts else []
        self.log = (folder / "log").open("w+")
        self._process = subprocess.Popen([*wrapper, "sh", "-ec", start], stderr=self.log, stdout=self.log)
        self._await()

    def _await(self) -> None:
        end = time.monotonic() + 15
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError(f"sshd did not start: {self.log.read()}")

    @property
    def destination(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1"

    @property
    def options(self) -> list[str]:
        """What `tritloom deploy` needs to get in."""
        known = self.folder / "known_hosts"
        named = ["StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={known}", "LogLevel=ERROR"]
        given = [part for option in named for part in ("--ssh-option", option)]
        return ["--port", str(self.port), "--key", str(self.key), *given]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self.log.close()


def board_python(folder: Path) -> Path:
    """A Python with what this one has installed, but without tritloom, as the image of a board: its path."""
    venv.create(folder, with_pip=False)
    target = next(folder.glob("lib/python3*/site-packages"))
    installed = [path for path in sys.path if path.endswith("site-packages")]
    (target / "image.pth").write_text("\n".join(installed) + "\n")
    return folder / "bin" / "python3"


def fake_package(folder: Path, name: str, version: str) -> Path:
    """A Python in which `name` seems to be installed; its path."""
    venv.create(folder, with_pip=False)
    info = next(folder.glob("lib/python3*/site-packages")) / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder / "bin" / "python3"
