"""The text form of the IR: printing, and parsing back."""

from __future__ import annotations

import re
from io import StringIO
from typing import Final

from .engine import Engine
from .flow import Flow
from .mlir import Builtin, Context, ModuleOp, Operation, ParseError, Parser, Printer, VerifyException
from .tern import Tern

_LINE: Final = 110
_BACKSLASH: Final = r"\\"
_ESCAPED: Final = re.compile(r"\\\\|(?:\\[0-9A-F]{2})+")
_SHORT: Final = {'"': r"\"", "\n": r"\n", "\t": r"\t"}
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


class IrSyntaxError(ValueError):
    """IR text that does not parse or verify; the message quotes the line."""


def load_dialects(context: Context) -> None:
    """Register the dialects of tritloom with an xDSL context."""
    for dialect in (Builtin, Tern, Engine, Flow):
        context.load_dialect(dialect)


def ir_text(module: ModuleOp, generic: bool = False, locations: bool = True) -> str:
    """MLIR text of a module; `generic` is the form that mlir-opt reads without our dialects."""
    stream = StringIO()
    Printer(stream, print_generic_format=generic, print_debuginfo=locations).print_op(module)
    return _ESCAPED.sub(_plain, stream.getvalue()) + "\n"


def _plain(escaped: re.Match[str]) -> str:
    """The characters of escaped UTF-8, a backslash as it is: xDSL writes bytes, which it reads as no string."""
    if escaped.group() == _BACKSLASH:
        return _BACKSLASH
    raw = bytes.fromhex(escaped.group().replace("\\", ""))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return escaped.group()
    return "".join(_SHORT.get(c, c if c.isprintable() else "".join(f"\\{b:02X}" for b in c.encode())) for c in text)


def op_text(op: Operation) -> str:
    """One line of IR text of an operation, without types, locations and what later passes noted on it."""
    bare = op.clone()
    bare.attributes.clear()
    stream = StringIO()
    Printer(stream).print_op(bare)
    untyped = stream.getvalue().replace(" : i64", "").replace(" : f32", "")
    return untyped.split(" : ")[0].strip()


def parse_ir(text: str, name: str = "<input>") -> ModuleOp:
    """Module of MLIR text, verified.

    Raises:
        IrSyntaxError: with file, line and a caret.
    """
    _check_strings(text, name)
    context = Context()
    load_dialects(context)
    try:
        module = Parser(context, text, name).parse_module()
    except (ParseError, VerifyException) as error:
        raise IrSyntaxError(str(error)) from error
    try:
        module.verify()
    except VerifyException as error:
        raise IrSyntaxError(f"{name}: {error}{_culprit(module)}") from error
    return module


def _check_strings(text: str, name: str) -> None:
    """Refuse a string that is not closed on its line: xDSL's lexer would search for its end for hours.

    Raises:
        IrSyntaxError: with file and line.
    """
    for number, line in enumerate(text.splitlines(), 1):
        rest = _STRING.sub("", line)
        if '"' in rest.partition("//")[0]:
            raise IrSyntaxError(f"{name}:{number}: a string is not closed\n{line[:_LINE]}")


def _culprit(module: ModuleOp) -> str:
    """The operation that does not verify, on a line of its own."""
    for op in (op for op in module.walk() if not op.regions):
        try:
            op.verify()
        except VerifyException:
            line = str(op).partition("\n")[0]
            return f"\n  in: {line if len(line) <= _LINE else line[: _LINE - 3] + '...'}"
    return ""
