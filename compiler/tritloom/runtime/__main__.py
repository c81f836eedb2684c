"""``python3 -m tritloom.runtime DIR``: a bundle on a board without the compiler: describe, generate, test, time it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from . import Bundle, InputError, NetSession, Session, TritloomRuntimeError, __version__, load
from .manifest import Program
from .net_manifest import NetProgram
from .overlay_file import check_overlay


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tritloom.runtime",
        description="Run a compiled model. Results go to stdout, progress and errors to stderr.",
        epilog="Exit codes: 0 done, 1 failed, 2 the input is at fault.",
    )
    parser.add_argument("bundle", help="the folder that `tritloom compile` wrote")
    what = parser.add_argument_group(
        "what to do; without any of these the bundle is described"
    ).add_mutually_exclusive_group()
    what.add_argument("--prompt", help="generate text after this")
    what.add_argument("--self-test", action="store_true", help="load it, and look whether the numbers are right")
    what.add_argument("--bench", action="store_true", help="latency, tokens per second, energy where there are rails")
    what.add_argument("--record", action="store_true", help="print the reference.json that --self-test compares with")
    parser.add_argument(
        "-n", type=int, default=64, metavar="N", help="tokens to generate, frames to time (%(default)s)"
    )
    parser.add_argument("--emulate", action="store_true", help="use the emulated device")
    parser.add_argument("--interrupt", action="store_true", help="sleep on the kernel's interrupt instead of polling")
    parser.add_argument("--json", action="store_true", help="with --self-test, --bench and the description")
    drawing = parser.add_argument_group("with --prompt")
    drawing.add_argument("--sample", action="store_true", help="draw tokens instead of the likeliest")
    drawing.add_argument("--temperature", type=float, default=1.0)
    drawing.add_argument("--top-k", type=int, default=0)
    drawing.add_argument("--top-p", type=float, default=1.0)
    drawing.add_argument("--seed", type=int)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0 done, 1 failed, 2 the user's input."""
    options = _parser().parse_args(arguments)
    try:
        return _run(Bundle.open(options.bundle), options)
    except TritloomRuntimeError as error:
        if options.debug:
            raise
        hint = f"Hint: {error.hint}\n" if error.hint else ""
        sys.stderr.write(f"error: {error.message}\n{hint}")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 1


def _run(bundle: Bundle, options: argparse.Namespace) -> int:
    if options.prompt is None and not (options.self_test or options.bench or options.record):
        _emit(_describe(bundle), options.json)
        return 0
    with _load(bundle, options) as session:
        if options.prompt is not None:
            if isinstance(session, NetSession):
                raise InputError(f"{session.program.name} is a feed-forward net: it generates no text")
            _generate(session, options)
        elif options.bench:
            from .bench import bench, bench_net

            result = bench_net(session, options.n) if isinstance(session, NetSession) else bench(session, options.n)
            _write(json.dumps(result.document(), indent=2) + "\n" if options.json else result.text())
        elif options.record:
            from .selftest import record

            _emit(record(session), as_json=True)
        else:
            return _self_test(session, options.json)
    return 0


def _load(bundle: Bundle, options: argparse.Namespace) -> Session | NetSession:
    shown = sys.stderr.isatty()

    def progress(name: str, done: int, total: int) -> None:
        end = "\n" if done == total else ""
        sys.stderr.write(f"\rwriting the weights: {100 * done // max(1, total)}%{end}")
        sys.stderr.flush()

    return load(
        bundle,
        "emulated" if options.emulate else None,
        wait="interrupt" if options.interrupt else "poll",
        progress=progress if shown else None,
    )


def _describe(bundle: Bundle) -> dict[str, str]:
    kernel, model = bundle.kernel, bundle.manifest.model
    try:
        check_overlay(bundle)
        overlay = "built"
    except TritloomRuntimeError as error:
        overlay = "not built" if not (bundle.root / "overlay").exists() else f"unusable: {error.message}"
    lines = _describe_net(model) if isinstance(model, NetProgram) else _describe_text(model)
    return {
        "model": lines.pop("model"),
        "board": f"{kernel.board} ({kernel.part}, {kernel.clock_mhz:g} MHz)",
        "kernel": kernel.hash,
        "program": model.hash,
        **lines,
        "memory": f"{model.contiguous_bytes:,} bytes, contiguous",
        "overlay": overlay,
    }


def _describe_text(program: Program) -> dict[str, str]:
    if program.vector is not None:
        return {
            "model": f"{program.name} (step, states: {len(program.states)})",
            "input": f"{program.inputs[0].name}, float32 ['positions', {program.vector}]",
            "output": f"{program.outputs[0].name}, float32 ['positions', {program.vocab}]",
            "images": f"{sum(image.bytes for image in program.images):,} bytes",
        }
    return {
        "model": f"{program.name} (lm, vocabulary {program.vocab})",
        "tokenizer": program.tokenizer.file if program.tokenizer else "none",
        "images": f"{sum(image.bytes for image in program.images):,} bytes",
    }


def _describe_net(program: NetProgram) -> dict[str, str]:
    ports = {"input": [program.input], "output": [output.port for output in program.outputs]}
    shapes = {
        side: "; ".join(f"{port.name}, {port.dtype} {['frames', *port.shape]}" for port in found)
        for side, found in ports.items()
    }
    return {"model": f"{program.name} (net, {len(program.stages)} stages)", **shapes}


def _emit(values: dict[str, str], as_json: bool) -> None:
    if as_json:
        _write(json.dumps(values, indent=2) + "\n")
    else:
        _write("".join(f"{name:<10} {text}\n" for name, text in values.items()))


def _self_test(session: Session | NetSession, as_json: bool) -> int:
    from .selftest import check

    checks = []
    for found in check(session):
        checks.append(found)
        if not as_json:
            _write(f"{'ok' if found.passed else 'failed':<7} {found.name}: {found.detail}\n")
    passed = all(found.passed for found in checks)
    if as_json:
        _write(json.dumps({"passed": passed, "label": session.label, "checks": [vars(c) for c in checks]}, indent=2))
        _write("\n")
    else:
        _write(f"self-test {'passed' if passed else 'failed'} ({session.label})\n")
    return 0 if passed else 1


def _generate(session: Session, options: argparse.Namespace) -> None:
    prompt: str | list[int] = options.prompt
    if session.tokenizer is None and session.vector is None:
        prompt = _token_ids(options.prompt)
    result = session.generate(
        prompt,
        options.n,
        do_sample=options.sample,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        streamer=_write,
    )
    if result.text is None:
        _write(str(result))
    _write("\n")
    sys.stderr.write(f"{len(result.tokens)} tokens, {result.tokens_per_second:.1f} tokens/s ({session.label})\n")


def _token_ids(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split()]
    except ValueError as error:
        raise InputError("the bundle has no tokenizer", "give token ids: --prompt '1 2 3'") from error


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
