"""Stages, resume, overlay: with fake tools that take the real command lines."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tritloom
from support.fake_tools import calls
from tritloom.api import compile_model
from tritloom.runtime.bundle import Bundle
from tritloom.runtime.errors import DeviceError
from tritloom.runtime.overlay_file import check_overlay
from tritloom.toolchain import BuildOptions, ToolError, Version, build_bundle
from tritloom.toolchain.machine import locked
from tritloom.toolchain.record import sha256_of

from .conftest import MODEL, Fakes


def build(bundle: Path, **options: object) -> dict[str, bool]:
    """Build; stage -> whether it was kept."""
    result = build_bundle(bundle, BuildOptions(**options))  # type: ignore[arg-type]
    return {stage.name: stage.kept for stage in result.stages}


def overlay(bundle: Path) -> dict[str, object]:
    return dict(json.loads((bundle / "overlay" / "overlay.json").read_text()))


def test_the_overlay_names_its_kernel(bundle: Path, fakes: Fakes) -> None:
    fakes(version="2024.1")
    assert build(bundle) == {"hls": False, "synth": False, "impl": False}
    record = overlay(bundle)
    kernel = json.loads((bundle / "manifest.json").read_text())["kernel"]
    bit, hwh = bundle / "overlay" / "tritloom.bit", bundle / "overlay" / "tritloom.hwh"
    assert record == {
        "schema": 1,
        "generator": "tritloom 0.1.0",
        "kernel_hash": kernel["hash"],
        "board": "kv260",
        "part": "xck26-sfvc784-2LV-c",
        "clock_mhz": 250.0,
        "tools": {
            "hls": {"name": "vitis-run", "version": "2024.1"},
            "vivado": {"name": "vivado", "version": "2024.1"},
        },
        "files": {
            "tritloom.bit": {"bytes": bit.stat().st_size, "sha256": sha256_of(bit)},
            "tritloom.hwh": {"bytes": hwh.stat().st_size, "sha256": sha256_of(hwh)},
        },
        "label": "implemented",
    }
    assert sorted(path.name for path in (bundle / "overlay").iterdir()) == [
        "overlay.json",
        "tritloom.bit",
        "tritloom.hwh",
    ]
    assert sorted(path.name for path in bundle.iterdir() if path.name.startswith(".")) == []


def test_the_runtime_takes_it(bundle: Path, fakes: Fakes) -> None:
    """What `tritloom build` writes is what the board's side checks."""
    fakes()
    build(bundle)
    opened = Bundle.open(bundle)
    assert check_overlay(opened) == bundle / "overlay" / "tritloom.bit"
    (bundle / "overlay" / "tritloom.hwh").write_text("another")
    with pytest.raises(DeviceError, match="overlay/tritloom.hwh"):
        check_overlay(opened)


def test_a_second_model_takes_the_overlay_over(bundle: Path, fakes: Fakes, tmp_path: Path) -> None:
    """`compile --overlay`: the same kernel, so the same bitstream; a damaged one stays behind, with a word."""
    fakes()
    build(bundle)
    second = tmp_path / "second"
    assert compile_model(MODEL, "kv260", second, overlay=bundle).warnings == []
    assert overlay(second) == overlay(bundle)
    check_overlay(Bundle.open(second))
    (bundle / "overlay" / "tritloom.bit").write_bytes(b"half")
    third = tmp_path / "third"
    (warning,) = compile_model(MODEL, "kv260", third, overlay=bundle).warnings
    assert warning.startswith(f"the overlay of {bundle} is not taken over: overlay/tritloom.bit has 4 bytes")
    assert not (third / "overlay").exists()


@pytest.mark.parametrize(
    ("version", "program", "first"),
    [
        ("2020.2", None, ["vitis_hls", "-f", "run_hls.tcl"]),
        ("2023.1", None, ["vitis_hls", "-f", "run_hls.tcl"]),
        ("2023.2", None, ["vitis-run", "--mode", "hls", "--tcl", "run_hls.tcl"]),
        ("2024.2", "vitis_hls", ["vitis_hls", "-f", "run_hls.tcl"]),
        ("2025.1", None, ["vitis-run", "--mode", "hls", "--tcl", "run_hls.tcl"]),
        ("2026.1", None, ["vitis-run", "--mode", "hls", "--tcl", "run_hls.tcl"]),
        ("2023.1", "v++", ["v++", "-c", "--mode", "hls", "--config", "hls_build.cfg", "--work_dir", "work"]),
        ("2026.1", "v++", ["v++", "-c", "--mode", "hls", "--config", "hls_build.cfg", "--work_dir", "work"]),
    ],
)
def test_each_release_is_called_as_it_wants(
    bundle: Path, fakes: Fakes, version: str, program: str | None, first: list[str]
) -> None:
    folder = fakes(version=version)
    build(bundle, stop_after="hls", hls=program)
    assert calls(folder)[0] == first


