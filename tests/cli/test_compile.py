"""`tritloom compile` in front of a stand-in compiler: options, output, observers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import Cli, Install


class Compiler:
    """Stands for tritloom.api: runs two "passes" on a text, keeps the arguments, makes a bundle of the fixture."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.arguments: dict[str, Any] = {}

    def compile_model(self, model: Path, board: str, output: Path, *, observer: Any, **options: Any) -> Any:
        self.arguments = {"model": model.name, "board": board, "output": output, **options}
        observer.after("import", "a\n", True)
        observer.before("fuse-norm", "a\n")
        observer.after("fuse-norm", "b\n", True)
        observer.before("tile", "b\n")
        observer.after("tile", "b\n", False)
        stopped = options["stop_after"] is not None
        return SimpleNamespace(
            bundle=None if stopped else self.bundle,
            passes=[
                SimpleNamespace(name="import", ops_before=900, ops_after=77, changed=True, seconds=0.5),
                SimpleNamespace(name="tile", ops_before=77, ops_after=77, changed=False, seconds=0.0123),
            ],
            files=["hls/top.cpp"],
            contiguous_bytes=12_345_678,
            warnings=["the image is larger than the default CMA"],
            seconds=1.25,
        )


@pytest.fixture
def compiler(bundle: Path, install: Install) -> Compiler:
    compiler = Compiler(bundle)
    install("tritloom.api", compile_model=compiler.compile_model, ir_text=lambda module, generic=False: module)
    return compiler


def test_options_reach_the_compiler(cli: Cli, compiler: Compiler, model: Path, bundle: Path) -> None:
    outcome = cli(
        "compile", model, "-b", "kv260", "-o", "out", "--force", "--overlay", bundle,
        "--tokenizer", model, "--batch", "2", "--lanes", "8",
    )  # fmt: skip
    assert outcome.code == 0
    assert compiler.arguments == {
        "model": "model.onnx",
        "board": "kv260",
        "output": Path("out"),
        "force": True,
        "overlay": bundle,
        "tokenizer": model,
        "batch": 2,
        "lanes": 8,
        "fps": None,
        "stop_after": None,
    }


def test_summary(cli: Cli, compiler: Compiler, model: Path, bundle: Path) -> None:
    outcome = cli("compile", model, "--board", "kv260", "-o", "out")
    assert outcome.code == 0
    assert outcome.err == "warning: the image is larger than the default CMA\n"
    assert (
        "Passes\n"
        "pass    ops before  ops after  changed  seconds\n"
        "import         900         77  yes        0.500\n"
        "tile            77         77             0.012\n"
    ) in outcome.out
    assert "├── manifest.json  0.0 kB\n" in outcome.out
    assert "└── report/\n    └── report.json" in outcome.out
    assert "Resources (estimated)\n" in outcome.out
    assert outcome.out.endswith(
        "Compiled in 1.2 s; it needs 12.3 MB of contiguous memory.\n"
        f"Next: tritloom verify {bundle}; README.md in the bundle says how to build and deploy it.\n"
    )


def test_no_line_is_longer_than_a_terminal(cli: Cli, compiler: Compiler, model: Path) -> None:
    tables = cli("compile", model, "--board", "kv260", "-o", "out").out.partition("Passes")[2].splitlines()[:-1]
    assert tables
    assert max(map(len, tables)) <= 80


def test_json(cli: Cli, compiler: Compiler, model: Path, bundle: Path) -> None:
    outcome = cli("compile", model, "--board", "kv260", "-o", "out", "--json")
    assert json.loads(outcome.out) == {
        "bundle": str(bundle),
        "seconds": 1.25,
        "passes": [
            {"name": "import", "ops_before": 900, "ops_after": 77, "changed": True, "seconds": 0.5},
            {"name": "tile", "ops_before": 77, "ops_after": 77, "changed": False, "seconds": 0.0123},
        ],
        "contiguous_bytes": 12_345_678,
        "files": ["hls/top.cpp"],
        "warnings": ["the image is larger than the default CMA"],
    }


IR = [
    (("--print-ir-after", "fuse-norm"), ["After fuse-norm", "b"]),
    (("--print-ir-before", "fuse-norm"), ["Before fuse-norm", "a"]),
    (("--print-ir-after", "all"), ["After import", "a", "After fuse-norm", "b", "After tile", "b"]),
    (("--print-ir-after", "changed"), ["After import", "a", "After fuse-norm", "b"]),
    (("--print-ir-before", "all"), ["Before fuse-norm", "a", "Before tile", "b"]),
    (("--stop-after", "tile"), ["After tile", "b"]),
]


@pytest.mark.parametrize(("options", "expected"), IR)
def test_ir_on_stdout(cli: Cli, compiler: Compiler, model: Path, options: tuple[str, ...], expected: list[str]) -> None:
    outcome = cli("compile", model, "--board", "kv260", "-o", "out", *options)
    assert outcome.code == 0
    shown = [line for line in outcome.out.splitlines() if line]
    assert shown == [f"// -----// IR Dump {x} //----- //" if " " in x else x for x in expected]


def test_before_changed_prints_what_the_pass_got(cli: Cli, compiler: Compiler, model: Path) -> None:
    outcome = cli("compile", model, "--board", "kv260", "-o", "out", "--print-ir-before", "changed")
    assert outcome.out.startswith("// -----// IR Dump Before fuse-norm //----- //\na\n")
    assert "tile" not in outcome.out


def test_dump_ir(cli: Cli, compiler: Compiler, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "ir"
    assert cli("compile", model, "--board", "kv260", "-o", "out", "--dump-ir", folder).code == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "00-import.mlir": "a\n",
        "01-fuse-norm.mlir": "b\n",
        "02-tile.mlir": "b\n",
    }


def test_stop_after_needs_no_folder(cli: Cli, compiler: Compiler, model: Path) -> None:
    assert cli("compile", model, "--board", "kv260", "--stop-after", "fuse-norm").code == 0
    outcome = cli("compile", model, "--board", "kv260")
    assert outcome.code == 2
    assert outcome.err == "error: there is no folder to write the bundle to\nHint: give one: -o DIR\n"


@pytest.mark.parametrize("option", ["--print-ir-before", "--print-ir-after", "--stop-after"])
def test_unknown_pass(cli: Cli, compiler: Compiler, model: Path, option: str) -> None:
    outcome = cli("compile", model, "--board", "kv260", "-o", "out", option, "fuse-norms")
    assert outcome.code == 2
    assert outcome.err.startswith("error: no pass is called 'fuse-norms'\nHint: did you mean fuse-norm")
    assert compiler.arguments == {}


def test_stop_after_takes_a_pass_not_a_word(cli: Cli, compiler: Compiler, model: Path) -> None:
    outcome = cli("compile", model, "--board", "kv260", "-o", "out", "--stop-after", "all")
    assert outcome.code == 2
    assert outcome.err == "error: no pass is called 'all'\nHint: `tritloom passes` lists them\n"
