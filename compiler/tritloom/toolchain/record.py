"""What each stage was made from: a build goes on where it stopped, and never takes a stale product for a new one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..runtime.kernel_manifest import canonical_hash

SCHEMA: Final = 1
_CHUNK: Final = 1 << 20


def sha256_of(path: Path) -> str:
    """sha256 of a file, or of the names and contents of all files below a folder."""
    state = hashlib.sha256()
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            state.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
        return state.hexdigest()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def digests(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Path below `root` -> sha256."""
    return {path.relative_to(root).as_posix(): sha256_of(path) for path in paths}


@dataclass(frozen=True)
class StageRecord:
    """One finished stage."""

    inputs: str
    """Hash of everything that decides its outcome."""
    outputs: Mapping[str, str]
    """Path inside the bundle -> sha256."""
    tool: Mapping[str, str]
    seconds: float

    def holds(self, root: Path, inputs: str) -> bool:
        """Whether it was made from these inputs, and its outputs are there, unchanged."""
        if self.inputs != inputs or not self.outputs:
            return False
        return all((root / path).exists() and sha256_of(root / path) == digest for path, digest in self.outputs.items())


class Record:
    """The stages of a bundle, in `logs/stages.json`; written after each stage, beside and then renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = root / "logs" / "stages.json"
        self._stages = self._read()

    def _read(self) -> dict[str, StageRecord]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            if found["schema"] != SCHEMA:
                return {}
            return {
                name: StageRecord(stage["inputs"], stage["outputs"], stage["tool"], float(stage["seconds"]))
                for name, stage in found["stages"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # nothing is known, so everything is built

    def _write(self) -> None:
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "stages": {name: vars(stage) for name, stage in self._stages.items()},
        }
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        beside.replace(self._file)

    def get(self, name: str) -> StageRecord | None:
        return self._stages.get(name)

    def finished(self) -> Mapping[str, StageRecord]:
        """The stages whose products are there, by name."""
        return dict(self._stages)

    def fresh(self, name: str, inputs: Mapping[str, Any]) -> bool:
        """Whether the stage need not run again."""
        stage = self._stages.get(name)
        return stage is not None and stage.holds(self._root, canonical_hash(inputs))

    def forget(self, *names: str) -> None:
        """Drop stages, before one of them runs."""
        for name in names:
            self._stages.pop(name, None)
        self._write()

    def finish(
        self, name: str, inputs: Mapping[str, Any], outputs: Iterable[Path], tool: Mapping[str, str], seconds: float
    ) -> None:
        """Note a finished stage."""
        made = digests(self._root, outputs)
        self._stages[name] = StageRecord(canonical_hash(inputs), made, dict(tool), round(seconds, 1))
        self._write()
