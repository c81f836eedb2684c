"""The same build on another machine: a real OpenSSH server on loopback, rsync, fake tools there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_tools import calls, install
from tritloom.toolchain import BuildOptions, ToolError, build_bundle

from .conftest import Fakes, Server


def _build(bundle: Path, server: Server, **options: object) -> list[tuple[str, bool]]:
    result = build_bundle(bundle, BuildOptions(remote=server.host, ssh=server.ssh, **options))  # type: ignore[arg-type]
    return [(stage.name, stage.kept) for stage in result.stages]


def test_builds_there_and_brings_the_overlay_here(bundle: Path, server: Server) -> None:
    assert _build(bundle, server, jobs=3) == [("hls", False), ("synth", False), ("impl", False)]
    record = json.loads((bundle / "overlay" / "overlay.json").read_text())
    assert record["kernel_hash"] == json.loads((bundle / "manifest.json").read_text())["kernel"]["hash"]
    assert set(record["files"]) == {"tritloom.bit", "tritloom.hwh"}
    made = calls(server.home / "bin")
    assert [call[0] for call in made] == ["vitis-run", "vivado", "vivado"]
    assert made[-1][-2:] == ["3", "impl"]
    assert "WNS" in (bundle / "vivado" / "build" / "timing.rpt").read_text()
    assert (bundle / "logs" / "synth.log").read_text().startswith("vivado v2024.1")


@pytest.mark.long
def test_goes_on_where_it_stopped(bundle: Path, server: Server) -> None:
    install(server.home / "bin", impl="resources")
    with pytest.raises(ToolError, match="Place 30-640"):
        _build(bundle, server)
    assert not (bundle / "overlay").exists()
    assert "Place 30-640" in (bundle / "logs" / "impl-impl_1-runme.log").read_text()
    install(server.home / "bin")
    assert _build(bundle, server) == [("hls", True), ("synth", True), ("impl", False)]


@pytest.mark.long
def test_what_was_taken_away_here_is_taken_away_there(bundle: Path, server: Server) -> None:
    _build(bundle, server)
    (there,) = (server.home / ".cache" / "tritloom").iterdir()
    stale = there / "hls" / "tritloom_hls" / "old.txt"
    stale.parent.mkdir(exist_ok=True)
    stale.write_text("stale")
    _build(bundle, server, force=True)
    assert not stale.exists()


@pytest.mark.long
def test_a_project_of_vivado_does_not_change_machines(bundle: Path, server: Server, fakes: Fakes) -> None:
    fakes()
    build_bundle(bundle, BuildOptions())
    assert _build(bundle, server) == [("hls", True), ("synth", False), ("impl", False)]


@pytest.mark.long
def test_the_tool_there_ends_with_the_connection(bundle: Path, server: Server) -> None:
    """A builder whose ssh dies leaves no tool at work."""
    install(server.home / "bin", seconds={"hls": 60})
    failures: list[ToolError] = []

    def build() -> None:
        try:
            _build(bundle, server)
        except ToolError as error:
            failures.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    tool = rf"{server.home}/bin/fake\.py vitis-run --mode"
    wait_for(lambda: processes("-f", tool))
    for session in processes("-P", str(server.pid)):
        os.kill(session, signal.SIGKILL)
    thread.join(20)
    assert not thread.is_alive()
    assert [failure.message for failure in failures] == ["the connection to builder was lost"]
    wait_for(lambda: not processes("-f", tool))


def processes(*selection: str) -> list[int]:
    """Processes that pgrep selects."""
    found = subprocess.run(["pgrep", *selection], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def wait_for(condition: Callable[[], object], seconds: float = 15) -> None:
    """Until something holds; not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_a_machine_that_does_not_answer(bundle: Path, server: Server) -> None:
    ssh = (*server.ssh, "-p", "1")
    with pytest.raises(ToolError, match=r"^builder: ssh: connect to host .* refused") as caught:
        build_bundle(bundle, BuildOptions(remote="builder", ssh=ssh))
    assert caught.value.hint == "does `ssh builder true` work without a password?"


@pytest.mark.long
def test_a_machine_without_tools(bundle: Path, server: Server) -> None:
    (server.home / ".bash_profile").write_text("")
    with pytest.raises(ToolError, match="Vitis HLS was not found on builder"):
        _build(bundle, server)


def test_a_host_that_looks_like_an_option(bundle: Path) -> None:
    with pytest.raises(ToolError, match="is no machine") as caught:
        build_bundle(bundle, BuildOptions(remote="-oProxyCommand=touch /tmp/x"))
    assert caught.value.exit_code == 2
