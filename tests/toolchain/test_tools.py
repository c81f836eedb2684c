"""Versions, the table of features, finding tools, loops and where they come from."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from tritloom.toolchain import ToolError, Version
from tritloom.toolchain.find import HLS_FEATURE, find_hls, find_tool, installed
from tritloom.toolchain.loops import RUNS_IN, describe, instructions_of, locate, loop_of_path, stage_of
from tritloom.toolchain.machine import Local
from tritloom.toolchain.reports import Loop
from tritloom.toolchain.versions import FEATURES, NEWEST, OLDEST, flow_line, has

from .conftest import Fakes

LIBRARY = Path(__file__).parents[2] / "templates" / "hls"


@pytest.mark.parametrize("module", ["versions", "find", "messages"])
def test_examples(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"tritloom.toolchain.{module}"))
    assert found.attempted
    assert found.failed == 0


@pytest.mark.parametrize("text", ["2024", "2024.11", "24.1", "latest", "2024.1; rm", ""])
def test_what_is_no_release(text: str) -> None:
    with pytest.raises(ToolError, match="is no release of Vivado or Vitis") as caught:
        Version.parse(text)
    assert caught.value.exit_code == 2


def test_every_release_can_run_hls() -> None:
    for year in range(OLDEST.year, NEWEST.year + 2):
        for release in (1, 2):
            version = Version(year, release)
            if version >= OLDEST:
                assert any(has(feature, version) for feature in HLS_FEATURE.values()), version


def test_the_table_of_features() -> None:
    assert [str(FEATURES[name].first) for name in ("vitis-run --tcl", "v++ --mode hls")] == ["2023.2", "2023.1"]
    assert has("vitis_hls -f", Version(2024, 2))
    assert not has("vitis_hls -f", Version(2025, 1))
    assert has("flow_target", Version(2025, 2))
    assert not has("flow_target", Version(2026, 1))
    assert has("default_axi", Version(2027, 1)), "a later release is taken for the newest known"
    assert all(feature.source for feature in FEATURES.values())


def test_the_flow_of_a_config_file() -> None:
    assert flow_line(Version(2025, 2), "vitis") == "flow_target=vitis"
    assert flow_line(Version(2026, 1), "vitis") == "syn.interface.default_axi=0"


def test_finds_what_is_on_the_path(fakes: Fakes) -> None:
    folder = fakes(version="2023.2.2")
    (tool,) = installed(Local(), "vivado")
    assert (tool.path, str(tool)) == (str(folder / "vivado"), "vivado 2023.2")
    assert find_hls(Local()).name == "vitis-run"
    assert find_hls(Local(), program="v++").name == "v++"


def test_finds_what_is_installed_beside(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both layouts of the installers; --tool-version picks among them."""
    from support.fake_tools import install

    fakes("v++")
    for place, version in (("Vivado/2022.2/bin", "2022.2"), ("2025.1/Vivado/bin", "2025.1")):
        install(tmp_path / "Xilinx" / place, ("vivado",), version=version)
    monkeypatch.setattr("tritloom.toolchain.machine.INSTALL_FOLDERS", (str(tmp_path / "Xilinx"),))
    assert find_tool(Local(), "vivado", "Vivado", Version(2025, 1)).path.endswith("2025.1/Vivado/bin/vivado")
    assert find_tool(Local(), "vivado", "Vivado", Version(2022, 2)).path.endswith("Vivado/2022.2/bin/vivado")


def test_a_release_that_is_too_old(fakes: Fakes) -> None:
    fakes(version="2019.2")
    with pytest.raises(ToolError, match="Vivado 2019.2 is too old"):
        find_tool(Local(), "vivado", "Vivado")
    with pytest.raises(ToolError, match="is of 2019.2, which has no 'vitis-run --tcl'"):
        find_hls(Local())


def test_a_program_that_does_not_start(fakes: Fakes) -> None:
    fakes(starts=False)
    with pytest.raises(
        ToolError, match=r"/vivado does not start: loader: error while loading shared libraries: libtinfo"
    ):
        find_tool(Local(), "vivado", "Vivado")


