"""Report parsers on the forms of several releases; the fixtures say where each form was seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from tritloom.toolchain import ToolError
from tritloom.toolchain.reports import (
    Loop,
    read_csynth,
    read_hierarchy,
    read_power,
    read_timing,
    read_utilisation,
)

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"


def test_csynth_2020_2() -> None:
    """Loops without names, nested; a trip count that is a range; the wanted interval from the older log."""
    report = read_csynth(REPORTS / "csynth-2020.2.xml", REPORTS / "hls-2020.2.log")
    assert (report.version, report.part, report.top) == ("2020.2", "xc7z020-clg400-1", "tritloom")
    assert (report.target_ns, report.uncertainty_ns, report.estimated_ns) == (10.0, 2.7, 7.256)
    assert report.timing_met
    assert report.resources == {"lut": 28_404, "ff": 30_115, "dsp": 97, "uram": 0, "bram36": 75.5}
    assert report.available["bram36"] == 140
    outer, inner = report.loops
    assert (outer.name, outer.module, outer.ii, outer.trip_count, outer.latency) == (
        "VITIS_LOOP_153_2", "quantiser", None, None, 12,
    )  # fmt: skip
    assert inner == Loop("VITIS_LOOP_158_3", "quantiser", ii=2, wanted_ii=2, trip_count=4, latency=9)
    assert not inner.violated, "two were asked for"
    assert report.modules["quantiser"]["lut"] == 2_100


def test_csynth_2022_2_with_a_violation() -> None:
    report = read_csynth(REPORTS / "csynth-2022.2.xml", REPORTS / "hls-2022.2.log")
    assert report.resources == {"lut": 40, "ff": 30, "dsp": 20, "uram": 1, "bram36": 5}
    first, second = report.loops
    assert (first.name, first.ii, first.wanted_ii, first.violated) == ("LOOP_1", 1, None, False)
    assert second.violated
    assert (second.module, second.ii, second.wanted_ii, second.trip_count) == ("inner_Pipeline_LOOP_2", 7, 1, None)
    assert second.location == "probe.cpp:44"
    assert second.reason.startswith("Unable to enforce a carried dependence constraint (II = 1")


def test_a_violation_is_seen_without_the_log() -> None:
    first, second = read_csynth(REPORTS / "csynth-2022.2.xml").loops
    assert (first.violated, second.violated) == (False, True)
    assert second.wanted_ii is None


def test_csynth_2025_2_counts_a_loop_once() -> None:
    report = read_csynth(REPORTS / "csynth-2025.2.xml")
    (loop,) = report.loops
    assert (loop.module, loop.ii, loop.trip_count) == ("dotProduct_Pipeline_dot_product_loop", 1, 1024)
    assert loop.location == "dotProduct.cpp:17"
    assert loop.issue == ""
    assert report.resources["uram"] == 0, "the element is missing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<profile><User", "is damaged"),
        ("<report/>", "its root is <report>"),
        ("<profile/>", "TargetClockPeriod is '', no number"),
        (
            "<profile><UserAssignments><TargetClockPeriod>fast</TargetClockPeriod></UserAssignments></profile>",
            "TargetClockPeriod is 'fast', no number",
        ),
    ],
)
def test_a_csynth_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "csynth.xml"
    file.write_text(text)
    with pytest.raises(ToolError, match=said):
        read_csynth(file)


def test_a_csynth_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="HLS left no report"):
        read_csynth(tmp_path / "csynth.xml")


def test_utilisation_of_the_7_series() -> None:
    found = read_utilisation(REPORTS / "utilization-2020.2-zynq.rpt")
    assert found.used == {"lut": 1028, "ff": 51, "bram36": 2.5, "uram": 0, "dsp": 3}
    assert found.available == {"lut": 63_400, "ff": 126_800, "bram36": 135, "uram": 0, "dsp": 240}


def test_utilisation_of_ultrascale_plus() -> None:
    found = read_utilisation(REPORTS / "utilization-2022.2-usplus.rpt")
    assert found.used == {"lut": 29_992, "ff": 46_108, "bram36": 0, "uram": 16, "dsp": 0}
    assert found.available["lut"] == 4_085_760, "the column after Prohibited"


def test_rows_of_other_tables_do_not_count(tmp_path: Path) -> None:
    text = (REPORTS / "utilization-2020.2-zynq.rpt").read_text()
    (tmp_path / "more.rpt").write_text(text + "\n| Ref Name | Used |\n| URAM | 7 |\n| LUT6 | 12 |\n")
    assert read_utilisation(tmp_path / "more.rpt").used["uram"] == 0


def test_hierarchy_2026_1() -> None:
    found = read_hierarchy(REPORTS / "hierarchy-2026.1.rpt", "_kernel_")
    assert found == {"lut": 12_000, "ff": 2_500, "bram36": 9.5, "uram": 0, "dsp": 32}
    assert read_hierarchy(REPORTS / "hierarchy-2026.1.rpt", "absent") == {}


def test_timing_met() -> None:
    timing = read_timing(REPORTS / "timing-met.rpt")
    assert (timing.wns, timing.tns, timing.failing, timing.whs, timing.path) == (2.479, 0.0, 0, 0.022, "")
    assert timing.met


def test_timing_violated() -> None:
    timing = read_timing(REPORTS / "timing-violated.rpt")
    assert (timing.wns, timing.tns, timing.failing) == (-0.333, -13.146, 57)
    assert timing.path == "fsm2/out_reg[0]/C -> mul_out2/out_reg[31]/D"
    assert not timing.met


def test_a_hold_violation_is_one(tmp_path: Path) -> None:
    text = (REPORTS / "timing-met.rpt").read_text().replace(" 0.022 ", " -0.022 ")
    (tmp_path / "timing.rpt").write_text(text)
    assert not read_timing(tmp_path / "timing.rpt").met


def test_power() -> None:
    assert read_power(REPORTS / "power-2022.2.rpt") == {
        "total_w": 6.0,
        "dynamic_w": 5.2,
        "static_w": 0.8,
        "confidence": "low",
        "label": "estimated by Vivado",
    }


@pytest.mark.parametrize("reader", [read_utilisation, read_timing, read_power])
def test_a_report_that_is_another(reader: object, tmp_path: Path) -> None:
    (tmp_path / "other.rpt").write_text("| Site Type | Used |\nNA\n")
    with pytest.raises(ToolError, match="that can be read here"):
        reader(tmp_path / "other.rpt")  # type: ignore[operator]
    with pytest.raises(ToolError, match="Vivado left no report"):
        reader(tmp_path / "absent.rpt")  # type: ignore[operator]


def test_a_design_without_clocks(tmp_path: Path) -> None:
    (tmp_path / "timing.rpt").write_text("    WNS(ns)      TNS(ns)\n    ---  ---\n         NA           NA\n")
    with pytest.raises(ToolError, match=r"has no slack: 'NA NA'"):
        read_timing(tmp_path / "timing.rpt")
