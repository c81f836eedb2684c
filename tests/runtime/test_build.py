"""Compiling the C++ of a bundle: cached by content, whole or not at all, errors with the compiler's first line."""

from __future__ import annotations

import concurrent.futures
import os
from pathlib import Path

import pytest
from tritloom.runtime import BuildError, Bundle
from tritloom.runtime.emulator.build import build_library, cache_folder


@pytest.fixture
def cache(tmp_path: Path, emulation: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tritloom"


def test_built_once(bundle: Path, cache: Path) -> None:
    sources = Bundle.open(bundle).hls_files
    first = build_library(bundle, sources)
    stamp = first.stat().st_mtime_ns
    assert first.parent.parent == cache
    assert build_library(bundle, sources) == first
    assert first.stat().st_mtime_ns == stamp
    assert build_library(bundle, sources, "bounded") != first
    assert build_library(bundle, {**sources, "hls/more.h": "0"}) != first
    assert [path.name for path in cache.iterdir() if path.name.startswith("build-")] == []


def test_two_builds_at_once(bundle: Path, cache: Path) -> None:
    sources = Bundle.open(bundle).hls_files
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build_library(bundle, sources), range(4)))
    assert len(paths) == 1
    assert paths.pop().is_file()


def test_the_first_error_is_shown(bundle: Path, cache: Path) -> None:
    (bundle / "hls/fake_kernel.c").write_text("int a;\nint b = nothing;\nint c = nowhere;\n")
    with pytest.raises(BuildError, match=r"does not compile: fake_kernel.c:2:9: error: .nothing. undeclared") as caught:
        build_library(bundle, {"hls/x": "1"})
    assert caught.value.hint.startswith("run `make -C ")
    assert list(cache.iterdir()) == []


def test_no_library(bundle: Path, cache: Path) -> None:
    (bundle / "hls/Makefile").write_text("fast:\n\t@true\n")
    with pytest.raises(BuildError, match=r"`make fast` left no libtritloom_fast\.so"):
        build_library(bundle, {"hls/x": "2"})


def test_no_compiler(bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(BuildError, match="`no-such-compiler` is not installed") as caught:
        build_library(bundle, {"hls/x": "3"})
    assert "apt-get install make g++" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written(bundle: Path, cache: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BuildError, match="cannot write"):
        build_library(bundle, {"hls/x": "4"})


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/tritloom")
    for relative in ("", "x"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache_folder() == Path.home() / ".cache/tritloom"


def test_an_unknown_flavour(bundle: Path) -> None:
    with pytest.raises(ValueError, match="slow"):
        build_library(bundle, {}, "slow")
