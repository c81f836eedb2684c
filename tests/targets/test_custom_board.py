"""A board of one's own, by the path of its file: compiled for, and read back from the bundle, never by its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tritloom.api import compile_model
from tritloom.errors import InputError
from tritloom.passes import CompilerContext
from tritloom.resources import targets_dir
from tritloom.targets import bundle_target
from tritloom.verify.bundle_check import verify_bundle
from tritloom.verify.subject import open_subject

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "fixtures" / "tiny-baked.onnx"


def _board(folder: Path, changes: dict[str, str] | None = None, base: str = "kv260") -> Path:
    """A board file: one of ours under a name that nothing else knows, with lines changed."""
    text = (targets_dir() / f"{base}.toml").read_text(encoding="utf-8").replace(f'name = "{base}"', 'name = "labboard"')
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "myboard.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle for a board whose file is gone."""
    path = _board(tmp_path, {"clock_mhz = 250.0": "clock_mhz = 200.0", "gate_ii = 3": "gate_ii = 5"})
    compile_model(MODEL, str(path), tmp_path / "bundle")
    path.unlink()
    return tmp_path / "bundle"


def test_the_bundle_carries_its_board(bundle: Path) -> None:
    board = bundle_target(bundle)
    assert (board.name, board.clock_mhz, board.kernel.gate_ii) == ("labboard", 200.0, 5)
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["kernel"]["board"] == "labboard"
    assert "board.toml" in manifest["files"]
    assert "200 MHz" in (bundle / "vivado" / "build.tcl").read_text(encoding="utf-8").replace("200.0", "200")


def test_the_bundle_is_verified_without_the_file(bundle: Path) -> None:
    pytest.importorskip("pynq")
    if shutil.which("g++") is None or shutil.which("make") is None:
        pytest.skip("make and g++ are not installed")
    report = verify_bundle(bundle, tokens=4)
    assert report.passed


def test_the_model_is_lowered_for_the_bundles_board(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[CompilerContext] = []
    monkeypatch.setattr(
        "tritloom.verify.subject.run_passes", lambda module, passes, context, observers: seen.append(context)
    )
    open_subject(bundle, None).lower_module(None, None)  # type: ignore[arg-type]
    assert seen[0].target == bundle_target(bundle)


def test_a_second_model_for_the_same_board(bundle: Path, tmp_path: Path) -> None:
    compile_model(MODEL, str(bundle / "board.toml"), tmp_path / "second", overlay=bundle)
    first, second = (
        json.loads((path / "manifest.json").read_text())["kernel"]["hash"] for path in (bundle, tmp_path / "second")
    )
    assert first == second


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "labboard"', 'name = "otherboard"', "is a kernel for labboard, not for otherboard"),
        (
            "xck26-sfvc784-2LV-c",
            "xck26-sfvc784-2LV-i",
            "is a kernel for xck26-sfvc784-2LV-c, not for xck26-sfvc784-2LV-i",
        ),
        ("clock_mhz = 200.0", "clock_mhz = 220.0", "is a kernel for 200.0, not for 220.0"),
    ],
)
def test_an_overlay_for_another_board_is_refused(
    bundle: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (bundle / "board.toml").read_text(encoding="utf-8")
    assert old in text
    other = tmp_path / "other.toml"
    other.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        compile_model(MODEL, str(other), tmp_path / "second", overlay=bundle)
    assert message in caught.value.message
    assert caught.value.hint == f"Compile with --board {bundle / 'board.toml'}."


def test_a_changed_board_file_in_a_bundle_is_noticed(bundle: Path) -> None:
    path = bundle / "board.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("200.0", "300.0"), encoding="utf-8")
    with pytest.raises(InputError, match="board.toml"):
        open_subject(bundle, None)
