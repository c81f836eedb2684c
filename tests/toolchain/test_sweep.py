"""Many builds at once: a real dask scheduler, real workers on loopback, one of them killed in mid-build."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tritloom
from support.fake_tools import calls
from tritloom.cli import main
from tritloom.toolchain import BuildOptions, ToolError

from .conftest import MODEL, Fakes

pytest.importorskip("distributed")

from tritloom.toolchain.sweep import build_many


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers."""

    address: str
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture
def cluster(fakes: Fakes, tmp_path: Path) -> Iterator[Cluster]:
    """`dask scheduler` and two `dask worker` without nannies, so that a killed one stays dead."""
    fakes(seconds={"synth": 4})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    # The workers get tritloom from where this process has it; a PYTHONPATH may be relative.
    environment = {**os.environ, "PYTHONPATH": str(Path(tritloom.__file__).parents[1])}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "env": environment}
    scheduler = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-dashboard",
        ],
        **quiet,  # type: ignore[call-overload]
    )
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--no-nanny",
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]  # type: ignore[call-overload]
    try:
        yield Cluster(address, workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    """Until something holds; not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.long
def test_a_killed_workers_build_is_run_again(cluster: Cluster, compiled: Path, tmp_path: Path) -> None:
    folders = [Path(shutil.copytree(compiled, tmp_path / name)) for name in ("one", "two")]
    tools = tmp_path / "bin"
    killed = []

    def kill_one() -> None:
        """Once both are in synthesis, end a worker as Linux does when memory runs out."""
        wait_for(lambda: sum(call[-1] == "synth" for call in calls(tools)) == 2)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        killed.append(True)

    thread = threading.Thread(target=kill_one)
    thread.start()
    outcomes = build_many(folders, BuildOptions(jobs=1), cluster.address)
    thread.join()
    assert killed
    assert [outcome.error for outcome in outcomes] == ["", ""]
    for folder in folders:
        assert json.loads((folder / "overlay" / "overlay.json").read_text())["label"] == "implemented"
    last = [call[-1] for call in calls(tools)]
    assert last.count("run_hls.tcl") == 2, "the finished stage is not run again"
    assert last.count("synth") == 3, "the interrupted one is"
    assert last.count("impl") == 2


@pytest.mark.long
def test_a_failure_does_not_stop_the_others(cluster: Cluster, compiled: Path, tmp_path: Path) -> None:
    good = Path(shutil.copytree(compiled, tmp_path / "good"))
    damaged = Path(shutil.copytree(compiled, tmp_path / "damaged"))
    (damaged / "hls" / "top.cpp").unlink()
    seen = []
    outcomes = build_many(
        [damaged, tmp_path / "absent", good], BuildOptions(stop_after="hls"), cluster.address, on_done=seen.append
    )
    assert [outcome.built for outcome in outcomes] == [False, False, True]
    assert outcomes[0].error == "hls/top.cpp is missing from the bundle"
    assert "sees no folder" in outcomes[1].error
    assert {outcome.folder for outcome in seen} == {good, damaged, tmp_path / "absent"}


@pytest.mark.long
def test_a_scheduler_that_is_not_there(compiled: Path) -> None:
    with pytest.raises(ToolError, match=r"^no scheduler answers at tcp://127.0.0.1:1$"):
        build_many([compiled], BuildOptions(), "tcp://127.0.0.1:1")


@pytest.mark.long
def test_the_command(fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a local cluster; what the compiler refuses is listed; a second run builds nothing."""
    tools = fakes()
    out = tmp_path / "sweep"
    arguments = ["sweep", str(MODEL), "-b", "pynq-z2", "--lanes", "4", "--lanes", "8", "-o", str(out), "--json"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    built, refused = json.loads(printed.out)
    assert (built["name"], built["state"], built["resources"]["lut"]) == ("pynq-z2-l4", "built", 36_020)
    assert built["timing"]["met"]
    assert (refused["name"], refused["state"]) == ("pynq-z2-l8", "refused")
    assert "1 of 1  pynq-z2-l4: built" in printed.err
    assert json.loads((out / "sweep.json").read_text()) == [built, refused]
    made = len(calls(tools))
    assert main(arguments) == 0
    capsys.readouterr()
    assert len(calls(tools)) == made


def test_a_sweep_of_a_board_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(MODEL), "-b", "kv2600", "-o", str(tmp_path / "out")]) == 2
    assert "unknown board 'kv2600'" in capsys.readouterr().err
