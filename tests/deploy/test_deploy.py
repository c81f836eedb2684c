"""`tritloom deploy` against a real OpenSSH server; the board is a virtual environment with the emulated device."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from runtime.boards import build_overlay
from runtime.fake_bundle import edit, sha256
from tritloom.cli import main
from tritloom.runtime import Bundle, BundleError

from .conftest import Deploy, Serve
from .server import can_mount, fake_package, make_key

needs_mount = pytest.mark.skipif(not can_mount(), reason="no mounts of our own can be made (unshare -m)")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user can be played by root only")
QUICK = ("--no-reference", "--no-self-test")


def test_a_bundle_reaches_the_board_and_runs(
    built: Path, serve: Serve, deploy: Deploy, image: Path, emulation: None
) -> None:
    server = serve()
    code, out, err = deploy(built, server, "--python", image)
    assert (code, out.splitlines()[0]) == (0, str(server.home / "tritloom/bundle")), err
    lines = err.splitlines()
    assert lines[0] == "computing the known answer on the emulated device"
    assert re.fullmatch(r".*emulated device: Python 3\.\d+\.\d+, pynq [34]\.\d\.\d", lines[2])
    assert re.fullmatch(r"sent 15 of 15 files \([\d.]+ kB\); in place and checked", lines[4])
    assert lines[-2:] == [
        "ok      known answer: bit for bit what was simulated on the emulated device",
        "self-test passed (simulated on the emulated device)",
    ]
    assert max(map(len, lines)) <= 100
    place = server.home / "tritloom/bundle"
    assert Bundle.open(place).program.hash == Bundle.open(built).program.hash
    assert not list(place.parent.glob(".*"))
    [ssh, _, *rest] = shlex.split(out.splitlines()[1].removeprefix("Next: "))
    assert (ssh, rest[:3]) == ("ssh", ["-p", str(server.port), server.destination])
    given = [option for option in server.options if option not in ("--ssh-option", "--port", "--key", str(server.port))]
    options = [part for option in given[1:] for part in ("-o", option)]
    ran = subprocess.run(
        ["ssh", "-i", given[0], *options, *rest], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "64 tokens, " in ran.stderr


@pytest.mark.long
def test_a_second_time_only_what_changed_is_sent(
    built: Path, serve: Serve, deploy: Deploy, image: Path, emulation: None
) -> None:
    server = serve()
    place = server.home / "models" / "a b"
    code, out, err = deploy(built, server, "--python", image, "--to", place, *QUICK, "--json")
    assert code == 0, err
    first = json.loads(out)
    assert (first["place"], first["files"], first["sent_files"]) == (str(place), 14, 14)
    assert first["checks"] is None
    data = b"\0" * 4096
    (built / "weights/gains.bin").write_bytes(data)
    edit(built, lambda manifest: manifest["files"].update({"weights/gains.bin": sha256(data)}))
    edit(built, lambda manifest: manifest["program"]["images"][2].update(sha256=sha256(data)))
    code, out, err = deploy(built, server, "--python", image, "--to", place, *QUICK, "--json")
    second = json.loads(out)
    assert (code, second["sent_files"]) == (0, 3), err
    new = [place / "manifest.json", place / "deployed.json"]
    assert second["sent_bytes"] == 4096 + sum(path.stat().st_size for path in new)
    assert Bundle.open(place).program.hash == Bundle.open(built).program.hash
    assert not list(place.parent.glob(".*"))


@pytest.mark.long
def test_a_board_that_computes_something_else(
    built: Path, serve: Serve, deploy: Deploy, image: Path, emulation: None, tmp_path: Path
) -> None:
    """The gains of the emulated kernel there are not those of the one here: the known answer tells."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cc").write_text(
        '#!/bin/sh\nsed -i "s/state\\[i\\] \\* 0.25f/state[i] * 0.2500001f/" *.c\nexec /usr/bin/cc "$@"\n'
    )
    (tools / "cc").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    server = serve({"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": path, "BASH_ENV": "", "ENV": ""})
    profile = server.home / ".bash_profile"
    profile.write_text(f"PATH={path}\n")
    code, _, err = deploy(built, server, "--python", image)
    assert code == 1
    assert "failed  known answer: differs in " in err
    assert "error: the self-test failed on the board: known answer: differs in " in err


