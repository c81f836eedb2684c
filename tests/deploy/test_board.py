"""The board's side in this process: whatever moment the power goes, the place never holds a part of a bundle."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tritloom.deploy import board


def sealed(contents: dict[str, bytes]) -> dict[str, bytes]:
    """With the record of what is in it."""
    return contents | {board.RECORD: json.dumps(digests(contents)).encode()}


def digests(contents: dict[str, bytes]) -> board.Files:
    return {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()}


OLD = sealed({"manifest.json": b"old", "weights/a.bin": b"a" * 5000, "weights/b.bin": b"b" * 3000, "gone.txt": b"g"})
NEW = sealed({"manifest.json": b"new!", "weights/a.bin": b"a" * 5000, "weights/b.bin": b"B" * 3000, "more/c.txt": b"c"})


class Crash(BaseException):
    """The power went."""


def archive(contents: dict[str, bytes], names: list[str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(contents[name])
            tar.addfile(entry, io.BytesIO(contents[name]))
    return out.getvalue()


def send(place: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A whole deployment; the names that were sent."""
    files = digests(contents)
    needed: list[str] = board.plan(str(place), files)["needed"]
    if needed:
        stream = io.BytesIO(archive(contents, needed))
        monkeypatch.setattr(board.sys, "stdin", SimpleNamespace(buffer=stream))
        assert board.receive(str(place), files) == len(needed)
    assert board.commit(str(place), files) == str(place)
    return needed


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in board._names(folder)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "boards" / "bundle"


def test_first_and_second(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(place, OLD, monkeypatch) == sorted(OLD)
    assert content(place) == OLD
    assert send(place, NEW, monkeypatch) == ["deployed.json", "manifest.json", "more/c.txt", "weights/b.bin"]
    assert content(place) == NEW
    assert send(place, NEW, monkeypatch) == []
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]


class PowerCut:
    """Ends the process at the `at`-th change of the disk; a file that is being written is half there."""

    def __init__(self, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = at
        self.remove = Path.unlink
        for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "mkdir"), (os, "link"), (board, "_sync")):
            monkeypatch.setattr(owner, name, self._before(getattr(owner, name)))
        monkeypatch.setattr(shutil, "rmtree", self._rmtree)
        monkeypatch.setattr(shutil, "copyfileobj", self._copy)

    def tick(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash

    def _before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*arguments: Any, **options: Any) -> Any:
            self.tick()
            return call(*arguments, **options)

        return cut

    def _rmtree(self, path: Path, ignore_errors: bool = False) -> None:
        if not path.exists():
            return
        for file in sorted(path.rglob("*"), reverse=True):
            self.tick()
            file.rmdir() if file.is_dir() else self.remove(file)
        self.tick()
        path.rmdir()

    def _copy(self, source: Any, target: Any, length: int = 0) -> None:
        data = source.read()
        target.write(data[: len(data) // 2])
        target.flush()
        self.tick()
        target.write(data[len(data) // 2 :])


def test_the_power_goes_at_any_moment(tmp_path: Path) -> None:
    """Old, new, or nothing with the old one beside it; and the next deployment always ends well."""
    seen = set()
    for at in range(200):
        place = tmp_path / str(at) / "bundle"
        with pytest.MonkeyPatch.context() as patch:
            send(place, OLD, patch)
        with pytest.MonkeyPatch.context() as patch:
            PowerCut(at, patch)
            try:
                send(place, NEW, patch)
                finished = True
            except Crash:
                finished = False
        state = content(place) if place.exists() else None
        if state is None:
            assert content(place.with_name(".bundle.previous")) == OLD
        else:
            assert state in (OLD, NEW)
        seen.add("nothing" if state is None else "old" if state == OLD else "new")
        with pytest.MonkeyPatch.context() as patch:
            send(place, NEW, patch)
        assert content(place) == NEW
        assert [path.name for path in place.parent.iterdir()] == ["bundle"]
        if finished:
            break
    else:
        pytest.fail("the deployment has more steps than were cut")
    assert at > 20
    assert seen == {"old", "nothing", "new"}


def test_the_old_one_comes_back_after_a_cut_between_the_renames(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(place, OLD, monkeypatch)
    place.rename(place.with_name(".bundle.previous"))
    board.plan(str(place), digests(NEW))
    assert content(place) == OLD


@pytest.mark.parametrize("damage", ["cut", "flip", "extra", "missing"])
def test_what_is_not_what_was_sent_is_not_put_in_place(
    place: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    send(place, OLD, monkeypatch)
    files = digests(NEW)
    needed = board.plan(str(place), files)["needed"]
    monkeypatch.setattr(board.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(archive(NEW, needed))))
    board.receive(str(place), files)
    incoming = place.with_name(".bundle.incoming")
    victim = incoming / "weights/b.bin"
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "flip":
        victim.write_bytes(b"x" + victim.read_bytes()[1:])
    elif damage == "extra":
        (incoming / "stranger").touch()
    else:
        victim.unlink()
    name = "stranger" if damage == "extra" else r"weights/b\.bin"
    with pytest.raises(board.Refused, match=f"not what was sent: {name}"):
        board.commit(str(place), files)
    assert content(place) == OLD
    assert send(place, NEW, monkeypatch) == (["weights/b.bin"] if damage != "extra" else [])
    assert content(place) == NEW


def test_a_file_that_arrives_damaged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = digests(NEW)
    needed = board.plan(str(place), files)["needed"]
    wrong = NEW | {"weights/a.bin": b"A" * 5000}
    monkeypatch.setattr(board.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(archive(wrong, needed))))
    with pytest.raises(board.Refused, match=r"weights/a\.bin arrived damaged"):
        board.receive(str(place), files)
    assert not place.exists()
    assert send(place, NEW, monkeypatch) == ["weights/a.bin", "weights/b.bin"]
    assert content(place) == NEW


def test_the_users_own_files_are_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(place, sealed(OLD | {"notebook.ipynb": b"{}"}), monkeypatch)
    (place / "mine").mkdir()
    (place / "mine/state.npz").write_bytes(b"state")
    (place / "notebook.ipynb").write_bytes(b"{edited}")
    new = sealed(NEW | {"notebook.ipynb": b"{new}"})
    send(place, new, monkeypatch)
    kept = {"mine/state.npz": b"state", "notebook.previous.ipynb": b"{edited}"}
    assert content(place) == new | kept
    send(place, OLD, monkeypatch)
    assert content(place) == OLD | kept


def test_a_link_is_not_taken_for_a_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(place, NEW, monkeypatch)
    real = place.parent / "elsewhere"
    (place / "weights/a.bin").rename(real)
    (place / "weights/a.bin").symlink_to(real)
    assert send(place, NEW, monkeypatch) == ["weights/a.bin"]
    assert not (place / "weights/a.bin").is_symlink()


def test_errors_are_json(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    place.mkdir(parents=True)
    arguments = json.dumps({"target": str(place), "files": digests(NEW)})
    assert board.main("plan", arguments) == 3
    assert json.loads(capsys.readouterr().out)["error"] == {
        "kind": "occupied",
        "message": f"{place} is there already and is no bundle",
    }
    monkeypatch.setattr(board.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(archive(NEW, ["manifest.json"])[:600])))
    place.rmdir()
    assert board.main("receive", arguments) == 3
    assert json.loads(capsys.readouterr().out)["error"]["kind"] in ("failed", "damaged")


def test_it_runs_on_an_old_python_and_alone() -> None:
    source = Path(board.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).partition(".")[0] for name in modules} <= set(sys.stdlib_module_names)
    assert len(source) < 32_000  # it travels as an argument
