"""The program of a feed-forward net, as its manifest states it (docs/bundle.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import BundleError
from .fields import Fields

_RECOMPILE = "compile the bundle again"
_BEATS = (4, 8, 16)
_LARGEST = 2**31


@dataclass(frozen=True)
class NetPort:
    """An input or output as the ONNX file has it: `shape` is a frame's, `axes` its axes in the order rows, columns,
    channels."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements of a frame."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class NetProgram:
    """A net whose weights are in its kernel. Sums become scores by `float32(sum) * scale[c] + offset[c]`."""

    hash: str
    kernel: str
    name: str
    input: NetPort
    output: NetPort
    stages: tuple[str, ...]
    """Names of the kernel's processes, in the order of its region."""
    channels: int
    input_bytes: int
    output_bytes: int
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    contiguous_bytes: int
    cycles_per_frame: float
    """Estimated."""


def read_net(part: Fields, stated: str, kernel_hash: str) -> NetProgram:
    """The program of a net.

    Raises:
        BundleError: a field is missing or wrong, or it is for another kernel than `kernel_hash`.
    """
    part.choice("kind", ("net",))
    estimate = part.optional_fields("estimate")
    program = NetProgram(
        hash=stated,
        kernel=part.sha256("kernel"),
        name=part.text("name"),
        input=_port(part.fields("input"), ("float32", "uint8", "int8")),
        output=_port(part.fields("output"), ("float32",)),
        stages=part.texts("stages"),
        channels=part.integer("channels", low=1, high=_LARGEST),
        input_bytes=part.integer("input_bytes", low=1, high=_LARGEST),
        output_bytes=part.integer("output_bytes", low=1, high=_LARGEST),
        scale=part.numbers("scale"),
        offset=part.numbers("offset"),
        contiguous_bytes=part.integer("contiguous_bytes"),
        cycles_per_frame=0.0 if estimate is None else max(0.0, estimate.number("cycles_per_frame")),
    )
    _check(program, kernel_hash, part.integer("beat_bytes", low=4, high=16))
    return program


def _port(part: Fields, dtypes: tuple[str, ...]) -> NetPort:
    axes = tuple(int(axis) for axis in part.numbers("axes"))
    port = NetPort(part.text("name"), part.choice("dtype", dtypes), part.shape("shape"), axes)
    if sorted(axes) != list(range(len(port.shape))):
        raise BundleError(f"manifest.json: `{part.path}.axes` are no order of its axes", _RECOMPILE)
    return port


def _check(program: NetProgram, kernel_hash: str, beat: int) -> None:
    if program.kernel != kernel_hash:
        raise BundleError(
            f"the net was compiled for kernel {program.kernel[:12]}, the bundle's kernel is {kernel_hash[:12]}",
            _RECOMPILE,
        )
    size = {"float32": 4, "uint8": 1, "int8": 1}[program.input.dtype]
    needed = {"input_bytes": program.input.size * size, "output_bytes": program.output.size * 4}
    for name, least in needed.items():
        if beat not in _BEATS or getattr(program, name) != -(-least // beat) * beat:
            raise BundleError(f"manifest.json: `program.{name}` is not {least} bytes in whole beats", _RECOMPILE)
    channels = program.channels
    if program.output.size % channels or {len(program.scale), len(program.offset)} != {channels}:
        raise BundleError(f"manifest.json: the scores do not have {channels} channels", _RECOMPILE)
