"""The text form of the IR: printing, and parsing back."""

from __future__ import annotations

from io import StringIO
from typing import Final

from .engine import Engine
from .mlir import Builtin, Context, ModuleOp, ParseError, Parser, Printer, VerifyException
from .tern import Tern


_LINE: Final = 110


class IrSyntaxError(ValueError):
    """IR text that does not parse or verify; the message quotes the line."""


def load_dialects(context: Context) -> None:
    """Register the dialects of tritloom with an xDSL context."""
    for dialect in (Builtin, Tern, Engine):
        context.load_dialect(dialect)


def ir_text(module: ModuleOp, generic: bool = False, locations: bool = True) -> str:
    """MLIR text of a module; `generic` is the form that mlir-opt reads without our dialects."""
    stream = StringIO()
    Printer(stream, print_generic_format=generic, print_debuginfo=locations).print_op(module)
    return stream.getvalue() + "\n"


def parse_ir(text: str, name: str = "<input>") -> ModuleOp:
    """Module of MLIR text, verified.

    Raises:
        IrSyntaxError: with file, line and a caret.
    """
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


def _culprit(module: ModuleOp) -> str:
    """The operation that does not verify, on a line of its own."""
    for op in (op for op in module.walk() if not op.regions):
        try:
            op.verify()
        except VerifyException:
            line = str(op).partition("\n")[0]
            return f"\n  in: {line if len(line) <= _LINE else line[: _LINE - 3] + '...'}"
    return ""
