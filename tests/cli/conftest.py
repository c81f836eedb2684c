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
{"estimate": {
  "board_title": "A Board", "clock_mhz": 250.0, "label": "estimated",
  "tokens_per_second": 1234.56, "cycles_per_token": 202500, "bytes_per_token": 2400000,
  "delivered_gb_s": 16.0, "bandwidth_share": 0.1852,
  "prompt": {"positions": 4, "tokens_per_second": 3000.0},
  "memory": {"contiguous": 12345678, "cma": 134217728},
  "resources": [
    {"resource": "lut", "used": 40000.0, "available": 117120.0},
    {"resource": "uram", "used": 0, "available": 0}
  ],
  "instructions": [
    {"index": 0, "name": "embed", "weight_bytes": 0, "gain_bytes": 0, "padding_share": 0.0, "stream_cycles": 0.0,
     "array_cycles": 0, "vector_cycles": 48, "barrier_cycles": 60, "cycles": 108.0},
    {"index": 1, "name": "linear add", "weight_bytes": 3000, "gain_bytes": 0, "padding_share": 0.1,
     "stream_cycles": 50.0, "array_cycles": 47, "vector_cycles": 20, "barrier_cycles": 30, "cycles": 80.0},
    {"index": 2, "name": "linear add", "weight_bytes": 1000, "gain_bytes": 0, "padding_share": 0.5,
     "stream_cycles": 20.0, "array_cycles": 17, "vector_cycles": 20, "barrier_cycles": 30, "cycles": 50.0}
  ]
}}
"""
