"""`tritloom generate` and `tritloom run`: a bundle on a board or on the emulated device."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tritloom.errors import InputError

from .console import emit_json, note, working
from .options import Bundle, Debug, Json

if TYPE_CHECKING:
    import numpy.typing as npt

BOARD_SIGNS = (Path("/sys/class/fpga_manager/fpga0"), Path("/sys/bus/pci/drivers/xocl"))
"""What Linux has where there is a Zynq, and where there is an Alveo card."""


class Device(StrEnum):
    """Where a bundle runs."""

    auto = "auto"
    board = "board"
    emulated = "emulated"


DeviceOption = Annotated[
    Device, typer.Option(help="The board's fabric, or the emulated device; auto takes the board where there is one.")
]


def device_argument(device: Device) -> Literal["emulated"] | None:
    """What tritloom.runtime.load takes: None is the board."""
    on_board = device is Device.board or (device is Device.auto and any(sign.exists() for sign in BOARD_SIGNS))
    return None if on_board else "emulated"


def generate(
    bundle: Bundle,
    prompt: Annotated[str, typer.Option(help="Text to continue.")],
    count: Annotated[int, typer.Option("-n", "--max-new-tokens", min=1, metavar="N", help="Tokens to generate.")] = 64,
    sample: Annotated[bool, typer.Option("--sample", help="Sample; otherwise the likeliest token is taken.")] = False,
    temperature: Annotated[float, typer.Option(min=0.01, help="With --sample: higher is wilder.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="With --sample: only the K likeliest; 0 is all.")] = 0,
    top_p: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="With --sample: the likeliest that add up to P.")
    ] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="With --sample: the same seed, the same text.")] = None,
    device: DeviceOption = Device.auto,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Continue a prompt: the text appears on stdout as it is generated."""
    from tritloom.runtime import open_session

    where = device_argument(device)
    with working("loading the bundle"):
        session = open_session(bundle, device=where)
    with session:
        known = session.tokenizer is not None or session.vector is not None
        start = prompt if known else token_ids(prompt)
        echo = _Echo(prompt)
        result = session.generate(
            start,
            max_new_tokens=count,
            do_sample=sample,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            streamer=None if as_json else echo.write,
        )
    speed = result.tokens_per_second
    if as_json:
        emit_json(
            {
                "prompt": prompt,
                "text": result.text,
                "tokens": [int(token) for token in result.tokens],
                "tokens_per_second": round(speed, 2),
                "label": session.label,
            }
        )
        return
    echo.write("\n" if result.text is not None else f" {' '.join(map(str, result.tokens))}\n")
    note(f"{len(result.tokens)} tokens, {speed:.1f} tokens/s ({session.label})")


def token_ids(text: str) -> list[int]:
    """The prompt of a model that came without a tokenizer: numbers."""
    try:
        return [int(word) for word in text.split()]
    except ValueError as error:
        raise InputError("the bundle has no tokenizer", "give token ids: --prompt '1 2 3'") from error


class _Echo:
    """Writes text to stdout, behind the prompt: nothing appears where the prompt is refused."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt

    def write(self, text: str) -> None:
        sys.stdout.write(self._prompt + text)
        sys.stdout.flush()
        self._prompt = ""


def run(
    bundle: Bundle,
    inputs: Annotated[
        Path, typer.Option("--inputs", metavar="IN.npz", exists=True, dir_okay=False, help="Arrays by input name.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.npz", dir_okay=False, help="Where the outputs go.")
    ],
    device: DeviceOption = Device.auto,
    debug: Debug = False,
) -> None:
    """Run a bundle on arrays; a language model takes input_ids of T tokens, another step its vectors [T, n], and both
    return a row for each."""
    import numpy as np

    from tritloom.runtime import load

    if output.exists() and output.samefile(inputs):
        raise InputError(f"{output} holds the inputs: it would be overwritten", "give another file with -o")
    feeds = _read(inputs)
    with working("running"), load(bundle, device=device_argument(device)) as session:
        names = [tensor.name for tensor in session.get_outputs()]
        results = session.run(names, feeds)
    with output.open("wb") as stream:
        np.savez(stream, **dict(zip(names, results, strict=True)))
    for name, array in zip(names, results, strict=True):
        note(f"{name}: {array.dtype} {list(array.shape)}")


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file."""
    import zipfile

    import numpy as np

    try:
        loaded = np.load(path)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InputError(f"{path} holds one array without a name", "write it with numpy.savez(path, name=array)")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not an .npz file: {error}", "write it with numpy.savez(path, input_ids=...)"
        ) from error
