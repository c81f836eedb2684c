"""A language model of what the flagship lacks (tests/frontend/general_model.py), compiled and verified."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tritloom.cli import main

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "frontend"))
from general_model import general_model


@pytest.mark.parametrize("fed", ["token", "vector"])
def test_it_compiles_and_verifies(
    fed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXXFLAGS", "-O1")
    model = general_model(fed).save(tmp_path)
    assert main(["compile", str(model), "-b", "pynq-z2", "-o", str(tmp_path / "build")]) == 0
    assert main(["verify", str(tmp_path / "build"), "--tokens", "64"]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert "64 tokens of a random sequence" in told if fed == "token" else "64 vectors of random vectors" in told
