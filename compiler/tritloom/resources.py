"""Where templates and board files are: beside the source tree, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _find(name: str) -> Path:
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"tritloom's '{name}' folder is missing: the installation is damaged; reinstall tritloom")


def templates_dir() -> Path:
    """Folder of the Jinja templates and the kernel library."""
    return _find("templates")


def targets_dir() -> Path:
    """Folder of the board descriptions, one TOML a board."""
    return _find("targets")
