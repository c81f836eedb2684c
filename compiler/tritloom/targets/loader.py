"""Find, read and check board files."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ..errors import InputError
from ..resources import targets_dir
from .model import Target

BOARD_FILE: Final = "board.toml"
"""A bundle's copy of its board."""


def _plain(name: str) -> str:
    """Name without case and punctuation: `PYNQ-Z2`, `pynq_z2` and `pynqz2` are one board."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(targets_dir().glob("*.toml"))}


def _is_path(name_or_path: str) -> bool:
    return name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path


def _find(name: str) -> Path:
    files = _files()
    by_plain = {_plain(stem): path for stem, path in files.items()}
    if (path := by_plain.get(_plain(name))) is not None:
        return path
    near = difflib.get_close_matches(_plain(name), by_plain, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(by_plain[plain].stem for plain in near)}?"
    else:
        hint = f"boards: {', '.join(files)}; or give the path of a board file"
    raise InputError(f"unknown board '{name}'", hint)


def _describe(error: ValidationError) -> str:
    """First problem, with the field's path: `memory.peak_gb_s: input should be greater than 0`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    more = error.error_count() - 1
    others = f" (and {more} more)" if more else ""
    return f"{place}: {text}{others}" if place else f"{text}{others}"


def _read(path: Path) -> Target:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read board file '{path}': {error.strerror}",
            "see docs/boards.md for what one holds",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"board file '{path}' is not TOML: {error}", "see docs/boards.md") from error
    try:
        # The JSON route: strict types, and TOML's arrays become tuples.
        return Target.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise InputError(f"board file '{path}': {_describe(error)}", "docs/boards.md documents every field") from error


def load_target(name_or_path: str) -> Target:
    """The board of that name, or the board file at that path.

    Raises:
        InputError: no such board (the nearest names are offered), or an invalid file (the field is named).
    """
    return _read(Path(name_or_path) if _is_path(name_or_path) else _find(name_or_path))


def bundle_target(folder: Path) -> Target:
    """The board that a bundle was compiled for, from the bundle itself: no board is looked up by its name.

    Raises:
        InputError: the bundle has no board file, or an invalid one.
    """
    path = folder / BOARD_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {BOARD_FILE}: it was compiled by another version", "Compile it again.")
    return _read(path)


def board_toml(target: Target) -> str:
    """A board as text of a board file, which reads back as the same board.

    Strings are written as JSON has them: every JSON string is a TOML basic string (TOML 1.0, section String).
    """
    values = target.model_dump(mode="json", exclude_none=True)
    return "# The board that this bundle was compiled for.\n" + "\n".join(_table(values, ())) + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"\n[{'.'.join(path)}]"
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    yield from (f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables)
    for key, value in tables.items():
        yield from _table(value, (*path, key))


def list_targets() -> tuple[Target, ...]:
    """Every board that comes with tritloom, by name."""
    return tuple(_read(path) for path in _files().values())
