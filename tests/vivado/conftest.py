"""Running the generated build scripts in the model of Vivado."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import vivado_model as model
from tritloom.backend.connect import Kernel, engine_kernel
from tritloom.backend.vivado import render_overlay
from tritloom.targets import Target
from vivado_build import Build, described, limits_for


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Render a board's scripts, change them, and run them in the model, audited."""
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed")

    def run(
        target: Target,
        change: Callable[[str], str] = lambda text: text,
        kernel: Kernel | None = None,
        arguments: tuple[str, ...] = (),
        **settings: object,
    ) -> model.Ran:
        kernel = kernel or engine_kernel(limits_for(target), target)
        for name, text in render_overlay(kernel, target, "0.1.0").items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(change(text), encoding="utf-8")
        board = target.board_part.removesuffix("*")
        values = {
            "boards": f"{board}1.0 {board}1.10 {board}1.9",
            "parts": target.part,
            "clock_mhz": target.clock_mhz,
            "audit": "impl" not in arguments,
            **settings,
        }
        script = tmp_path / "vivado" / "build.tcl"
        return model.run_vivado([script], tmp_path, kernels=(described(kernel),), arguments=arguments, **values)

    return run
