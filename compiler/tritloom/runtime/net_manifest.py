"""The program of a feed-forward net, as its manifest states it (docs/bundle.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .activations import FUNCTIONS, OVER_CHANNELS
from .errors import BundleError
from .fields import Fields

_RECOMPILE = "compile the bundle again"
_BEATS = (4, 8, 16)
_LARGEST = 2**31
_INT64 = 2**63
_SIZES = {"float32": 4, "uint8": 1, "int8": 1}
"""Bytes of an input's elements."""
_FLOATS = ("float16", "float32", "float64")
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


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
class Kept:
    """What the kernel keeps of each vector: the indices of the k best channels, or pairs of index and sum."""

    k: int
    sums: bool

    @property
    def words(self) -> int:
        return self.k * (2 if self.sums else 1)


@dataclass(frozen=True)
class Rank:
    """The k best channels of sums, by keys `sum * multiplier[c] + bias[c]`, tables of every channel or one for all.

    Of equal keys the lower index goes first, with `last` the higher one.
    """

    k: int
    last: bool
    multiplier: tuple[int, ...]
    bias: tuple[int, ...]


@dataclass(frozen=True)
class NetOutput:
    """An output: the scores of all channels, or the indices or values of the best ones.

    Sums become scores by `float32(sum) * scale[c] + offset[c]`; `function` is then applied (`activations.py`).
    """

    port: NetPort
    value: str
    function: str | None = None
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    rank: Rank | None = None
    """None where nothing is ranked, or the kernel has done it."""


@dataclass(frozen=True)
class NetProgram:
    """A net whose weights are in its kernel, and what the host makes of what the kernel writes."""

    hash: str
    kernel: str
    name: str
    input: NetPort
    outputs: tuple[NetOutput, ...]
    stages: tuple[str, ...]
    """Names of the kernel's processes, in the order of its region."""
    vectors: int
    """Of a frame, as the last layer gives them: 1, or one for each pixel."""
    channels: int
    kept: Kept | None
    """None where the kernel writes the sums of all channels."""
    input_bytes: int
    output_bytes: int
    contiguous_bytes: int
    cycles_per_frame: float
    """Estimated."""

    @property
    def words(self) -> int:
        """int32 numbers that the kernel writes a frame."""
        return self.vectors * (self.channels if self.kept is None else self.kept.words)


def read_net(part: Fields, stated: str, kernel_hash: str) -> NetProgram:
    """The program of a net.

    Raises:
        BundleError: a field is missing or wrong, or it is for another kernel than `kernel_hash`.
    """
    part.choice("kind", ("net",))
    estimate, kept = part.optional_fields("estimate"), part.optional_fields("kept")
    channels = part.integer("channels", low=1, high=_LARGEST)
    program = NetProgram(
        hash=stated,
        kernel=part.sha256("kernel"),
        name=part.text("name"),
        input=_port(part.fields("input"), tuple(_SIZES)),
        outputs=tuple(_output(output, channels) for output in part.items("outputs")),
        stages=part.texts("stages"),
        vectors=part.integer("vectors", low=1, high=_LARGEST),
        channels=channels,
        kept=None if kept is None else Kept(kept.integer("k", low=1, high=channels), kept.flag("sums")),
        input_bytes=part.integer("input_bytes", low=1, high=_LARGEST),
        output_bytes=part.integer("output_bytes", low=1, high=_LARGEST),
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


def _output(part: Fields, channels: int) -> NetOutput:
    value, rank = part.choice("value", ("scores", "values", "indices")), part.optional_fields("rank")
    ranked = None if rank is None else _rank(rank, channels)
    if value == "indices":
        return NetOutput(_port(part, _INTEGERS), value, rank=ranked)
    function = None if part.raw.get("function") is None else part.choice("function", tuple(FUNCTIONS))
    scale, offset = part.numbers("scale"), part.numbers("offset")
    if {len(scale), len(offset)} != {channels}:
        raise BundleError(f"manifest.json: `{part.path}` does not have {channels} channels", _RECOMPILE)
    return NetOutput(_port(part, (*_FLOATS, *_INTEGERS)), value, function, scale, offset, ranked)


def _rank(part: Fields, channels: int) -> Rank:
    tables = [part.integers(name, low=-_INT64, high=_INT64 - 1) for name in ("multiplier", "bias")]
    found = Rank(part.integer("k", low=1, high=channels), part.flag("last"), *tables)
    if {len(table) for table in tables} - {1, channels}:
        raise BundleError(f"manifest.json: `{part.path}` has no keys of {channels} channels", _RECOMPILE)
    return found


def _check(program: NetProgram, kernel_hash: str, beat: int) -> None:
    if program.kernel != kernel_hash:
        raise BundleError(
            f"the net was compiled for kernel {program.kernel[:12]}, the bundle's kernel is {kernel_hash[:12]}",
            _RECOMPILE,
        )
    needed = {
        "input_bytes": program.input.size * _SIZES[program.input.dtype],
        "output_bytes": program.words * 4,
    }
    for name, least in needed.items():
        if beat not in _BEATS or getattr(program, name) != -(-least // beat) * beat:
            raise BundleError(f"manifest.json: `program.{name}` is not {least} bytes in whole beats", _RECOMPILE)
    names = [output.port.name for output in program.outputs]
    if not names or len(set(names)) < len(names):
        raise BundleError(f"manifest.json: the outputs are {names}", _RECOMPILE)
    for output in program.outputs:
        if not _can_be_made(program, output):
            raise BundleError(f"manifest.json: output '{output.port.name}' cannot be made of the sums", _RECOMPILE)


def _can_be_made(program: NetProgram, output: NetOutput) -> bool:
    """Whether the kernel writes what an output takes, and its shape holds what it gives."""
    if program.kept is None:
        if (output.rank is None) != (output.value == "scores"):
            return False
        each = program.channels if output.rank is None else output.rank.k
        return output.port.size == program.vectors * each
    if output.rank is not None or output.value == "scores" or output.function in OVER_CHANNELS:
        return False
    has_sums = program.kept.sums or output.value == "indices"
    return has_sums and output.port.size == program.vectors * program.kept.k
