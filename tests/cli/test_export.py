"""`tritloom export`: options, output, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import Cli


@pytest.fixture
def checkpoint(repository: Path) -> Path:
    return repository / "tests" / "fixtures" / "export"


def test_summary(cli: Cli, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("export", checkpoint, "-o", "model.onnx")
    assert outcome.code == 0
    assert re.sub(r"\d+\.\d( kB| s\.)", r"#\1", outcome.out) == (
        "file           size\n"
        "model.onnx  # kB\n"
        "\n"
        "Exported 29,184 ternary weights (baked) in # s.\n"
        "Next: tritloom compile model.onnx --board kv260 -o build/\n"
    )
    assert outcome.err == f"warning: {checkpoint} holds no tokenizer.json: give one to compile with --tokenizer\n"


def test_json(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    found = json.loads(cli("export", checkpoint, "-o", path, "--naive", "--external-data", "--json").out)
    assert found["files"] == {str(file): file.stat().st_size for file in (path, tmp_path / "model.onnx.data")}
    assert (found["form"], found["ternary_weights"]) == ("naive", 29_184)


def test_existing_output(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("mine")
    outcome = cli("export", checkpoint, "-o", path)
    assert outcome.code == 2
    assert outcome.err == f"error: {path} exists\nHint: choose another name, or replace it with --force\n"
    assert cli("export", checkpoint, "-o", path, "--force").code == 0


def test_what_was_exported_compiles(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert cli("export", checkpoint, "-o", path).code == 0
    outcome = cli("compile", path, "-b", "kv260", "-o", tmp_path / "build")
    assert outcome.code == 0
    assert outcome.err == (  # this checkpoint has no tokenizer
        "warning: no tokenizer.json beside the model: the bundle takes token ids only (--tokenizer FILE)\n"
    )
    assert (tmp_path / "build" / "manifest.json").is_file()
