"""``python3 -m tritloom.runtime DIR``: look at a bundle, or generate text with it, on a board without the compiler."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import Bundle, TritloomRuntimeError, __version__, load


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tritloom.runtime", description="Run a compiled model. Text goes to stdout."
    )
    parser.add_argument("bundle", help="the folder that `tritloom compile` wrote")
    parser.add_argument("--prompt", help="generate text after this; without it the bundle is described")
    parser.add_argument("-n", type=int, default=64, metavar="N", help="tokens to generate (%(default)s)")
    parser.add_argument("--emulate", action="store_true", help="use the emulated device")
    parser.add_argument("--sample", action="store_true", help="draw tokens instead of the likeliest")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0 done, 1 failed, 2 the user's input."""
    options = _parser().parse_args(arguments)
    try:
        bundle = Bundle.open(options.bundle)
        if options.prompt is None:
            sys.stdout.write(_describe(bundle))
        else:
            _generate(bundle, options)
    except TritloomRuntimeError as error:
        if options.debug:
            raise
        hint = f"Hint: {error.hint}\n" if error.hint else ""
        sys.stderr.write(f"error: {error.message}\n{hint}")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 1
    return 0


def _describe(bundle: Bundle) -> str:
    kernel, program = bundle.kernel, bundle.program
    built = (bundle.root / "overlay" / "tritloom.bit").is_file()
    lines = {
        "model": f"{program.name} ({program.kind}, vocabulary {program.vocab})",
        "board": f"{kernel.board} ({kernel.part}, {kernel.clock_mhz:g} MHz)",
        "kernel": kernel.hash,
        "program": program.hash,
        "images": f"{sum(image.bytes for image in program.images):,} bytes",
        "memory": f"{program.contiguous_bytes:,} bytes, contiguous",
        "tokenizer": program.tokenizer.file if program.tokenizer else "none",
        "overlay": "built" if built else "not built",
    }
    return "".join(f"{name:<10} {text}\n" for name, text in lines.items())


def _generate(bundle: Bundle, options: argparse.Namespace) -> None:
    with load(bundle, "emulated" if options.emulate else None) as session:
        prompt: str | list[int] = options.prompt
        if session.tokenizer is None:
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
            sys.stdout.write(str(result))
        sys.stdout.write("\n")
        sys.stderr.write(f"{len(result.tokens)} tokens, {result.tokens_per_second:.1f} tokens/s\n")


def _token_ids(text: str) -> list[int]:
    from .errors import InputError

    try:
        return [int(word) for word in text.split()]
    except ValueError as error:
        raise InputError("the bundle has no tokenizer", "give token ids: --prompt '1 2 3'") from error


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
