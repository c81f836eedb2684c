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


def check_net_device(bundle: Bundle, name: str, values: Array, wanted: Array, build: str) -> DeviceRun:
    """Run frames through the driver; every score must have the interpreter's bits."""
    from ..runtime.emulator.device import EmulatedDevice

    title = f"device, {build} build"
    device = EmulatedDevice(build=build)
    try:
        with NetSession(bundle, device) as session:
            (found,) = session.run(None, {name: values})
    except TritloomRuntimeError as error:
        return DeviceRun(failed(title, error), {}, 0)
    found, wanted = np.ascontiguousarray(found), np.ascontiguousarray(wanted)
    counts = dict(device.net_kernel.initiations) if device.net_kernel is not None else {}
    last = (len(values) - 1) % FRAMES + 1
    return DeviceRun(_compared(title, found, wanted), counts, last)


def _compared(title: str, found: Array, wanted: Array) -> Check:
    figures: dict[str, Figure] = {"frames": len(wanted), "scores": int(wanted.size)}
    if same_bits(found, wanted):
        return Check(title, True, f"{wanted.size:,} scores of {len(wanted):,} frames, bit for bit", figures)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        text = f"{found.dtype} {list(found.shape)}, the interpreter has {wanted.dtype} {list(wanted.shape)}"
        return Check(title, False, text, figures)
    places = np.argwhere(found.view(np.uint32) != wanted.view(np.uint32))
    place = tuple(int(i) for i in places[0])
    frames = len(np.unique(places[:, 0]))
    first = f"frame {place[0]}, score {list(place[1:])}: device {found[place]:.9g}, interpreter {wanted[place]:.9g}"
    detail = f"{frames} of {len(wanted)} frames differ"
    return Check(title, False, detail, {**figures, "wrong": frames}, [first])


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