def test_vivado_is_called_stage_by_stage(bundle: Path, fakes: Fakes) -> None:
    folder = fakes()
    build(bundle, jobs=5)
    common = ["vivado", "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "build.tcl", "-tclargs", "5"]
    assert calls(folder)[1:] == [[*common, "synth"], [*common, "impl"]]


@pytest.mark.parametrize(
    ("stage", "behaviour", "said", "hint"),
    [
        (
            "hls",
            "source",
            r"^hls: vitis-run 2024.1 failed: \[HLS 207-3777\] use of undeclared identifier",
            "the log has",
        ),
        ("hls", "licence", r"A valid license was not found for feature 'HLS' and/or device 'xck26'", "needs a licence"),
        (
            "hls",
            "ii",
            r"^II violation: an iteration starts every 3 cycles instead of 1\n  loop VITIS_LOOP",
            "keep-going",
        ),
        ("hls", "resources", r"^resources over the board, as HLS estimates them: LUT 131,000 of 117,120\n", "--lanes"),
        pytest.param(
            "hls",
            "clock",
            r"^HLS expects a clock of 4.84 ns, 4 ns are asked for\n",
            "clock_mhz",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "hls", "killed", r"^hls: vitis-run 2024.1 was ended by signal 9", "want of memory", marks=pytest.mark.long
        ),
        pytest.param(
            "hls",
            "silent",
            r"^hls: vitis-run 2024.1 ended without complaint but left no hls/csynth.xml",
            "see ",
            marks=pytest.mark.long,
        ),
        ("synth", "licence", r"^synth: .*A valid license was not found for feature 'Synthesis'", "needs a licence"),
        ("synth", "killed", r"^synth: vivado 2024.1 was ended by signal 9", "want of memory"),
        pytest.param(
            "synth",
            "crash",
            r"^synth: vivado 2024.1 failed: \[Common 17-70\] Application Exception",
            "the log has",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "synth",
            "silent",
            r"^synth: vivado 2024.1 ended without complaint but left no",
            "see ",
            marks=pytest.mark.long,
        ),
        pytest.param("synth", "disk", r"No space left on device", "make room", marks=pytest.mark.long),
        ("impl", "timing", r"^timing is not met at 250 MHz: worst setup slack -0.333 ns, 57 end points", "clock_mhz"),
        ("impl", "resources", r"60002 of such cell types but only 53200 compatible sites", "smaller --batch"),
        ("impl", "killed", r"^impl: vivado 2024.1 was ended by signal 9", "want of memory"),
        pytest.param("impl", "silent", r"left no vivado/build/products/tritloom.bit", "see ", marks=pytest.mark.long),
        ("impl", "empty", r"but left an empty vivado/build/products/tritloom.bit", "see "),
    ],
)
def test_a_failure_is_told_and_the_build_goes_on_from_there(
    bundle: Path, fakes: Fakes, stage: str, behaviour: str, said: str, hint: str
) -> None:
    fakes(**{stage: behaviour})
    with pytest.raises(ToolError, match=said) as caught:
        build(bundle)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 1
    assert len(caught.value.message.splitlines()) <= 5
    assert (bundle / "logs" / f"{stage}.log").stat().st_size
    assert not (bundle / "overlay").exists()
    fakes()
    order = ("hls", "synth", "impl")
    before = {name: order.index(name) < order.index(stage) for name in order}
    if behaviour in ("ii", "resources", "clock") and stage == "hls":
        before["hls"] = True  # HLS had finished; its result did not please
        assert build(bundle, keep_going=True) == before
    else:
        assert build(bundle) == before
    assert overlay(bundle)["label"] == "implemented"


def test_an_error_names_loop_op_and_onnx_node(bundle: Path, fakes: Fakes) -> None:
    fakes(hls="ii")
    with pytest.raises(ToolError) as caught:
        build(bundle)
    loop, runs, why = caught.value.message.splitlines()[1:]
    assert loop.startswith("  loop VITIS_LOOP_")
    assert "of quantiser_Config_s (hls/include/tritloom/quantize.h:" in loop
    assert runs == (
        "  runs the 37 instructions engine.quantize, first %clamp.1, %0 = engine.quantize %embedding"
        " (ONNX node_Sqrt_5, node_mul_1 and 3 more)"
    )
    assert why.startswith("  Unable to enforce a carried dependence constraint")


def test_missed_timing_names_the_loop_too(bundle: Path, fakes: Fakes) -> None:
    fakes(impl="timing")
    with pytest.raises(
        ToolError, match=r"\(hls/include/tritloom/array.h:\d+\)\n  runs the 37 instructions engine.linear"
    ):
        build(bundle)
    figures = json.loads((bundle / "report" / "report.json").read_text())["implementation"]
    assert figures["timing"]["wns"] == -0.333
    assert not figures["timing"]["met"]


def test_keep_going_tells_what_was_missed(bundle: Path, fakes: Fakes) -> None:
    fakes(hls="ii")
    result = build_bundle(bundle, BuildOptions(keep_going=True))
    assert [warning.partition(":")[0] for warning in result.warnings] == ["II violation"]
    assert result.overlay is not None


def test_nothing_runs_twice(bundle: Path, fakes: Fakes) -> None:
    folder = fakes()
    build(bundle)
    first = overlay(bundle)
    made = len(calls(folder))
    assert build(bundle) == {"hls": True, "synth": True, "impl": True}
    assert overlay(bundle) == first
    assert len(calls(folder)) == made
    assert build(bundle, force=True) == {"hls": False, "synth": False, "impl": False}
    assert overlay(bundle) != first


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ("hls/hls_options.tcl", {"hls": False, "synth": False, "impl": False}),
        ("vivado/build/products/tritloom.bit", {"hls": True, "synth": True, "impl": False}),
        pytest.param("vivado/build/timing.rpt", {"hls": True, "synth": True, "impl": False}, marks=pytest.mark.long),
        ("vivado/build/tritloom.runs/synth_1/tritloom_wrapper.dcp", {"hls": True, "synth": False, "impl": False}),
        pytest.param(
            "hls/tritloom_hls/solution1/impl/ip/component.xml",
            {"hls": False, "synth": False, "impl": False},
            marks=pytest.mark.long,
        ),
        pytest.param("logs/stages.json", {"hls": False, "synth": False, "impl": False}, marks=pytest.mark.long),
    ],
)
def test_what_changed_since_is_made_again(bundle: Path, fakes: Fakes, changed: str, kept: dict[str, bool]) -> None:
    fakes()
    build(bundle)
    (bundle / changed).write_text("set steps {csynth export}\n")
    assert build(bundle) == kept


