"""What runs on the board while a bundle is deployed: a script of its own, for any Python from 3.8 on.

``ssh BOARD python3 -c SCRIPT VERB ARGUMENTS`` runs it: VERB is one of `VERBS`, ARGUMENTS a JSON object of its
arguments. It prints one JSON value and returns 0, or ``{"error": ...}`` and returns 3.

What the user has put into the folder of a bundle, or made of its notebook, is kept.

A bundle arrives in the folder ``.NAME.incoming`` beside its place. Only when every file there has the right
hash, and is on the disk, is the folder renamed; so at any moment the place holds the old bundle, the new one,
or nothing, and never a part of one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Files = dict[str, tuple[int, str]]
    """Names to bytes and sha256."""

CHUNK = 1 << 20
RECORD = "deployed.json"
"""In each bundle in place: the files that came with it, so that the user's own can be told from them."""
NOTEBOOK, OLD_NOTEBOOK = "notebook.ipynb", "notebook.previous.ipynb"
PYNQ_PYTHON = "/usr/local/share/pynq-venv/bin/python3"
ASK = """
import json, sys
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
names = ("pynq", "numpy", "pip")
print(json.dumps({"version": sys.version.split()[0], **{name: version(name) for name in names}}))
"""


class Refused(Exception):
    """The request cannot be carried out: `kind` is a word for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def facts(target: str, pythons: list[str] | None) -> dict[str, Any]:
    """What the board is, has installed and has left."""
    return {
        "machine": platform.machine(),
        "model": _text(Path("/proc/device-tree/model")).strip("\0\n "),
        "emulated": os.environ.get("TRITLOOM_EMULATE", "0") not in ("", "0"),
        "home": str(Path.home()),
        "root": os.geteuid() == 0,
        "sudo": _succeeds(["sudo", "-n", "true"]),
        "pythons": [found for found in map(_python, pythons or (PYNQ_PYTHON, "python3")) if found],
        "memory": _meminfo(),
        "disk": _disk(_place(target)),
    }


def plan(target: str, files: Files) -> dict[str, Any]:
    """Prepare the incoming folder; the names of the files that are needed, and the bytes left on the disk.

    What an interrupted deployment left, and what the bundle in place has already, is not needed again.
    """
    place = _place(target)
    incoming, previous = _beside(place)
    if previous.is_dir() and not place.exists():
        previous.rename(place)  # the power went between two renames
    if place.exists() and not (place / "manifest.json").is_file():
        raise Refused("occupied", f"{place} is there already and is no bundle")
    incoming.mkdir(parents=True, exist_ok=True)
    for name in list(_names(incoming)):
        if name not in files:
            (incoming / name).unlink()
    needed = []
    for name, (size, digest) in sorted(files.items()):
        if _is(incoming / name, size, digest):
            continue
        if _is(place / name, size, digest):
            _link(place / name, incoming / name)
        else:
            needed.append(name)
    for name, path in _users(place, files).items():
        _link(path, incoming / name)
    return {"needed": needed, "disk": _disk(place)}


def receive(target: str, files: Files) -> int:
    """Unpack a tar archive on stdin into the incoming folder; a file has its name only when it is whole."""
    incoming, _ = _beside(_place(target))
    count = 0
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            size, digest = files[member.name]
            source = archive.extractfile(member)
            part = incoming / (member.name + ".part")
            if source is not None:
                _store(source, part)
            if not _is(part, size, digest):
                part.unlink()
                raise Refused("damaged", f"{member.name} arrived damaged")
            part.rename(incoming / member.name)
            count += 1
    return count


def commit(target: str, files: Files) -> str:
    """Check the incoming folder and put it in place."""
    place = _place(target)
    incoming, previous = _beside(place)
    found = set(_names(incoming)) - _users(place, files).keys()
    wrong = sorted(name for name, (size, digest) in files.items() if not _is(incoming / name, size, digest))
    if wrong or found != set(files):
        raise Refused("damaged", "not what was sent: " + ", ".join(wrong or sorted(found ^ set(files))))
    for folder, _, _ in os.walk(incoming, topdown=False):
        _sync(Path(folder))
    if place.exists():
        shutil.rmtree(previous, ignore_errors=True)
        place.rename(previous)
    incoming.rename(place)
    _sync(place.parent)
    shutil.rmtree(previous, ignore_errors=True)
    return str(place)


VERBS: dict[str, Callable[..., Any]] = {"facts": facts, "plan": plan, "receive": receive, "commit": commit}


def _place(target: str) -> Path:
    return Path.home() / Path(target).expanduser()


def _beside(place: Path) -> tuple[Path, Path]:
    """Where a bundle arrives, and where the old one is for a moment."""
    return place.with_name(f".{place.name}.incoming"), place.with_name(f".{place.name}.previous")


def _users(place: Path, files: Files) -> dict[str, Path]:
    """The user's own files of the bundle in place, by the names that they will have."""
    try:
        ours = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        ours = {}
    found = {name: place / name for name in _names(place) if name not in files and name not in ours}
    notebook = place / NOTEBOOK
    if NOTEBOOK in ours and notebook.is_file() and not _is(notebook, *ours[NOTEBOOK]):
        found[OLD_NOTEBOOK] = notebook
    return found


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if not path.is_dir() or path.is_symlink():
            yield path.relative_to(folder).as_posix()


def _is(path: Path, size: int, digest: str) -> bool:
    if not path.is_file() or path.is_symlink() or path.stat().st_size != size:
        return False
    state = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            state.update(chunk)
    return state.hexdigest() == digest


def _link(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.unlink()
    try:
        os.link(source, path)
    except OSError:
        with source.open("rb") as file:
            _store(file, path)


def _store(source: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _python(command: str) -> dict[str, Any] | None:
    path = shutil.which(command)
    if path is None:
        return None
    try:
        done = subprocess.run([path, "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        return dict(json.loads(done.stdout.decode()), path=path)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _succeeds(command: list[str]) -> bool:
    nothing = subprocess.DEVNULL
    try:
        return subprocess.run(command, timeout=20, stdin=nothing, stdout=nothing, stderr=nothing).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _meminfo() -> dict[str, int]:
    lines = _text(Path("/proc/meminfo")).splitlines()
    wanted = ("MemAvailable:", "CmaTotal:", "CmaFree:")
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted)}


def _disk(path: Path) -> int:
    """Bytes free where `path` is or will be."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def main(verb: str, arguments: str) -> int:
    """Carry out a verb; the exit code."""
    result: Any
    try:
        result = VERBS[verb](**json.loads(arguments))
    except Refused as error:
        result = {"error": {"kind": error.kind, "message": str(error)}}
    except (OSError, tarfile.TarError) as error:
        kinds = {errno.ENOSPC: "disk", errno.EDQUOT: "disk", errno.EACCES: "denied", errno.EROFS: "denied"}
        kind = kinds.get(getattr(error, "errno", None) or 0, "failed")
        result = {"error": {"kind": kind, "message": str(error)}}
    sys.stdout.write(json.dumps(result) + "\n")
    return 3 if isinstance(result, dict) and "error" in result else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
