"""Watching the pipeline: the IR printed before and after passes, written to a folder, and the pass at work."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritloom.errors import InputError

from .console import emit

if TYPE_CHECKING:
    from tritloom.ir.mlir import ModuleOp

ALL, CHANGED = "all", "changed"


def check_pass_name(name: str | None, known: Collection[str], *, words: Collection[str] = (ALL, CHANGED)) -> None:
    """Refuse a name that is neither a pass nor one of `words`; the nearest names are offered."""
    if name is None or name in words or name in known:
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    raise InputError(
        f"no pass is called '{name}'",
        f"did you mean {' or '.join(near)}?" if near else "`tritloom passes` lists them",
    )


class Watcher:
    """A PassObserver that shows and writes what the user asked for."""

    def __init__(
        self,
        text: Callable[[ModuleOp], str],
        *,
        before: str | None = None,
        after: str | None = None,
        folder: Path | None = None,
        status: Any = None,
    ) -> None:
        self._text = text
        self._before, self._after = before, after
        self._folder = folder
        self._status = status
        self._count = 0
        self._kept: str | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def before(self, pass_name: str, module: ModuleOp) -> None:
        """Called before a pass runs."""
        if self._status is not None:
            self._status.update(pass_name)
        if self._before in (ALL, pass_name):
            self._print("Before", pass_name, self._text(module))
        elif self._before == CHANGED:
            self._kept = self._text(module)

    def after(self, pass_name: str, module: ModuleOp, changed: bool) -> None:
        """Called after a pass ran; `changed` says whether it did anything."""
        if self._kept is not None and changed:
            self._print("Before", pass_name, self._kept)
        self._kept = None
        wanted = self._after in (ALL, pass_name) or (self._after == CHANGED and changed)
        if not wanted and self._folder is None:
            return
        text = self._text(module)
        if wanted:
            self._print("After", pass_name, text)
        if self._folder is not None:
            (self._folder / f"{self._count:02}-{pass_name}.mlir").write_text(text, encoding="utf-8")
            self._count += 1

    def _print(self, when: str, pass_name: str, text: str) -> None:
        emit(f"// -----// IR Dump {when} {pass_name} //----- //\n{text}")
