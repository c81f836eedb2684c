"""The command line called in-process, and stand-ins for what stands behind the commands."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tritloom.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]
Install = Callable[..., None]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `tritloom ARGS...`."""

    def call(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a stand-in module in place: install("tritloom.verify", verify_bundle=...)."""

    def put(name: str, **contents: Any) -> None:
        module = types.ModuleType(name)
        for key, value in contents.items():
            setattr(module, key, value)
        monkeypatch.setitem(sys.modules, name, module)

    return put


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that stands for a model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"onnx")
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder that stands for a bundle, with a report."""
    folder = tmp_path / "bundle"
    (folder / "report").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "report" / "report.json").write_text(REPORT)
    return folder


REPORT = """
{
  "estimate": {
    "clock_mhz": 250.0,
    "instructions": [
      {"index": 0, "name": "embed", "weight_bytes": 0, "stream_cycles": 0.0, "vector_cycles": 48,
       "barrier_cycles": 60, "cycles": 108.0, "bound": "vector"},
      {"index": 1, "name": "linear add", "weight_bytes": 3000, "stream_cycles": 50.4, "vector_cycles": 20,
       "barrier_cycles": 30, "cycles": 80.0, "bound": "stream"}
    ]
  },
  "tables": [
    {"title": "A Board (estimated)",
     "columns": [{"name": "figure", "align": "left"}, {"name": "value", "align": "left"}],
     "rows": [["tokens per second", "1,235"]]},
    {"title": "Resources (estimated)",
     "columns": [{"name": "resource", "align": "left"}, {"name": "used", "align": "right"}],
     "rows": [["LUT", "40,000"], ["DSP", "9"]]}
  ]
}
"""
