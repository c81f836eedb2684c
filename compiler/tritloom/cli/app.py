"""The application: the table of commands, the options of `tritloom` itself, and the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from tritloom import __version__

from . import (
    bench,
    boards,
    build,
    compile_,
    deploy,
    doctor,
    estimate,
    export,
    import_,
    inspect,
    passes,
    run,
    sweep,
    verify,
)
from .options import Debug, Settings
from .problems import exit_code, show

EPILOG = "Exit codes: 0 done, 1 failed, 2 the input is at fault."

COMMANDS: dict[str, Callable[..., None]] = {
    "export": export.export,
    "inspect": inspect.inspect,
    "import": import_.import_,
    "compile": compile_.compile_,
    "estimate": estimate.estimate,
    "build": build.build,
    "sweep": sweep.sweep,
    "verify": verify.verify,
    "generate": run.generate,
    "run": run.run,
    "eval": verify.evaluate,
    "deploy": deploy.deploy,
    "bench": bench.bench,
    "passes": passes.passes,
    "opt": passes.opt,
    "doctor": doctor.doctor,
}


HELP = """Compile ternary neural networks to FPGA overlays, and run them.

From an ONNX file to a bundle (HLS C++, Vivado scripts, packed weights,
driver), then on a PYNQ board, or with no board on the emulated device.
"""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tritloom {__version__}")
        raise typer.Exit


def _tritloom(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    debug: Debug = False,
) -> None:
    """The options of `tritloom` itself."""


def application(*, with_help: bool = True) -> typer.Typer:
    """The application with every command; boxes and colours only where stdout is a terminal.

    Without `with_help` it has no `--help` of its own, only those of the commands: where that option is
    not given, typer imports pydantic to check it, which takes longer than all of `COMMAND --help`.
    """
    app = typer.Typer(
        name="tritloom",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog=EPILOG,
    )
    app.callback(help=HELP, add_help_option=with_help)(_tritloom)
    for name, function in COMMANDS.items():
        app.command(name)(function)
    app.add_typer(boards.application(), name="boards")
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error becomes a few lines on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    settings = Settings()
    command: Any = get_command(application(with_help=not given or given[0].startswith("-")))
    try:
        result = command.main(args=given, prog_name="tritloom", obj=settings, standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the one place that turns whatever happened into a message
        show(error, debug=settings.debug)
        return exit_code(error)
    return result if isinstance(result, int) else 0