def test_every_header_with_a_loop_is_known() -> None:
    """A new header of the kernel library has its line in the table, or serves every instruction."""
    serve_all = {"engine.h", "readers.h", "timer.h", "sources.h", "types.h", "process.h", "instruction.h"}
    with_loops = {
        path.name
        for path in (LIBRARY / "include" / "tritloom").glob("*.h")
        if any(word in path.read_text() for word in ("for (", "while ("))
    }
    assert with_loops <= RUNS_IN.keys() | serve_all
    assert {name for name in RUNS_IN if not (LIBRARY / "include" / "tritloom" / name).is_file()} == set()


def line_of(header: str, text: str) -> int:
    lines = (LIBRARY / "include" / "tritloom" / header).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_loop_is_found_by_its_line_and_function() -> None:
    line = line_of("array.h", "while (row < rows)")
    loop = Loop(f"VITIS_LOOP_{line}_1", "dot_array_Config_StreamSource_Config_s")
    assert locate(loop, LIBRARY) == f"include/tritloom/array.h:{line}"
    assert locate(Loop(f"VITIS_LOOP_{line}_1", "elsewhere"), LIBRARY) == ""
    assert locate(Loop("LOAD", "dot_array_s"), LIBRARY) == ""


def test_a_location_of_the_report_is_made_relative() -> None:
    loop = Loop("L", "m", location="/home/x/bundle/hls/include/tritloom/embed.h:40")
    assert locate(loop, LIBRARY) == "include/tritloom/embed.h:40"
    assert (
        locate(Loop("L", "m", location="/opt/Vitis/include/hls_math.h:7"), LIBRARY) == "/opt/Vitis/include/hls_math.h:7"
    )


def test_instructions_by_loop() -> None:
    rows = [{"name": name} for name in ("embed.f16", "quantize.two", "linear.store", "linear.logits")]

    def names(place: str) -> list[str]:
        return [row["name"] for row in instructions_of(place, rows)]

    assert names("include/tritloom/embed.h:1") == ["embed.f16"]
    assert names("include/tritloom/dot.h:1") == ["linear.store", "linear.logits"]
    assert names("include/tritloom/topk.h:1") == ["linear.logits"]
    assert names("include/tritloom/readers.h:1") == []


def test_a_timing_path_names_a_loop() -> None:
    loops = [Loop("A", "quantiser_s"), Loop("VITIS_LOOP_9_1", "dot_Pipeline_VITIS_LOOP_9_1"), Loop("B", "other")]
    path = "d_i/kernel/inst/engine_U0/grp_dot_Pipeline_VITIS_LOOP_9_1_fu_152/a_reg[3]/C -> d_i/kernel/inst/x/D"
    assert loop_of_path(path, loops) == loops[1]
    assert loop_of_path("d_i/ps/inst/a -> d_i/ps/inst/b", loops) is None


def test_a_module_of_a_net_names_its_stage() -> None:
    stages: list[dict[str, str]] = [
        {"name": "conv_1", "kernel": "mvau", "onnx": "/conv1/Conv"},
        {"name": "conv_10", "kernel": "mvau", "onnx": "/conv10/Conv"},
        {"name": "window_1", "kernel": "window", "onnx": ""},
    ]

    def stage(module: str) -> str | None:
        found = stage_of(module, stages)
        return None if found is None else str(found["name"])

    assert stage("mvau_Conv1_s") == "conv_1"
    assert stage("mvau_Conv10_Pipeline_VITIS_LOOP_40_1") == "conv_10"
    assert stage("window_Window1_s") == "window_1"
    assert stage("region") is None
    loop = Loop("VITIS_LOOP_40_1", "mvau_Conv10_s")
    assert describe(loop, LIBRARY, {"stages": stages}) == (
        "loop VITIS_LOOP_40_1 of mvau_Conv10_s\n  is stage conv_10 (ONNX /conv10/Conv)"
    )
