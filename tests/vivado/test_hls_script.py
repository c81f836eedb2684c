"""The Vitis HLS script of a bundle under tclsh, in a strict model of the tool's commands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import vivado_model as model
from tritloom.backend.hls import HlsTarget, render_hls
from tritloom.targets import list_targets, load_target
from vivado_build import limits_for

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")


def _write(folder: Path, board: str) -> Path:
    """The HLS folder of a bundle for a board; the path of its script."""
    target = load_target(board)
    hls = folder / "hls"
    for name, text in render_hls(limits_for(target), HlsTarget.of(target), []).items():
        path = hls / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return hls / "run_hls.tcl"


@needs_tclsh
@pytest.mark.parametrize("board", [target.name for target in list_targets()])
@pytest.mark.parametrize("component", [False, True], ids=["project", "component"])
def test_runs_to_the_end(tmp_path: Path, board: str, component: bool) -> None:
    target = load_target(board)
    ran = model.run_hls(_write(tmp_path, board), tmp_path, component=component)
    assert ran.code == 0, ran.errors
    card = target.family == "alveo"
    assert f"flow {'vitis' if card else 'vivado'}" in ran.log
    assert f"part {target.part}" in ran.log
    assert [entry for entry in ran.log if entry.startswith("step")] == ["step csynth", "step export"]
    export = next(entry for entry in ran.log if entry.startswith("export"))
    assert ("-format xo" in export, "tritloom.xo" in export) == (card, card)
    assert ("command hls::open_component" in ran.facts) == component


@needs_tclsh
def test_steps_can_be_chosen(tmp_path: Path) -> None:
    script = _write(tmp_path, "kv260")
    (script.parent / "hls_options.tcl").write_text("set steps {csim csynth cosim export}\n", encoding="utf-8")
    ran = model.run_hls(script, tmp_path, component=False)
    assert ran.code == 0, ran.errors
    steps = [entry.removeprefix("step ") for entry in ran.log if entry.startswith("step")]
    assert steps == ["csim", "csynth", "cosim", "export"]


@needs_tclsh
@pytest.mark.parametrize(
    ("pattern", "replacement", "complaint"),
    [
        (r"set_top tritloom\n", "", "csynth_design without top"),
        (r"set_part .*\n", "", "csynth_design without part"),
        (r"create_clock .*\n", "", "csynth_design without clock"),
        (r"create_clock -period", "create_clock -frequency", "unknown option -frequency"),
        (r"top\.cpp", "missing.cpp", "add_files: no "),
        (r"    csynth_design\n", "", "export_design without synthesised"),
        (r"-m_axi_addr64=1", "-m_axi_address64=1", "unknown option -m_axi_address64"),
        (r"config_compile", "config_compiler", "invalid command name"),
        (r"-format ip_catalog", "-format ip_catalogue", "export_design -format ip_catalogue"),
        (r"solution1 -flow_target vivado", "solution1 -flow_target vitis2", "open_solution -flow_target vitis2"),
    ],
)
def test_a_mutant_is_caught(tmp_path: Path, pattern: str, replacement: str, complaint: str) -> None:
    script = _write(tmp_path, "kv260")
    mutant, count = re.subn(pattern, replacement, script.read_text(encoding="utf-8"), count=1)
    assert count == 1
    script.write_text(mutant, encoding="utf-8")
    ran = model.run_hls(script, tmp_path, component=False)
    assert ran.code != 0
    assert complaint in ran.errors
