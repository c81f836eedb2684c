"""`tritloom bench`: how fast a bundle runs, on a board or on the emulated device."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import emit, emit_json, working
from .options import Bundle, Debug, Json
from .run import Device, DeviceOption, device_argument


def bench(
    bundle: Bundle,
    count: Annotated[int, typer.Option("-n", "--count", min=1, metavar="N", help="Tokens or frames of a start.")] = 64,
    prompt: Annotated[int, typer.Option(min=1, metavar="N", help="Tokens of the prompt.")] = 64,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Single steps or frames, for the latency.")] = 50,
    interrupt: Annotated[bool, typer.Option("--interrupt", help="Sleep on the interrupt instead of polling.")] = False,
    device: DeviceOption = Device.auto,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Time a bundle: latency, tokens or frames per second, energy.

    On the emulated device the times are the C++ simulation's, not a board's;
    the label says so. Energy needs a board with power rails.
    """
    from tritloom.runtime import NetSession, load
    from tritloom.runtime.bench import Benchmark, NetBenchmark, bench_net
    from tritloom.runtime.bench import bench as bench_text

    with (
        working("timing"),
        load(bundle, device=device_argument(device), wait="interrupt" if interrupt else "poll") as session,
    ):
        found: Benchmark | NetBenchmark
        if isinstance(session, NetSession):
            found = bench_net(session, count, steps)
        else:
            found = bench_text(session, count, prompt, steps)
    if as_json:
        emit_json(found.document())
    else:
        emit(found.text())
