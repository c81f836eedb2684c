"""A real bundle, fake tools, and a real OpenSSH server."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.fake_tools import install
from tritloom.api import compile_model

MODEL = Path(__file__).parents[2] / "examples" / "matmulfree" / "model.onnx"

Fakes = Callable[..., Path]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example for the KV260, compiled once; not to be changed."""
    folder = tmp_path_factory.mktemp("compiled") / "bundle"
    compile_model(MODEL, "kv260", folder)
    return folder


@pytest.fixture
def bundle(compiled: Path, tmp_path: Path) -> Path:
    """A bundle of one's own."""
    return Path(shutil.copytree(compiled, tmp_path / "bundle"))


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Put fake tools on the PATH: fakes(version="2024.1", synth="licence"). Called again, they are other ones."""
    folder = tmp_path / "bin"
    for name in ("XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tritloom.toolchain.machine.INSTALL_FOLDERS", ())
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(*names: str, **behaviour: object) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return install(folder, names, **behaviour) if names else install(folder, **behaviour)  # type: ignore[arg-type]

    return put


@dataclass(frozen=True)
class Server:
    """An OpenSSH server on loopback."""

    host: str
    ssh: tuple[str, ...]
    """The command that reaches it."""
    home: Path
    pid: int


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with throw-away keys, whose home folder has fake tools on its PATH."""
    sshd = shutil.which("sshd", path=f"/usr/sbin:{os.environ['PATH']}")
    if sshd is None or shutil.which("rsync") is None:
        pytest.skip("needs sshd and rsync")
    folder, home = tmp_path / "sshd", tmp_path / "home"
    folder.mkdir(mode=0o700)
    home.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile {folder / 'pid'}\nPermitRootLogin yes\n"
        f"SetEnv HOME={home}\n"
    )
    (folder / "ssh_config").write_text(
        f"Host builder\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder / 'user'}\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known'}\n"
        "  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # which sshd asks for as root
    (home / ".bash_profile").write_text(f'export PATH="{install(home / "bin")}:$PATH"\n')
    process = subprocess.Popen(
        [sshd, "-D", "-e", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ssh = ("ssh", "-F", str(folder / "ssh_config"))
    try:
        for _ in range(100):
            if subprocess.run([*ssh, "builder", "true"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.05)
        else:
            pytest.skip("sshd does not start here")
        yield Server("builder", ssh, home, process.pid)
    finally:
        process.terminate()
        process.wait()