def test_a_changed_kernel_is_made_again(bundle: Path, fakes: Fakes) -> None:
    fakes()
    build(bundle)
    source = bundle / "hls" / "top.cpp"
    source.write_text(source.read_text() + "// another\n")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["hls/top.cpp"] = sha256_of(source)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert build(bundle) == {"hls": False, "synth": False, "impl": False}


def test_figures_of_an_older_kernel_are_not_shown_beside_the_new(bundle: Path, fakes: Fakes) -> None:
    fakes(version="2024.1")
    build(bundle)
    fakes(version="2024.2")
    build(bundle, stop_after="hls")
    figures = json.loads((bundle / "report" / "report.json").read_text())["implementation"]
    assert figures["hls"]["tool_version"] == "2024.2"
    assert figures["timing"] is None


def test_another_release_makes_everything_again(bundle: Path, fakes: Fakes) -> None:
    fakes(version="2024.1")
    build(bundle)
    fakes(version="2024.2")
    assert build(bundle) == {"hls": False, "synth": False, "impl": False}
    assert overlay(bundle)["tools"]["vivado"]["version"] == "2024.2"  # type: ignore[index]


def test_stop_after_goes_on_later(bundle: Path, fakes: Fakes) -> None:
    fakes()
    assert build(bundle, stop_after="hls") == {"hls": False}
    assert build(bundle, stop_after="synth") == {"hls": True, "synth": False}
    assert not (bundle / "overlay").exists()
    assert build(bundle) == {"hls": True, "synth": True, "impl": False}
    assert build(bundle, stop_after="hls") == {"hls": True}
    figures = json.loads((bundle / "report" / "report.json").read_text())["implementation"]
    assert figures["timing"]["met"], "figures of later stages stay"
    assert figures["stages"]["impl"]["tool"] == {"name": "vivado", "version": "2024.1"}


def test_a_failure_leaves_the_old_overlay_alone(bundle: Path, fakes: Fakes) -> None:
    fakes()
    build(bundle)
    first = overlay(bundle)
    fakes(version="2024.2", impl="resources")
    with pytest.raises(ToolError):
        build(bundle)
    assert overlay(bundle) == first


def test_the_log_of_the_run_before_is_kept(bundle: Path, fakes: Fakes) -> None:
    fakes(version="2023.2")
    build(bundle, stop_after="hls")
    fakes(version="2024.1")
    build(bundle, stop_after="hls")
    assert "2024.1" in (bundle / "logs" / "hls.log").read_text()
    assert "2023.2" in (bundle / "logs" / "hls.previous.log").read_text()