# -- what is wrong with the bundle


def test_a_bundle_that_was_not_built(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(bundle), "user@board"]) == 1
    assert "error: the bundle has no overlay: it has not been built for kv260" in capsys.readouterr().err


def test_an_overlay_that_was_changed(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (built / "overlay/tritloom.hwh").write_text("<EDKSYSTEM/>")
    assert main(["deploy", str(built), "user@board"]) == 1
    assert "error: overlay/tritloom.hwh has 12 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("board", ["-oProxyCommand=x", "user@board -v"])
def test_a_board_that_is_an_option(built: Path, board: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(built), "--", board]) == 2
    assert "is not user@host" in capsys.readouterr().err


# -- connections


def test_a_host_that_does_not_exist(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(built), "user@board.invalid", *QUICK]) == 1
    err = capsys.readouterr().err
    assert "error: user@board.invalid: there is no host of that name (ssh: Could not resolve hostname" in err
    assert "Hint: check the name" in err


def test_a_host_that_refuses_connections(built: Path, serve: Serve, deploy: Deploy) -> None:
    server = serve()
    server.stop()
    code, _, err = deploy(built, server, *QUICK)
    assert code == 1
    assert "error: root@127.0.0.1: it refuses connections" in err.replace(server.destination, "root@127.0.0.1")
    assert "Hint: wait until the board has booted, and check --port" in err


def test_a_key_that_is_refused(built: Path, serve: Serve, deploy: Deploy, tmp_path: Path) -> None:
    server = serve()
    server.key = make_key(tmp_path / "other")
    code, _, err = deploy(built, server, *QUICK)
    assert code == 1
    assert f"error: {server.destination}: it refuses the key ({server.destination}: Permission denied (publickey" in err
    assert f"Hint: copy your public key there (`ssh-copy-id {server.destination}`)" in err


