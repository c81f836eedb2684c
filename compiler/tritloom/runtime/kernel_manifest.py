"""The kernel of a bundle: what a bitstream is, as its manifest states it (docs/bundle.md)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BundleError
from .fields import Fields

VLNV = "xilinx.com:hls:tritloom:1.0"
NET_VLNV = "xilinx.com:hls:tritloom_flow:1.0"
NUMERICS = 2
ENCODING = (
    "escape5",
    1,
    "a095b6ea1ddaba3cb2b0e5c3ded7a9e484f9115c06e0ec0e419070fe1b1a39e2",
)
_RECOMPILE = "compile the bundle again"


def canonical_hash(obj: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of `obj` without its member ``hash``.

    Canonical: sorted keys, separators ``,`` and ``:``, ASCII with ``\\u`` escapes, floats as Python's
    ``repr`` gives them.

    Raises:
        ValueError: `obj` holds NaN or an infinity.
    """
    content = {key: value for key, value in obj.items() if key != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Argument:
    """An argument of the kernel: `kind` is pointer, in or out; `bits` its width in registers."""

    name: str
    kind: str
    bits: int


@dataclass(frozen=True)
class Limits:
    """The compile-time limits of a kernel, its FIFOs apart (docs/kernel.md)."""

    ports: int
    port_bits: int
    slices: int
    batch: int
    lanes: int
    k_max: int
    code_slots: int
    vector_words: int
    state_words: int
    program_max: int
    topk: int


@dataclass(frozen=True)
class Kernel:
    """What a bitstream is."""

    hash: str
    vlnv: str
    board: str
    part: str
    family: str
    clock_mhz: float
    args: tuple[Argument, ...]
    limits: Limits | None
    """Of the engine; None for a net's kernel, which has its weights and nothing else to say."""

    @property
    def engine(self) -> Limits:
        """The limits of the engine.

        Raises:
            BundleError: this is the kernel of a feed-forward net.
        """
        if self.limits is None:
            raise BundleError("the kernel is a feed-forward net's: it runs no program", "use `tritloom run`")
        return self.limits


def check_hash(part: Fields) -> str:
    """The hash that a part of the manifest states.

    Raises:
        BundleError: its content has another.
    """
    stated = part.sha256("hash")
    if canonical_hash(part.raw) != stated:
        raise BundleError(
            f"manifest.json: the hash of `{part.path}` does not match its content",
            f"the file was changed after it was written: {_RECOMPILE}",
        )
    return stated


def read_kernel(part: Fields) -> Kernel:
    """The kernel that a manifest describes.

    Raises:
        BundleError: a field is missing or wrong, the hash does not match, or this runtime does not know the kernel.
    """
    stated = check_hash(part)
    vlnv = part.text("vlnv")
    if vlnv not in (VLNV, NET_VLNV):
        raise BundleError(
            f"the kernel is {vlnv}; this runtime drives {VLNV} and {NET_VLNV}",
            "use the runtime of the tritloom that compiled the bundle",
        )
    _check_numerics(part, with_encoding=vlnv == VLNV)
    kernel = Kernel(
        hash=stated,
        vlnv=vlnv,
        board=part.text("board"),
        part=part.text("part"),
        family=part.choice("family", ("zynq", "zynqmp", "alveo")),
        clock_mhz=part.number("clock_mhz"),
        limits=_limits(part.fields("limits")) if vlnv == VLNV else None,
        args=tuple(
            Argument(
                item.text("name"),
                item.choice("kind", ("pointer", "in", "out")),
                item.integer("bits", low=32, high=64),
            )
            for item in part.items("args")
        ),
    )
    _check_kernel(kernel)
    return kernel


def _limits(limits: Fields) -> Limits:
    names = [field.name for field in dataclasses.fields(Limits)]
    return Limits(*(limits.integer(name, low=1, high=2**31) for name in names))


def _check_numerics(part: Fields, with_encoding: bool) -> None:
    """Refuse numbers or an encoding of weights that this runtime does not know. A net's weights are in its kernel."""
    found = ENCODING
    if with_encoding:
        encoding = part.fields("encoding")
        found = (encoding.text("name"), encoding.integer("version"), encoding.sha256("sha256"))
    numerics = part.integer("numerics")
    if found != ENCODING or numerics != NUMERICS:
        raise BundleError(
            f"the kernel has weight encoding {found[0]} version {found[1]} and numerics version"
            f" {numerics}; this runtime knows {ENCODING[0]} version {ENCODING[1]} and numerics {NUMERICS}",
            "use the runtime of the tritloom that compiled the bundle",
        )


def _check_kernel(kernel: Kernel) -> None:
    if not 0 < kernel.clock_mhz < 10_000 or not math.isfinite(kernel.clock_mhz):
        raise BundleError(f"manifest.json: a clock of {kernel.clock_mhz} MHz", _RECOMPILE)
    if kernel.limits is not None and (kernel.limits.ports > 32 or kernel.limits.port_bits % 128):
        raise BundleError("manifest.json: `kernel.limits` has impossible ports", _RECOMPILE)
    expected = net_arguments() if kernel.limits is None else kernel_arguments(kernel.limits.ports)
    found = {(arg.name, arg.kind, arg.bits) for arg in kernel.args}
    wanted = {(arg.name, arg.kind, arg.bits) for arg in expected}
    if found != wanted or len(kernel.args) != len(wanted):
        names = sorted({name for name, _, _ in found ^ wanted}) or ["(one is there twice)"]
        whose = "a net's kernel" if kernel.limits is None else "the engine kernel"
        raise BundleError(
            f"manifest.json: `kernel.args` are not those of {whose}: " + ", ".join(names),
            _RECOMPILE,
        )


def net_arguments() -> tuple[Argument, ...]:
    """The arguments of a feed-forward net's kernel, in order (docs/dataflow.md)."""
    return (
        Argument("input", "pointer", 64),
        Argument("output", "pointer", 64),
        Argument("frames", "in", 32),
        Argument("status", "out", 32),
        Argument("cycles", "out", 64),
    )


def kernel_arguments(ports: int) -> tuple[Argument, ...]:
    """The arguments of the engine kernel, in order (docs/kernel.md)."""
    pointers = [f"port{p}" for p in range(ports)] + [
        *("gains", "ctl_governor", "program", "embedding", "state"),
        *("tokens", "tokens_out", "logits", "topk", "ctl"),
    ]
    scalars = ["mode", "T", "B", "N", "stop_token", "instructions", "port_beats", "gain_beats"]
    return (
        *(Argument(name, "pointer", 64) for name in pointers),
        *(Argument(name, "in", 32) for name in scalars),
        *(Argument(name, "out", 32) for name in ("status", "count")),
        *(Argument(name, "out", 64) for name in ("cycles", "busy", "starved", "waiting")),
    )
