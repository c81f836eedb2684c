"""`tritloom import`: IR text that parses back, and one text for all spellings of a model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tritloom.frontend import import_onnx
from tritloom.ir.text import ir_text, parse_ir

from .conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
BAKED, NAIVE = (ROOT / "tests" / "fixtures" / f"tiny-{form}.onnx" for form in ("baked", "naive"))
NETS = ROOT / "examples" / "digits"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")


def rounded(text: str) -> str:
    """Floats to six digits: exports differ in the last places of scales."""
    return _NUMBER.sub(lambda found: f"{float(found.group()):.5e}", text)


@pytest.mark.parametrize("model", [BAKED, NETS / "mlp.onnx"], ids=["step", "net"])
@pytest.mark.parametrize("options", [[], ["--canonical"], ["--print-generic"]], ids=["plain", "canonical", "generic"])
def test_the_text_parses_back(cli: Cli, model: Path, options: list[str], tmp_path: Path) -> None:
    printed = cli("import", model, *options)
    assert printed.code == 0
    written = cli("import", model, *options, "-o", tmp_path / "x.mlir")
    assert (written.code, written.out) == (0, "")
    text = (tmp_path / "x.mlir").read_text()
    assert text == printed.out
    assert ir_text(parse_ir(text), generic="--print-generic" in options, locations="--canonical" not in options) == text
    assert [path.name for path in tmp_path.iterdir()] == ["x.mlir"]


def test_without_options_it_is_the_import(cli: Cli) -> None:
    assert cli("import", BAKED).out == ir_text(import_onnx(BAKED).module)


@pytest.mark.parametrize("pair", [(BAKED, NAIVE), (NETS / "mlp.qonnx.onnx", NETS / "mlp.onnx")], ids=["step", "net"])
def test_two_exports_have_one_canonical_text(cli: Cli, pair: tuple[Path, Path]) -> None:
    one, other = (cli("import", path, "--canonical").out for path in pair)
    assert rounded(one) == rounded(other)
    assert cli("import", pair[0]).out != cli("import", pair[1]).out


def test_masters_at_a_tie_are_told(cli: Cli) -> None:
    assert "masters lie at a rounding tie" in cli("import", NAIVE, "--canonical").err


def test_what_is_no_model(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_text("no")
    (tmp_path / "x.mlir").write_text("old")
    outcome = cli("import", tmp_path / "x.onnx", "-o", tmp_path / "x.mlir")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {tmp_path / 'x.onnx'} is not an ONNX file\nHint: ")
    assert (tmp_path / "x.mlir").read_text() == "old"
