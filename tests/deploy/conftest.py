"""Fixtures: a built bundle, and OpenSSH servers that play boards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime.boards import build_overlay
from runtime.conftest import bundle, emulation, shared_cache  # noqa: F401
from tritloom.cli import main

from .server import Server, board_python, why_not


@pytest.fixture
def built(bundle: Path) -> Path:  # noqa: F811
    build_overlay(bundle)
    return bundle


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a board's image."""
    return board_python(tmp_path_factory.mktemp("image"))


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path, shared_cache: Path) -> Iterator[Serve]:  # noqa: F811
    """Starts servers whose board has the emulated device; `environment` adds to or replaces its variables."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    servers: list[Server] = []

    def start(environment: dict[str, str] | None = None, **options: Any) -> Server:
        usual = {"TRITLOOM_EMULATE": "1", "XDG_CACHE_HOME": str(shared_cache)}
        servers.append(Server(tmp_path / f"server{len(servers)}", usual | (environment or {}), **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


Deploy = Callable[..., tuple[int, str, str]]


@pytest.fixture
def deploy(capsys: pytest.CaptureFixture[str]) -> Deploy:
    """Runs `tritloom deploy`: exit code, stdout, stderr."""

    def run(bundle: Path, server: Server, *options: object) -> tuple[int, str, str]:  # noqa: F811
        capsys.readouterr()
        code = main(["deploy", str(bundle), server.destination, *server.options, *map(str, options)])
        out, err = capsys.readouterr()
        return code, out, err

    return run
