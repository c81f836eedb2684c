"""`tritloom build` and `tritloom doctor` as a user meets them, with fake tools."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tritloom
from support.fake_tools import calls, install
from tritloom.api import compile_model

from .conftest import Cli

MODEL = Path(__file__).parents[2] / "examples" / "matmulfree" / "model.onnx"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example for the PYNQ-Z2; not to be changed."""
    folder = tmp_path_factory.mktemp("compiled") / "z2"
    compile_model(MODEL, "pynq-z2", folder)
    return folder


@pytest.fixture
def z2(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of one's own, in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(compiled, tmp_path / "z2")
    return Path("z2")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Fake tools on the PATH; nothing of AMD's elsewhere."""
    for name in ("XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tritloom.toolchain.machine.INSTALL_FOLDERS", ())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return lambda **behaviour: install(tmp_path / "bin", **behaviour)


def test_a_bundle_becomes_an_overlay(cli: Cli, z2: Path, tools: Callable[..., Path]) -> None:
    tools(version="2024.1")
    outcome = cli("build", z2, "--jobs", "3")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == "Resources (implemented, not run on hardware)"
    rows = {line.split()[0]: line.split() for line in outcome.out.splitlines()[2:7]}
    assert rows["LUT"][4] == "36,020"
    assert rows["LUT"][6] == "53,200"
    assert "worst setup, hold slack  0.113, 0.010 ns  implemented" in outcome.out
    assert re.fullmatch(
        r"hls    vitis-run 2024.1: C\+\+ to RTL\n"
        r"hls    vitis-run 2024.1: done in \d+ s\n"
        r"synth  vivado 2024.1: block design, synthesis\n"
        r"synth  vivado 2024.1: done in \d+ s\n"
        r"impl   vivado 2024.1: placement, routing, bitstream\n"
        r"impl   vivado 2024.1: done in \d+ s\n"
        r"Wrote tritloom.bit, tritloom.hwh and overlay.json to z2/overlay.\n",
        outcome.err,
    )
    assert max(map(len, (outcome.out + outcome.err).splitlines())) <= 80


def test_again_it_is_up_to_date(cli: Cli, z2: Path, tools: Callable[..., Path]) -> None:
    folder = tools()
    cli("build", z2)
    made = len(calls(folder))
    outcome = cli("build", z2)
    assert outcome.err.count(": up to date\n") == 3
    assert len(calls(folder)) == made


def test_json(cli: Cli, z2: Path, tools: Callable[..., Path]) -> None:
    tools(hls="ii")
    outcome = cli("build", z2, "--keep-going", "--json")
    data = json.loads(outcome.out)
    assert [stage["name"] for stage in data["stages"]] == ["hls", "synth", "impl"]
    assert data["timing"]["met"]
    assert data["overlay"] == json.loads((z2 / "overlay" / "overlay.json").read_text())
    assert data["warnings"][0].startswith("II violation: ")


def test_stop_after(cli: Cli, z2: Path, tools: Callable[..., Path]) -> None:
    tools()
    outcome = cli("build", z2, "--stop-after", "hls")
    assert outcome.code == 0
    assert outcome.out.startswith("Resources (estimated by HLS)\n")
    assert outcome.err.endswith("Stopped after hls; `tritloom build z2` goes on from here.\n")


def test_an_error_has_a_hint_and_a_place(cli: Cli, z2: Path, tools: Callable[..., Path]) -> None:
    tools(synth="licence")
    outcome = cli("build", z2)
    assert outcome.code == 1
    assert outcome.out == ""
    message, place, hint = outcome.err.splitlines()[-3:]
    assert message.startswith("error: synth: vivado 2024.1 failed: [Common 17-345] A valid license was not found")
    assert place == f"  {z2.resolve()}/logs/synth-synth_1-runme.log:2"
    assert hint.startswith("Hint: the device needs a licence")
    assert (z2 / "logs" / "synth-synth_1-runme.log").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--stop-after", "place"),
            "error: --stop-after place: there is no such choice\nHint: choices: hls, synth, impl\n",
        ),
        (("--hls", "vivado_hls"), "error: --hls vivado_hls: there is no such choice\n"),
        (
            ("--tool-version", "latest"),
            "error: 'latest' is no release of Vivado or Vitis\nHint: give one like 2024.1\n",
        ),
        (("--jobs", "0"), "error: invalid value for '--jobs'"),
        (("--tool-version", "2023.1"), "error: Vitis HLS 2023.1 is not installed; found: 2024.1\n"),
    ],
)
def test_bad_options(cli: Cli, z2: Path, tools: Callable[..., Path], arguments: tuple[str, str], said: str) -> None:
    tools()
    outcome = cli("build", z2, *arguments)
    assert outcome.code == (1 if "is not installed" in said else 2)
    assert said in outcome.err
    assert not (z2 / "overlay").exists()


def test_a_folder_that_is_no_bundle(cli: Cli, tmp_path: Path, tools: Callable[..., Path]) -> None:
    tools()
    outcome = cli("build", tmp_path)
    assert outcome.code == 2
    assert "manifest.json" in outcome.err
    assert not (tmp_path / "logs").exists()


def test_on_a_terminal_it_shows_what_the_tool_says(z2: Path, tools: Callable[..., Path]) -> None:
    """80 columns, the stage, the time that it has taken so far, and the tool's last line."""
    tools(seconds={"hls": 0.6, "synth": 0.6})
    leader, follower = pty.openpty()
    environment = {
        **os.environ,
        "COLUMNS": "80",
        "TERM": "xterm",
        "PYTHONPATH": str(Path(tritloom.__file__).parents[1]),
    }
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tritloom", "build", z2], stderr=follower, stdout=subprocess.DEVNULL, env=environment
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            block = os.read(leader, 65536)
        except OSError:
            break
        if not block:
            break
        seen += block
    os.close(leader)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    frames = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert max(map(len, frames)) <= 80
    assert any(re.search(r"hls    vitis-run 2024\.1 +0:00:0\d", frame) for frame in frames)
    assert any("SW Build" in frame or "HLS 200-" in frame for frame in frames), "the tool's own lines"
    assert re.search(r"impl   vivado 2024\.1 +0:00:0\d +done", frames[-4] + frames[-3] + frames[-2])


def test_doctor_knows_the_tools(cli: Cli, tools: Callable[..., Path]) -> None:
    tools(version="2023.2")
    found = {item["name"]: item["version"] for item in json.loads(cli("doctor", "--json").out)}
    assert (found["Vitis HLS"], found["Vivado"], found["v++"]) == ("2023.2", "2023.2", "2023.2")


def test_doctor_tells_a_tool_that_does_not_start(cli: Cli, tools: Callable[..., Path]) -> None:
    folder = tools(starts=False)
    found = {item["name"]: item["version"] for item in json.loads(cli("doctor", "--json").out)}
    assert found["Vivado"] == f"{folder}/vivado does not start"