def test_a_host_key_that_changed(built: Path, serve: Serve, deploy: Deploy) -> None:
    server = serve()
    stranger = (server.folder / "client.pub").read_text().split()[1]
    (server.folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 {stranger}\n")
    code, _, err = deploy(built, server, *QUICK)
    assert code == 1
    assert "its host key has changed since the last time" in err
    assert "ssh-keygen -R 127.0.0.1" in err


def test_a_connection_that_is_cut_in_mid_copy(
    built: Path, serve: Serve, deploy: Deploy, image: Path, emulation: None
) -> None:
    big = os.urandom(1 << 20)
    sound = serve()
    place = sound.home / "bundle"
    options = ("--python", image, "--to", place, *QUICK)
    assert deploy(built, sound, *options)[0] == 0
    old = Bundle.open(place).program.hash
    _grow(built, big)
    cut = serve(
        command="""case "$SSH_ORIGINAL_COMMAND" in
*"' receive '"*) head -c 600000 | bash -c "$SSH_ORIGINAL_COMMAND"; kill -9 $PPID; sleep 5;;
*) exec bash -c "$SSH_ORIGINAL_COMMAND";;
esac"""
    )
    code, _, err = deploy(built, cut, *options)
    assert code == 1
    assert f"error: {cut.destination}: the connection was cut" in err
    assert "what arrived whole is not sent again" in err
    assert Bundle.open(place).program.hash == old
    with pytest.raises(BundleError):
        Bundle.open(place.with_name(".bundle.incoming"))
    code, _, err = deploy(built, sound, *options)
    assert code == 0, err
    assert Bundle.open(place).program.hash == Bundle.open(built).program.hash != old
    assert not list(place.parent.glob(".bundle*"))


def _grow(built: Path, data: bytes) -> None:
    """Give the bundle a large image."""
    (built / "weights/port1.bin").write_bytes(data)

    def change(manifest: dict[str, dict[str, object]]) -> None:
        manifest["files"]["weights/port1.bin"] = sha256(data)
        images = manifest["program"]["images"]
        assert isinstance(images, list)
        images[1].update(sha256=sha256(data), bytes=len(data))

    edit(built, change)


# -- what a board lacks


def test_no_pynq(built: Path, serve: Serve, deploy: Deploy, tmp_path: Path) -> None:
    code, _, err = deploy(built, serve(), "--python", fake_package(tmp_path / "venv", "numpy", "1.26.4"), *QUICK)
    assert code == 1
    assert f"error: pynq is not installed in {tmp_path}/venv/bin/python3 (Python 3." in err
    assert "Hint: use a PYNQ image, or name the Python that has it with --python" in err


def test_no_python(built: Path, serve: Serve, deploy: Deploy) -> None:
    code, _, err = deploy(built, serve(), "--python", "/nowhere/python3", *QUICK)
    assert code == 1
    assert "error: there is no Python on the board" in err


@pytest.mark.parametrize(
    ("family", "version", "message"),
    [
        ("zynq", "4.0.0", "pynq 4.0.0 does not drive the Zynq-7000 of pynq-z2"),
        ("zynqmp", "2.7.0", "pynq 2.7.0 is too old"),
        ("zynqmp", "5.0", "pynq 5.0 is newer than this tritloom knows"),
    ],
)
def test_the_wrong_pynq(tmp_path: Path, serve: Serve, deploy: Deploy, family: str, version: str, message: str) -> None:
    from runtime.fake_bundle import write_bundle

    bundle = write_bundle(tmp_path / "other", family)
    build_overlay(bundle)
    code, _, err = deploy(bundle, serve(), "--python", fake_package(tmp_path / "venv", "pynq", version), *QUICK)
    assert code == 1
    assert f"error: {message}\n" in err


def test_another_machine(built: Path, serve: Serve, deploy: Deploy, image: Path) -> None:
    server = serve({"TRITLOOM_EMULATE": "0"})
    code, _, err = deploy(built, server, "--python", image, *QUICK)
    assert code == 1
    assert "the bundle is for kv260; the board is another one (x86_64" in err
    assert "Hint: compile the model for this board" in err


MEMINFO = "MemTotal: 2000000 kB\nMemAvailable: {available} kB\nCmaTotal: {total} kB\nCmaFree: {free} kB\n"


@needs_mount
@pytest.mark.parametrize(
    ("available", "total", "free", "message"),
    [
        (900000, 64, 64, "the model needs 0.1 MiB of contiguous memory; the board's CMA has 0.1 MiB"),
        (900000, 131072, 50, r"needs 0.1 MiB of contiguous memory; 0.0 MiB of the board's CMA \(128.0 MiB\) are free"),
        (10000, 131072, 131072, "the board has only 9.8 MiB of memory left"),
    ],
)
def test_too_little_memory(
    built: Path,
    serve: Serve,
    deploy: Deploy,
    image: Path,
    tmp_path: Path,
    available: int,
    total: int,
    free: int,
    message: str,
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO.format(available=available, total=total, free=free))
    server = serve(mounts=f"mount --bind {meminfo} /proc/meminfo")
    code, _, err = deploy(built, server, "--python", image, *QUICK)
    assert code == 1
    assert re.search(f"error: .*{message}", err)


@needs_mount
def test_a_disk_that_is_full_before(built: Path, serve: Serve, deploy: Deploy, image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    server = serve(mounts=f"mount -t tmpfs -o size=1m tmpfs {disk}")
    code, _, err = deploy(built, server, "--python", image, "--to", disk / "bundle", *QUICK)
    assert code == 1
    assert re.search(r"error: the board's disk is full: 4,\d{3},\d{3} bytes are needed, 1,0\d\d,\d{3} are free", err)
    assert "Hint: free space there, or choose another place with --to" in err


@needs_mount
@pytest.mark.long
def test_a_disk_that_fills_up_meanwhile(
    built: Path, serve: Serve, deploy: Deploy, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritloom.deploy.steps._SPARE_BYTES", -(1 << 30))
    disk = tmp_path / "disk"
    disk.mkdir()
    _grow(built, os.urandom(1 << 20))
    server = serve(mounts=f"mount -t tmpfs -o size=300k tmpfs {disk}")
    code, _, err = deploy(built, server, "--python", image, "--to", disk / "bundle", *QUICK)
    assert code == 1
    assert "error: the board's disk is full: [Errno 28] No space left on device" in err
    code, _, err = deploy(built, server, "--python", image, "--to", tmp_path / "elsewhere", *QUICK)
    assert code == 0, err


@needs_root
def test_no_root(built: Path, serve: Serve, deploy: Deploy) -> None:
    become_nobody = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "$SSH_ORIGINAL_COMMAND"'
    server = serve({"TRITLOOM_EMULATE": "0"}, command=become_nobody)
    code, _, err = deploy(built, server, "--to", "/tmp/nowhere", *QUICK)
    assert code == 1
    assert "loading an overlay needs root, and sudo asks for a password" in err


def test_a_place_that_is_no_bundle(built: Path, serve: Serve, deploy: Deploy, image: Path) -> None:
    server = serve()
    (server.home / "documents").mkdir()
    (server.home / "documents/letter.txt").write_text("dear")
    code, _, err = deploy(built, server, "--python", image, "--to", "documents", *QUICK)
    assert code == 1
    assert f"error: {server.home}/documents is there already and is no bundle" in err
    assert "Hint: choose another place with --to" in err
    assert (server.home / "documents/letter.txt").read_text() == "dear"


SUDO = """#!/bin/bash
# As sudo: -n never asks, -S reads the password from its standard input.
while [ "$1" != -- ]; do
  case "$1" in
    -n) exit 1;;
    -S) read -r given; [ "$given" = secret ] || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; };;
  esac
  shift
done
shift
exec env TRITLOOM_EMULATE=1 "$@"
"""


@needs_root
@pytest.mark.parametrize(("password", "expected"), [("secret", 0), ("wrong", 1)])
def test_the_password_of_sudo(
    built: Path,
    serve: Serve,
    deploy: Deploy,
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    password: str,
    expected: int,
) -> None:
    """A user who is not root: sudo is played by a script that asks for a password as sudo does."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sudo").write_text(SUDO)
    (tools / "sudo").chmod(0o755)
    monkeypatch.setattr("tritloom.deploy.check.Facts.needs_sudo", True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: password)
    server = serve({"PATH": f"{tools}:{os.environ['PATH']}"})
    code, _, err = deploy(built, server, "--python", image, "--ask-password", "--no-reference", "--no-self-test")
    assert code == expected, err
    if expected:
        assert "the runtime could not be installed: sudo: 1 incorrect password attempt" in err
    assert "secret" not in (server.folder / "log").read_text()


def test_a_bundle_copied_by_hand(
    built: Path, tmp_path: Path, image: Path, emulation: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel and a plain copy of the folder, without `tritloom deploy`."""
    from tritloom.deploy.wheel import NAME, runtime_wheel

    (tmp_path / NAME).write_bytes(runtime_wheel())
    copied = tmp_path / "copied"
    subprocess.run(["cp", "-r", built, copied], check=True)
    run = [str(image), "-m", "tritloom.runtime", str(copied), "--self-test", "--emulate"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / NAME)}
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "self-test passed (simulated on the emulated device)",
    ), done.stderr
    (copied / "weights/port0.bin").write_bytes(b"half")
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: weights/port0.bin has 4 bytes, the manifest says 4096" in done.stderr


@pytest.mark.long
def test_a_feed_forward_net(tmp_path: Path, serve: Serve, deploy: Deploy, image: Path, emulation: None) -> None:
    from runtime.fake_net import write_net

    net = write_net(tmp_path / "net")
    build_overlay(net)
    code, out, err = deploy(net, serve(), "--python", image)
    assert code == 0, err
    assert "ok      known answer: bit for bit what was simulated on the emulated device" in err
    assert "--bench" in out
