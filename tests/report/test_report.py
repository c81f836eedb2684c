"""Tables, report.json, the HTML report and the README."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tritloom.analysis import Label, default_limits, estimate
from tritloom.report import (
    Check,
    Image,
    PassRow,
    ReportData,
    estimate_table,
    estimate_tables,
    pass_rows,
    render_readme,
    render_report,
    report_files,
)
from tritloom.targets import load_target

sys.path.insert(0, str(Path(__file__).parent.parent / "analysis"))
from programs import EXAMPLE, M2700, labels, program

PASSES = [PassRow("import", 412, 388, 0.1824), PassRow("fuse-norm", 166, 130, 0.02)]
VOID = {"meta", "input", "br"}


def _data(board: str = "kv260", verification: list[Check] | None = None) -> ReportData:
    target = load_target(board)
    limits = default_limits(target, EXAMPLE.needs())
    found = estimate(program(EXAMPLE), limits, target, labels=labels(EXAMPLE))
    images = [Image("port0", "weights/port0.bin", 589824, "ab" * 32)]
    return ReportData("example", board, PASSES, found, images, ["0 embed"], verification, "0.1.0", {"Layers": "6"})


class _Balanced(HTMLParser):
    """Every tag is closed, and nothing outside the file is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset") or (name == "href" and not (value or "").startswith("#")):
                self.problems.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}>")


@pytest.mark.parametrize("board", ["kv260", "pynq-z2"])
def test_the_page_is_whole_and_needs_no_network(board: str) -> None:
    page = render_report(_data(board))
    parser = _Balanced()
    parser.feed(page)
    assert (parser.open, parser.problems) == ([], [])
    assert not re.search(r"https?://|@import|url\(", page)


def test_each_figure_says_what_it_is() -> None:
    page = render_report(
        _data(verification=[Check("local", "0 codes differ", True), Check("rtl", "-", False, "measured")])
    )
    for heading in re.findall(r"<h2.*?</h2>", page):
        assert "Verification" in heading or 'class="tag"' in heading, heading
    assert page.count('<span class="tag">estimated</span>') >= 6
    assert "No figure on this page was measured on a board." in page
    assert 'class="bad">failed' in page


def test_names_from_the_model_are_escaped() -> None:
    target = load_target("kv260")
    hostile = "<script>alert(1)</script>"
    found = estimate(
        program(EXAMPLE),
        default_limits(target, EXAMPLE.needs()),
        target,
        labels=[Label(hostile, hostile)] * 40,
    )
    page = render_report(ReportData(hostile, "kv260", PASSES, found))
    assert hostile not in page
    assert "&lt;script&gt;alert(1)" in page


def test_report_files() -> None:
    files = report_files(_data(), load_target("kv260"))
    assert sorted(files) == ["README.md", "notebook.ipynb", "report/index.html", "report/report.json"]
    data = json.loads(files["report/report.json"])
    assert data["passes"][0] == {"name": "import", "before": 412, "after": 388, "seconds": 0.1824}
    assert data["estimate"]["label"] == "estimated"
    assert data["verification"] is None
    for table in data["tables"]:
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
        assert "estimated" in table["title"]


def test_plain_tuples_do_for_passes() -> None:
    rows = [tuple(row) for row in PASSES]
    assert pass_rows(rows).rows == pass_rows(PASSES).rows  # type: ignore[arg-type]


@pytest.mark.parametrize("board", ["kv260", "pynq-z2"])
def test_tables_fit_80_columns(board: str) -> None:
    target = load_target("kv260")
    large = estimate(program(M2700), default_limits(target, M2700.needs()), target)
    tables = [*estimate_tables(_data(board).estimate), *estimate_tables(large), pass_rows(PASSES)]
    for table in tables:
        out = StringIO()
        Console(file=out, width=500).print(table.rich())
        assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80, table.title
        assert "…" not in out.getvalue()


def test_summary_as_plain_text() -> None:
    out = StringIO()
    Console(file=out, width=80).print(estimate_table(_data().estimate))
    text = out.getvalue()
    assert "AMD Kria KV260 Vision AI Starter Kit (estimated)" in text
    assert re.search(r"tokens per second +[\d,]+\n", re.sub(r" +\n", "\n", text))


def test_readme_for_a_language_model() -> None:
    text = render_readme(_data(), load_target("kv260"))
    assert text.startswith("# example on AMD Kria KV260 Vision AI Starter Kit\n")
    assert "tritloom generate . --prompt" in text
    assert "tritloom build .\n" in text
    assert "tritloom deploy . USER@BOARD\n" in text
    assert "python3 -m tritloom.runtime . --self-test\n" in text
    assert "session.generate(" in text
    assert "\n\n\n" not in text


def test_readme_for_a_step_of_vectors() -> None:
    text = render_readme(_data(), load_target("kv260"), "vectors")
    assert "A token is one position here: a vector of floats.\n" in text
    assert "tritloom run . --inputs in.npz" in text
    assert "session.run(None, {name: rows})" in text
    assert "generate" not in text
    assert "--prompt" not in text
    assert "\n\n\n" not in text


def test_readme_for_another_model() -> None:
    text = render_readme(_data("pynq-z2"), load_target("pynq-z2"), "frames")
    assert "tritloom run . --inputs in.npz" in text
    assert "generate" not in text
    assert "PYNQ 3.1 image for PYNQ-Z2" in text
