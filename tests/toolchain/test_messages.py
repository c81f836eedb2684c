"""The first real error of a log, its place and its hint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tritloom.toolchain.messages import KNOWN, errors_in, first_error, source_of, tcl_error


def log(folder: Path, *lines: str, name: str = "x.log") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_cause_comes_before_its_consequences(tmp_path: Path) -> None:
    """ScaleHLS-HIDA#12, in the order of the log."""
    path = log(
        tmp_path,
        "INFO: [HLS 200-10] Analyzing design file 'top.cpp' ...",
        "ERROR: [HLS 200-1715] Encountered problem during source synthesis",
        "ERROR: [HLS 200-997] Found unsupported dataflow constructs in function 'f' (top.cpp:4414): a loop",
        "ERROR: [HLS 200-70] Pre-synthesis failed.",
    )
    found = first_error(path)
    assert found is not None
    assert (found.tag, found.line, found.file) == ("HLS 200-997", 3, "top.cpp:4414")
    assert "dataflow region was refused" in found.hint


def test_the_cause_stands_in_the_log_of_a_run(tmp_path: Path) -> None:
    """PCILeechFWGenerator#408: the main log has consequences only."""
    main = log(
        tmp_path,
        "[Mon Sep  7 18:46:12 2026] synth_1 finished",
        "ERROR: [Vivado 12-13638] Failed runs(s) : 'synth_1'",
        "ERROR: [Common 17-39] 'wait_on_runs' failed due to earlier errors.",
    )
    run = log(tmp_path, "ERROR: [Synth 8-2716] syntax error near ')' [/work/top.sv:35]", name="runme.log")
    found = first_error(main, [run])
    assert found is not None
    assert (found.log, found.message) == (run, "[Synth 8-2716] syntax error near ')' [/work/top.sv:35]")
    assert found.file == "/work/top.sv:35"
    assert found.hint == ""


def test_a_consequence_is_better_than_nothing(tmp_path: Path) -> None:
    main = log(tmp_path, "ERROR: [Vivado 12-13638] Failed runs(s) : 'synth_1'")
    found = first_error(main)
    assert found is not None
    assert found.tag == "Vivado 12-13638"


def test_warnings_are_no_errors(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        "WARNING: [Common 17-348] Failed to get the license for feature 'Synthesis' and/or device 'xczu9eg'",
        "CRITICAL WARNING: [BD 41-1348] Reset pin is connected to asynchronous reset source",
        "INFO: ERROR: is only a word here",
    )
    assert errors_in(path) == []
    assert first_error(path) is None


def test_a_critical_warning_that_is_known_is_one(tmp_path: Path) -> None:
    """ptrkrysik/uhd#3."""
    path = log(tmp_path, "CRITICAL WARNING: [Timing 38-282] The design failed to meet the timing requirements.")
    (found,) = errors_in(path)
    assert "lower clock_mhz" in found.hint


def test_v_plus_plus_puts_the_time_in_front(tmp_path: Path) -> None:
    path = log(tmp_path, "[16:47:40] ERROR: [VPL 101-2] design did not meet timing - slack: -0.883 ns")
    found = first_error(path)
    assert found is not None
    assert found.tag == "VPL 101-2"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            "ap_shift_reg is not applicable for synthesis: /eda/include/ap_shift_reg.h:76:2",
            "/eda/include/ap_shift_reg.h:76",
        ),
        ("module 'sync_event' not found [/home/a b/hdl/axi_jesd204_rx.v:127]", "b/hdl/axi_jesd204_rx.v:127"),
        ('(file "build.tcl" line 75)', "build.tcl:75"),
        ("nothing is named", ""),
        ("version v2024.1:12", ""),
    ],
)
def test_places(text: str, place: str) -> None:
    assert source_of(text) == place


def test_an_error_of_the_script(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        "source build.tcl -notrace",
        'invalid command name "create_bd_designs"',
        "    while executing",
        '"create_bd_designs $project"',
        '    (file "build.tcl" line 68)',
    )
    found = tcl_error(path)
    assert found is not None
    assert (found.message, found.line, found.file) == ('invalid command name "create_bd_designs"', 2, "build.tcl:68")


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert first_error(tmp_path / "absent.log") is None
    assert tcl_error(tmp_path / "absent.log") is None


def test_a_log_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(os.urandom(4000) + b"\nERROR: [Place 30-640] too many\n")
    found = first_error(path)
    assert found is not None
    assert found.message == "[Place 30-640] too many"


def test_every_known_message_says_where_it_was_seen() -> None:
    assert all(known.hint and known.source for known in KNOWN)
