"""The runtime's wheel: what pip makes of it, and that it is the one that runtime-wheel/ builds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tritloom.deploy.wheel import NAME, runtime_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / NAME
    path.write_bytes(runtime_wheel())
    return path


def test_the_same_each_time(wheel: Path) -> None:
    assert wheel.read_bytes() == runtime_wheel()
    assert wheel.stat().st_size < 200_000


def test_pip_installs_it_without_network(wheel: Path, tmp_path: Path) -> None:
    """pip checks the names, the metadata and the hashes of RECORD."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*command, str(tmp_path), str(wheel)], check=True, capture_output=True)
    assert (tmp_path / "tritloom/runtime/__main__.py").is_file()
    assert not (tmp_path / "tritloom/__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import importlib.metadata as m; print(m.version('tritloom-runtime'))"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == NAME.split("-")[1]


@pytest.mark.long
def test_it_is_the_one_that_hatchling_builds(wheel: Path, tmp_path: Path) -> None:
    project = Path(__file__).parents[2] / "runtime-wheel"
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("hatchling cannot be had: no package index")
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(tmp_path / NAME) as theirs:
        code = [name for name in theirs.namelist() if not name.split("/")[0].endswith("dist-info")]
        assert sorted(code) == sorted(name for name in ours.namelist() if "dist-info" not in name)
        assert all(ours.read(name) == theirs.read(name) for name in code)
        wanted = _fields(theirs, "METADATA")
        ignored = {"Metadata-Version", "Author", "Description-Content-Type", "Provides-Extra", "License-Expression"}
        for name, values in wanted.items():
            if name not in ignored:
                kept = [value for value in values if "extra ==" not in value]
                assert _fields(ours, "METADATA")[name] == kept, name


def _fields(archive: zipfile.ZipFile, file: str) -> dict[str, list[str]]:
    path = next(name for name in archive.namelist() if name.endswith(f"dist-info/{file}"))
    found: dict[str, list[str]] = {}
    for line in archive.read(path).decode().split("\n\n")[0].splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found
