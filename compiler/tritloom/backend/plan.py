"""A build plan: every file of a bundle, in memory, before anything touches the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError


def is_hashed(path: str) -> bool:
    """Whether the manifest has a file's hash: not of reports, nor of the notebook, which Jupyter writes into."""
    return not path.startswith("report/") and path != "notebook.ipynb"


@dataclass
class BuildPlan:
    """Files by their path inside the bundle. Tests look at it without a disk; :meth:`write` lays it down."""

    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, path: str, content: str | bytes) -> None:
        """Add one file; text becomes UTF-8."""
        self.files[path] = content.encode() if isinstance(content, str) else content

    def add_all(self, folder: str, files: Mapping[str, str]) -> None:
        """Add the text files of a folder."""
        for name, content in files.items():
            self.add(f"{folder}/{name}", content)

    def digests(self) -> dict[str, str]:
        """sha256 of every file."""
        return {path: hashlib.sha256(content).hexdigest() for path, content in sorted(self.files.items())}

    def write(self, folder: Path, force: bool = False) -> None:
        """Write beside `folder`, then rename: a bundle is there whole or not at all.

        Raises:
            InputError: the folder exists and `force` is not set, or its parent cannot be written.
        """
        folder = folder.resolve()  # a link stays, what it leads to is replaced
        check_output(folder, force)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise InputError(
                f"cannot write to {folder.parent}: {error.strerror}", "Choose another -o folder."
            ) from error
        try:
            self._fill(beside)
            _swap(beside, folder)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}", "Is the disk full?") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _fill(self, folder: Path) -> None:
        folder.chmod(0o755)
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def check_output(folder: Path, force: bool) -> None:
    """Refuse an output folder that exists, unless `force`; with it, only a bundle or an empty folder is replaced.

    Raises:
        InputError: it would be overwritten.
    """
    if not folder.exists():
        return
    if not force:
        raise InputError(f"the output folder {folder} exists", "Choose another, or replace it with --force.")
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "manifest.json").is_file()):
        raise InputError(
            f"{folder} exists and is no bundle, so --force does not replace it", "Choose another -o folder."
        )


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`; the old one is removed only when the new one is there."""
    old = folder.with_name(f".{folder.name}.old{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
