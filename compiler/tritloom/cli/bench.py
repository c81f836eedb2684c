"""`tritloom bench`: how fast a bundle runs, on a board or on the emulated device."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import emit, emit_json, working
from .options import Bundle, Debug, Json
from .run import Device, DeviceOption, device_argument


def bench(
    bundle: Bundle,
    tokens: Annotated[int, typer.Option("-n", "--tokens", min=1, metavar="N", help="Tokens to generate.")] = 64,
    prompt: Annotated[int, typer.Option(min=1, metavar="N", help="Tokens of the prompt.")] = 64,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Single steps, for the latency.")] = 50,
    interrupt: Annotated[bool, typer.Option("--interrupt", help="Sleep on the interrupt instead of polling.")] = False,
    device: DeviceOption = Device.auto,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Time a bundle: latency of a step, tokens per second, energy.

    On the emulated device the times are the C++ simulation's, not a board's;
    the label says so. Energy needs a board with power rails.
    """
    from tritloom.runtime import bench as measure
    from tritloom.runtime import load

    with (
        working("timing"),
        load(bundle, device=device_argument(device), wait="interrupt" if interrupt else "poll") as session,
    ):
        found = measure.bench(session, tokens, prompt, steps)
    if as_json:
        emit_json(found.document())
    else:
        emit(found.text())
