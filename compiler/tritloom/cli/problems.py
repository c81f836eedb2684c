"""Errors on the command line: a few lines on stderr, a hint, an exit code."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass

import typer

FAILED = 1
INPUT_AT_FAULT = 2

EXTRAS = {"distributed": "sweep", "pynq": "board"}
"""Packages that are optional, and the extra that installs each."""


@dataclass(frozen=True)
class Problem:
    """What the user is told about an exception."""

    message: str
    hint: str
    exit_code: int


def describe(error: BaseException) -> Problem:
    """Message, hint and exit code of an exception."""
    for describer in (_ours, _of_the_command_line, _of_the_system, _of_the_installation):
        problem = describer(error)
        if problem is not None:
            return problem
    first = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return Problem(
        f"internal error: {name}: {first}" if first else f"internal error: {name}",
        "this is a bug in tritloom; --debug shows where, please report it",
        FAILED,
    )


def exit_code(error: BaseException) -> int:
    """The exit code that an exception ends the program with."""
    return describe(error).exit_code


def show(error: BaseException, *, debug: bool) -> None:
    """Write an error to stderr, with its traceback where `debug` asks for it."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    problem = describe(error)
    colour = sys.stderr.isatty()
    label, hint = ("\033[1;31merror:\033[0m", "\033[1mHint:\033[0m") if colour else ("error:", "Hint:")
    lines = [f"{label} {problem.message}"]
    if problem.hint:
        lines.append(f"{hint} {problem.hint}")
    sys.stderr.write("\n".join(lines) + "\n")


def _ours(error: BaseException) -> Problem | None:
    """Errors of the compiler and of the runtime, which share no base class: message, hint and exit code."""
    message, hint = getattr(error, "message", None), getattr(error, "hint", None)
    if not type(error).__module__.startswith("tritloom.") or not isinstance(message, str):
        return None
    code = getattr(error, "exit_code", FAILED)
    return Problem(message.rstrip(), hint if isinstance(hint, str) else "", code if isinstance(code, int) else FAILED)


def _of_the_command_line(error: BaseException) -> Problem | None:
    """Unknown commands, missing arguments, values out of range."""
    if isinstance(error, typer.Abort):
        return Problem("stopped", "", FAILED)
    if not isinstance(error, typer.TyperException):
        return None
    if type(error).__name__ == "NoArgsIsHelpError":
        return Problem("a command is missing", "tritloom --help lists the commands", INPUT_AT_FAULT)
    text = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "tritloom"
    return Problem(_uncapitalised(text).rstrip("."), f"{command} --help shows what it takes", INPUT_AT_FAULT)


def _of_the_system(error: BaseException) -> Problem | None:
    """Files that are missing, not readable or not writable, a full disk."""
    if not isinstance(error, OSError) or error.strerror is None:
        return None
    where = f"{error.filename}: " if error.filename else ""
    at_fault = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError)
    return Problem(
        f"{where}{_uncapitalised(error.strerror)}",
        "check the path and its permissions" if at_fault else "--debug shows where it happened",
        INPUT_AT_FAULT if at_fault else FAILED,
    )


def _of_the_installation(error: BaseException) -> Problem | None:
    """A package that an extra of tritloom brings."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    package = error.name.partition(".")[0]
    if package not in EXTRAS:
        return None
    return Problem(f"the package {package} is not installed", f"pip install 'tritloom[{EXTRAS[package]}]'", FAILED)


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
