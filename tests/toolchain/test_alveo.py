"""Alveo: an .xo from HLS, v++ --link in two steps, an .xclbin."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.fake_tools import calls
from tritloom.toolchain import BuildOptions, ToolError, build_bundle

from .conftest import Fakes

RUN_HLS = """
set here [file dirname [file normalize [info script]]]
if {[llength [info commands open_component]] > 0} {
    open_component -reset tritloom_hls -flow_target vitis
} else {
    open_project -reset tritloom_hls
    open_solution -reset solution1 -flow_target vitis
}
set_top tritloom
set_part {xcu250-figd2104-2L-e}
create_clock -period 3.333 -name default
csynth_design
export_design -format xo -output [file join $here tritloom.xo]
exit
"""


@pytest.fixture
def card(bundle: Path) -> Path:
    """The bundle with the scripts of an Alveo card."""
    (bundle / "vivado" / "build.tcl").unlink()
    (bundle / "vivado" / "link.cfg").write_text("platform=xilinx_u250_gen3x16_xdma_4_1_202210_1\n")
    (bundle / "hls" / "run_hls.tcl").write_text(RUN_HLS)
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = {name: digest for name, digest in manifest["files"].items() if not name.startswith("vivado/")}
    for name in ("vivado/link.cfg", "hls/run_hls.tcl"):
        files[name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "files": files}))
    return bundle


def test_links_an_xclbin(card: Path, fakes: Fakes) -> None:
    folder = fakes(version="2023.2")
    result = build_bundle(card, BuildOptions(jobs=6))
    assert [(stage.name, stage.tool) for stage in result.stages] == [
        ("hls", "vitis-run 2023.2"),
        ("synth", "v++ 2023.2"),
        ("impl", "v++ 2023.2"),
    ]
    assert result.overlay is not None
    assert set(result.overlay["files"]) == {"tritloom.xclbin"}
    assert set(result.overlay["tools"]) == {"hls", "vpp"}
    assert sorted(path.name for path in (card / "overlay").iterdir()) == ["overlay.json", "tritloom.xclbin"]
    common = ["v++", "-l", "-t", "hw", "--config", "link.cfg", "--save-temps", "--temp_dir", "build", "--jobs", "6"]
    last = ["-o", "build/products/tritloom.xclbin", "../hls/tritloom.xo"]
    assert calls(folder)[1:] == [
        [*common, "--to_step", "vpl.synth", *last],
        [*common, "--from_step", "vpl.impl", *last],
    ]


def test_goes_on_after_a_missed_clock(card: Path, fakes: Fakes) -> None:
    """firesim#1293: the cause stands in the log of the run."""
    fakes(impl="timing")
    with pytest.raises(
        ToolError, match=r"^impl: v\+\+ 2024.1 failed: \[VPL 101-2\] design did not meet timing"
    ) as caught:
        build_bundle(card)
    assert "clock_mhz" in caught.value.hint
    assert not (card / "overlay").exists()
    fakes()
    result = build_bundle(card)
    assert [stage.kept for stage in result.stages] == [True, True, False]
    again = build_bundle(card)
    assert [stage.kept for stage in again.stages] == [True, True, True]


def test_without_v_plus_plus(card: Path, fakes: Fakes) -> None:
    fakes("vitis-run", "vivado")
    with pytest.raises(ToolError, match=r"^v\+\+ 2024.1 was not found|^v\+\+ was not found"):
        build_bundle(card)
