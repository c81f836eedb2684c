"""A bundle is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from tritloom.backend.plan import BuildPlan
from tritloom.errors import InputError


def plan(text: str = "new") -> BuildPlan:
    made = BuildPlan()
    made.add("manifest.json", text)
    made.add_all("hls", {"top.cpp": "int main() {}", "include/a.h": ""})
    return made


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    plan().write(tmp_path / "deep" / "bundle")
    assert contents(tmp_path / "deep" / "bundle") == {
        "manifest.json": "new",
        "hls/top.cpp": "int main() {}",
        "hls/include/a.h": "",
    }
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["bundle"], "nothing is left beside it"


def test_digests_are_of_the_bytes() -> None:
    assert plan().digests()["hls/include/a.h"] == ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    plan("old").write(tmp_path / "bundle")
    with pytest.raises(InputError, match="exists$") as refused:
        plan().write(tmp_path / "bundle")
    assert refused.value.hint == "Choose another, or replace it with --force."
    assert (tmp_path / "bundle" / "manifest.json").read_text() == "old"


def test_force_replaces_a_bundle_and_leaves_nothing(tmp_path: Path) -> None:
    old = plan("old")
    old.add("hls/gone.h", "")
    old.write(tmp_path / "bundle")
    plan().write(tmp_path / "bundle", force=True)
    assert "hls/gone.h" not in contents(tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_force_does_not_replace_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is no bundle"):
        plan().write(tmp_path / "home", force=True)
    assert contents(tmp_path / "home") == {"letter.txt": "dear"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    plan("old").write(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    plan().write(tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "manifest.json").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_failure_leaves_the_old_bundle(tmp_path: Path) -> None:
    plan("old").write(tmp_path / "bundle")
    broken = plan()
    broken.add("manifest.json/impossible", "a file inside a file")
    with pytest.raises(InputError, match="^cannot write"):
        broken.write(tmp_path / "bundle", force=True)
    assert (tmp_path / "bundle" / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
