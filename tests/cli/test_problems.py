"""Errors: few lines, a hint, an exit code; whole texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tritloom.errors import InputError, TritloomError
from tritloom.runtime import errors as runtime_errors

from .conftest import Cli, Install


def test_no_command(cli: Cli) -> None:
    outcome = cli()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: a command is missing\nHint: tritloom --help lists the commands\n"


def test_unknown_command(cli: Cli) -> None:
    outcome = cli("bords")
    assert outcome.code == 2
    assert outcome.err == (
        "error: no such command 'bords'. Did you mean 'boards'?\nHint: tritloom --help shows what it takes\n"
    )


def test_missing_file(cli: Cli) -> None:
    outcome = cli("compile", "absent.onnx", "--board", "kv260", "-o", "out")
    assert outcome.code == 2
    assert outcome.err == (
        "error: invalid value for 'MODEL.onnx': file 'absent.onnx' does not exist\n"
        "Hint: tritloom compile --help shows what it takes\n"
    )


def test_missing_option(cli: Cli, model: Path) -> None:
    outcome = cli("compile", model, "-o", "out")
    assert outcome.code == 2
    assert outcome.err == (
        "error: missing option '--board' / '-b'\nHint: tritloom compile --help shows what it takes\n"
    )


def test_value_out_of_range(cli: Cli, bundle: Path) -> None:
    outcome = cli("verify", bundle, "--tokens", "0")
    assert outcome.code == 2
    assert outcome.err == (
        "error: invalid value for '--tokens': Input should be greater than or equal to 1\n"
        "Hint: tritloom verify --help shows what it takes\n"
    )


def test_unknown_board(cli: Cli) -> None:
    outcome = cli("boards", "show", "kv26")
    assert outcome.code == 2
    assert outcome.err == "error: unknown board 'kv26'\nHint: did you mean kv260 or kr260?\n"


def raising(error: BaseException) -> Any:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


CASES = [
    (InputError("bad model", "mend it"), 2, "error: bad model\nHint: mend it\n"),
    (TritloomError("broken"), 1, "error: broken\n"),
    (
        runtime_errors.BundleError("manifest.json: changed", "compile again"),
        2,
        "error: manifest.json: changed\nHint: compile again\n",
    ),
    (runtime_errors.KernelTimeout("no answer", "reset it"), 1, "error: no answer\nHint: reset it\n"),
    (
        ModuleNotFoundError("No module named 'pynq'", name="pynq"),
        1,
        "error: the package pynq is not installed\nHint: pip install 'tritloom[board]'\n",
    ),
    (
        FileNotFoundError(2, "No such file or directory", "weights/port0.bin"),
        2,
        "error: weights/port0.bin: no such file or directory\nHint: check the path and its permissions\n",
    ),
    (
        OSError(28, "No space left on device", "out"),
        1,
        "error: out: no space left on device\nHint: --debug shows where it happened\n",
    ),
    (
        KeyError("lost\nand more"),
        1,
        (
            "error: internal error: KeyError: 'lost\\nand more'\n"
            "Hint: this is a bug in tritloom; --debug shows where, please report it\n"
        ),
    ),
    (KeyboardInterrupt(), 130, ""),
]


@pytest.mark.parametrize(("error", "code", "text"), CASES, ids=lambda value: type(value).__name__)
def test_errors_of_a_command(
    cli: Cli, install: Install, bundle: Path, error: BaseException, code: int, text: str
) -> None:
    install("tritloom.verify", verify_bundle=raising(error))
    outcome = cli("verify", bundle)
    assert (outcome.code, outcome.out, outcome.err) == (code, "", text)


@pytest.mark.parametrize("where", ["before", "after"])
def test_debug_shows_the_traceback(cli: Cli, install: Install, bundle: Path, where: str) -> None:
    install("tritloom.verify", verify_bundle=raising(InputError("bad model", "mend it")))
    outcome = cli("--debug", "verify", bundle) if where == "before" else cli("verify", bundle, "--debug")
    assert outcome.code == 2
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert outcome.err.endswith("error: bad model\nHint: mend it\n")
