"""`tritloom verify` and `tritloom eval`: are the numbers right, and how good is the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import emit, emit_json, working
from .options import Bundle, Debug, Json


def verify(
    bundle: Bundle,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL.onnx", exists=True, dir_okay=False, help="The ONNX file, if it has moved."),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Text to feed, if not the model's own."),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens or vectors to feed, 512 if not given.")
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            exists=True,
            dir_okay=False,
            help="Frames of a net, or a step's vectors, by input name.",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Frames of a net, at most 1,000 if not given.")
    ] = None,
    after_each_pass: Annotated[
        bool, typer.Option("--after-each-pass", help="Check the IR after every pass, and name the first that breaks.")
    ] = False,
    control: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER.onnx",
            exists=True,
            dir_okay=False,
            help="Another export of the model to measure drift by, if not float64.",
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare a bundle with onnxruntime and with the interpreter.

    Exit code 1 where they differ by more than they may; the first instruction
    or layer that differs is named.
    """
    from tritloom.verify import verify_bundle

    with working(f"verifying {bundle}"):
        report = verify_bundle(
            bundle,
            model=model,
            text=text,
            tokens=tokens,
            inputs=inputs,
            frames=frames,
            after_each_pass=after_each_pass,
            control=control,
        )
    if as_json:
        emit_json(report.to_json())
    else:
        emit("\n".join(report.lines()))
    if not report.passed:
        raise typer.Exit(1)


def evaluate(
    bundle: Bundle,
    text: Annotated[Path, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Text to score.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a text: bits per token and per byte, on the device."""
    from tritloom.verify import evaluate as evaluate_bundle

    with working(f"scoring {text.name}"):
        result = evaluate_bundle(bundle, text)
    if as_json:
        emit_json(
            {
                "tokens": result.tokens,
                "bits_per_token": result.bits_per_token,
                "bits_per_byte": result.bits_per_byte,
            }
        )
    else:
        emit(
            f"{result.tokens} tokens: {result.bits_per_token:.4f} bits per token, "
            f"{result.bits_per_byte:.4f} bits per byte"
        )
