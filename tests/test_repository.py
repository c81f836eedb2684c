"""Rules of the house: what imports what, how long a file is, what the wheel holds, what is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "compiler" / "tritloom"

MAY_IMPORT = {
    "ir": set(),
    "targets": {"errors", "resources"},
    "frontend": {"ir", "errors"},
    "export": {"errors"},
    "analysis": {"ir", "targets", "errors"},
    "passes": {"ir", "targets", "analysis", "errors"},
    "backend": {"ir", "targets", "analysis", "report", "runtime", "resources", "errors"},
    "report": {"ir", "targets", "analysis", "resources", "errors"},
    "runtime": set(),
    "toolchain": {"runtime", "report", "errors"},
}
"""Parts, and the other parts of tritloom that each may import. `__version__` is everybody's. The backend
writes the manifest with the hash that the runtime, its reader, defines."""

BROUGHT_BY = {"google": "onnx", "pynqmetadata": "pynq", "pyxrt": "pynq"}
"""Imported packages that another one brings, or that only a board's image has."""

SOURCES = ("compiler", "templates", "targets", "examples", "tests", "bench", "docs")
CODE = {".py", ".h", ".hpp", ".cpp", ".j2", ".tcl", ".toml"}
LONGEST = 500
REMINDERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")


def tracked(*suffixes: str) -> Iterator[Path]:
    """Source files, caches and build outputs left out."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
            if path.is_file() and path.suffix in suffixes and not hidden:
                yield path


def imports(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Absolute names that a module of `package` imports, those inside functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *((node.module,) if node.module else ())))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def parts_imported(path: Path) -> set[str]:
    """The parts of tritloom that a file imports."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    names = (name.split(".") for name in imports(path.read_text(encoding="utf-8"), package))
    return {name[1] for name in names if name[0] == "tritloom" and len(name) > 1} - {"__version__"}


def test_imports_are_read_right() -> None:
    source = "import onnx\nfrom ..ir import store\nfrom . import x\nfrom ...tritloom.errors import E\n"
    found = list(imports(source, ("tritloom", "passes")))
    assert found == ["onnx", "tritloom.ir.store", "tritloom.passes.x", "tritloom.errors.E"]


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_layers(part: str) -> None:
    allowed = MAY_IMPORT[part] | {part}
    wrong = {
        str(path.relative_to(ROOT)): sorted(parts_imported(path) - allowed)
        for path in sorted((PACKAGE / part).rglob("*.py"))
        if parts_imported(path) - allowed
    }
    assert wrong == {}


def test_xdsl_is_imported_in_one_place() -> None:
    importers = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith("xdsl") for name in imports(path.read_text(encoding="utf-8"), ()))
    ]
    assert importers == ["ir/mlir.py"]


def test_the_runtime_imports_no_compiler() -> None:
    program = (
        "import sys, tritloom.runtime\n"
        "print(*sorted(name for name in sys.modules if name.startswith('tritloom.')))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours, packages = (set(line.split()) for line in ran.stdout.splitlines())
    assert {name for name in ours if name.split(".")[1] != "runtime"} == set()
    assert not packages & {"onnx", "xdsl", "jinja2", "networkx", "pydantic", "typer", "rich", "pynq"}


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(*CODE)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_no_reminders() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked(*CODE, ".md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if REMINDERS.search(line)
    ]
    assert found == []


def test_links_of_the_documents() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert broken == []


def distributions(requirements: list[str]) -> set[str]:
    """Names of requirements, as they are imported."""
    names = (re.match(r"[A-Za-z0-9_.-]+", requirement) for requirement in requirements)
    return {name.group().replace("-", "_").lower() for name in names if name is not None}


def test_dependencies_are_those_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    imported = {
        name.partition(".")[0]
        for path in PACKAGE.rglob("*.py")
        for name in imports(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE.parent).parts[:-1])
    }
    foreign = {BROUGHT_BY.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"tritloom"}}
    declared = distributions(project["dependencies"])
    extras = project["optional-dependencies"]
    optional = distributions([*extras["board"], *extras["sweep"], *extras["qonnx"]])
    assert foreign - optional <= declared
    assert declared <= foreign


@pytest.mark.long
def test_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("tritloom-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("templates", "targets"):
        expected = {
            f"tritloom/_data/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert expected <= names
    assert "tritloom/py.typed" in names
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    ran = subprocess.run(
        [sys.executable, "-m", "tritloom", "boards"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\nkv260 " in ran.stdout