def test_a_changed_source_is_refused(bundle: Path, fakes: Fakes) -> None:
    fakes()
    with (bundle / "hls" / "top.cpp").open("a") as file:
        file.write("// changed\n")
    with pytest.raises(ToolError, match=r"hls/top.cpp was changed") as caught:
        build(bundle)
    assert caught.value.exit_code == 2


def test_without_tools(bundle: Path, monkeypatch: pytest.MonkeyPatch, fakes: Fakes) -> None:
    fakes()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match=r"^Vitis HLS was not found$") as caught:
        build(bundle)
    assert "settings64.sh" in caught.value.hint


def test_a_release_that_is_not_there(bundle: Path, fakes: Fakes) -> None:
    fakes(version="2023.2")
    with pytest.raises(ToolError, match=r"^Vitis HLS 2024.1 is not installed; found: 2023.2$"):
        build(bundle, tool_version=Version(2024, 1))


def test_a_tool_that_does_not_start(bundle: Path, fakes: Fakes) -> None:
    fakes("vivado", "vitis-run", starts=False)
    with pytest.raises(ToolError, match="Vitis HLS was not found"):
        build(bundle)


def test_hls_and_vivado_are_of_one_release(
    bundle: Path, fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.fake_tools import install

    fakes("vitis-run", version="2024.1")
    other = install(tmp_path / "other", ("vivado",), version="2023.1")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{other}")
    with pytest.raises(ToolError, match=r"^Vivado 2024.1 is not installed; found: 2023.1$"):
        build(bundle)


def test_two_builds_at_once(bundle: Path, fakes: Fakes) -> None:
    fakes()
    (bundle / "logs").mkdir()
    with (
        locked(bundle / "logs"),
        pytest.raises(ToolError, match="another build is at work"),
        locked(bundle / "logs", 0.2),
    ):
        pass
    build(bundle)


def killed_in_synthesis(bundle: Path) -> None:
    """Start a build, and kill the builder once Vivado is at work."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tritloom.__file__).parents[1])}
    command = [sys.executable, "-m", "tritloom", "build", bundle]
    builder = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    log = bundle / "logs" / "synth.log"
    _until(lambda: log.is_file() and "vivado v" in log.read_text())
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()


def at_work(folder: Path) -> bool:
    """Whether a fake Vivado runs."""
    found = subprocess.run(["pgrep", "-f", f"{folder}/fake.py vivado -mode"], capture_output=True, check=False)
    return found.returncode == 0


def test_a_killed_builder_leaves_no_tool_and_its_build_goes_on(bundle: Path, fakes: Fakes) -> None:
    fakes()
    build(bundle, stop_after="hls")
    folder = fakes(seconds={"synth": 60})
    killed_in_synthesis(bundle)
    _until(lambda: not at_work(folder))
    fakes()
    assert build(bundle) == {"hls": True, "synth": False, "impl": False}


@pytest.mark.long
def test_a_tool_that_will_not_end_holds_the_bundle_until_it_is_killed(bundle: Path, fakes: Fakes) -> None:
    folder = fakes(seconds={"synth": 60}, stubborn=True)
    killed_in_synthesis(bundle)
    assert at_work(folder)
    with pytest.raises(ToolError, match="another build is at work"), locked(bundle / "logs", 0.3):
        pass
    _until(lambda: not at_work(folder))
    with locked(bundle / "logs", 1):
        pass


def _until(condition: object) -> None:
    end = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_the_html_report_shows_what_was_built(bundle: Path, fakes: Fakes) -> None:
    page = bundle / "report" / "index.html"
    assert 'id="implementation"' not in page.read_text()
    fakes()
    build(bundle)
    text = page.read_text()
    assert 'id="implementation"' in text
    assert "66,105" in text
    assert re.search(
        r"hls: vitis-run 2024\.1, \d+ s; synth: vivado 2024\.1, \d+ s; impl: vivado 2024\.1, \d+ s\.", text
    )
    assert "worst setup slack 0.113 ns" in text
    assert "5.124 W, confidence low" in text
    rows = {
        row["resource"]: row
        for row in json.loads((bundle / "report" / "report.json").read_text())["implementation"]["comparison"]
    }
    assert rows["lut"]["implemented_ratio"] == round(66_105 / rows["lut"]["estimate"], 3)
    assert rows["lut"]["hls_ratio"] == round(78_412 / rows["lut"]["estimate_kernel"], 3)
    assert rows["lut"]["estimate_kernel"] < rows["lut"]["estimate"]
    assert rows["bram36"]["implemented"] == 109.5
