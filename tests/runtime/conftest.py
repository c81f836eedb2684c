"""Fixtures: a bundle around the fake kernel, and a session on the emulated device."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tritloom.runtime import Session, load

from .fake_bundle import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def emulation(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test of the emulated device needs; the compiled fake kernel is kept between tests."""
    if importlib.util.find_spec("pynq") is None:
        pytest.skip("pynq is not installed")
    for tool in ("make", "cc", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    monkeypatch.delenv("TRITLOOM_EMULATE", raising=False)


@pytest.fixture
def session(bundle: Path, emulation: None) -> Iterator[Session]:
    with load(bundle, "emulated") as opened:
        yield opened
