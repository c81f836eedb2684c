"""The bundle of a net on the emulated device: bit for bit the interpreter's scores, and as many initiations as
were estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..runtime import Bundle, NetSession, TritloomRuntimeError
from ..runtime.net_session import FRAMES
from .device import failed, same_bits
from .net_outputs import Outputs
from .report import Check, Figure

Array = NDArray[Any]

CYCLES: Final = 0.02
"""Initiations may differ from the estimate by this share."""


@dataclass(frozen=True)
class DeviceRun:
    """What the emulated device gave: the check, and the initiations of every stage in the last start."""

    check: Check
    initiations: Mapping[str, int]
    frames: int
    """Of the last start."""


def check_net_device(bundle: Bundle, name: str, values: Array, wanted: Outputs, build: str) -> DeviceRun:
    """Run frames through the driver; every element of every output must have the interpreter's bits."""
    from ..runtime.emulator.device import EmulatedDevice

    title = f"device, {build} build"
    device = EmulatedDevice(build=build)
    try:
        with NetSession(bundle, device) as session:
            found = session.run(list(wanted), {name: values})
    except TritloomRuntimeError as error:
        return DeviceRun(failed(title, error), {}, 0)
    counts = dict(device.net_kernel.initiations) if device.net_kernel is not None else {}
    last = (len(values) - 1) % FRAMES + 1
    return DeviceRun(_compared(title, found, wanted, len(values)), counts, last)


def _compared(title: str, found: Sequence[Array], wanted: Outputs, frames: int) -> Check:
    elements = sum(array.size for array in wanted.values())
    figures: dict[str, Figure] = {"frames": frames, "elements": elements}
    for array, (name, ours) in zip(found, wanted.items(), strict=True):
        if (difference := _difference(name, array, ours)) is not None:
            detail, wrong, findings = difference
            return Check(title, False, detail, {**figures, "wrong": wrong}, findings)
    names = ", ".join(f"'{name}'" for name in wanted)
    return Check(title, True, f"{elements:,} elements of {names}, {frames:,} frames, bit for bit", figures)


def _difference(name: str, found: Array, wanted: Array) -> tuple[str, int, list[str]] | None:
    """What is said of an output that differs, in how many frames, and the first place; None where it does not."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        text = f"'{name}' is {found.dtype} {list(found.shape)}, the interpreter has {wanted.dtype} {list(wanted.shape)}"
        return text, len(wanted), []
    found, wanted = np.ascontiguousarray(found), np.ascontiguousarray(wanted)
    if same_bits(found, wanted):
        return None
    bits = f"u{wanted.dtype.itemsize}"
    places = np.argwhere(found.view(bits) != wanted.view(bits))
    place = tuple(int(i) for i in places[0])
    frames = len(np.unique(places[:, 0]))
    first = f"frame {place[0]}, '{name}' {list(place[1:])}: device {found[place]:.9g}, interpreter {wanted[place]:.9g}"
    return f"{frames} of {len(wanted)} frames differ", frames, [first]


def check_cycles(run: DeviceRun, expected: Sequence[int], stated: float, stated_by_stages: int) -> Check:
    """Counted initiations against those estimated for as many frames.

    Args:
        run: a run of the fast build.
        expected: initiations of every stage, in the order of the region.
        stated: cycles a frame that the manifest states.
        stated_by_stages: the same by the stages of the compiled IR.
    """
    if len(run.initiations) != len(expected):
        return Check("cycles", False, "the emulated kernel counted no initiations")
    shares = [
        (abs(count - estimate) / max(estimate, 1), name, count, estimate)
        for (name, count), estimate in zip(run.initiations.items(), expected, strict=True)
    ]
    share, name, count, _ = max(shares)
    counted, slowest = max(run.initiations.values()), max(expected)
    total = abs(counted - slowest) / slowest
    figures: dict[str, Figure] = {
        "frames": run.frames,
        "counted": counted,
        "estimated": slowest,
        "difference": total,
        "largest_difference": share,
        "stage": name,
    }
    findings = [f"{n}: {c:,} initiations, estimated {e:,} ({s:.1%})" for s, n, c, e in shares if s > CYCLES]
    if stated != stated_by_stages:
        findings.append(f"the manifest states {stated:,.0f} cycles a frame, the stages take {stated_by_stages:,}")
    if findings or total > CYCLES:
        return Check("cycles", False, f"not within {CYCLES:.0%} of the estimate", figures, findings)
    largest = f"largest difference of a stage {share:.2%}, {name}: {count:,}" if share else "each stage to the cycle"
    detail = f"{counted:,} initiations over {run.frames} frames, estimated {slowest:,}; {largest}"
    return Check("cycles", True, detail, figures)
