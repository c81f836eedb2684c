"""The manifest of a bundle (docs/bundle.md) as typed, checked records."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BundleError
from .fields import Fields

SCHEMA = 1
VLNV = "xilinx.com:hls:tritloom:1.0"
NUMERICS = 1
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
    limits: Limits
    args: tuple[Argument, ...]


@dataclass(frozen=True)
class Tensor:
    """An input or output of the model, as its ONNX file has it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class StateTensor:
    """A piece of state: `offset` is in floats of the state buffer; the initial value is zeros."""

    input: str
    output: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Floats."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Image:
    """A file of the bundle that goes into device memory."""

    name: str
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TokenizerFile:
    """The tokenizer that came with a model, and its special tokens."""

    file: str
    sha256: str
    bos: int | None
    eos: int | None


@dataclass(frozen=True)
class Program:
    """A model compiled for one kernel."""

    hash: str
    kernel: str
    kind: str
    name: str
    vocab: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    states: tuple[StateTensor, ...]
    state_words: int
    instructions: int
    port_beats: int
    gain_beats: int
    logits_stride: int
    images: tuple[Image, ...]
    max_batch: int
    contiguous_bytes: int
    tokenizer: TokenizerFile | None
    cycles_per_token: float
    """Estimated."""

    def image(self, name: str) -> Image:
        """The image of that name; `Manifest.parse` has checked that every argument has one."""
        return next(image for image in self.images if image.name == name)


@dataclass(frozen=True)
class Manifest:
    """A whole manifest.json; `files` maps relative paths to sha256."""

    generator: str
    kernel: Kernel
    program: Program
    files: Mapping[str, str]

    @staticmethod
    def read(path: Path) -> Manifest:
        """Read and check a manifest.

        Raises:
            BundleError: no such file, not JSON, another schema, a field that is missing or wrong,
                a hash that does not match, or a program for another kernel.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        except OSError as error:
            raise BundleError(
                f"{path}: {error.strerror or error}", "give the folder that `tritloom compile` wrote"
            ) from error
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path}: not a JSON document ({error})", _RECOMPILE) from error
        return Manifest.parse(document)

    @staticmethod
    def parse(document: object) -> Manifest:
        """Check a manifest that has been read (see `read`)."""
        root = Fields(document, "")
        _check_schema(root)
        kernel = _kernel(root.fields("kernel"))
        program = _program(root.fields("program"), kernel)
        files = root.fields("files")
        hashes = {name: files.sha256(name) for name in files.raw}
        return Manifest(root.text("generator"), kernel, program, hashes)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_schema(root: Fields) -> None:
    schema = root.integer("schema", low=0)
    if schema < SCHEMA:
        raise BundleError(
            f"the bundle has schema {schema}; this runtime reads schema {SCHEMA}",
            "compile the model again with a present tritloom",
        )
    if schema > SCHEMA:
        raise BundleError(
            f"the bundle has schema {schema}; this runtime reads schema {SCHEMA}",
            "upgrade tritloom-runtime on this machine",
        )


def _check_hash(part: Fields) -> str:
    stated = part.sha256("hash")
    if canonical_hash(part.raw) != stated:
        raise BundleError(
            f"manifest.json: the hash of `{part.path}` does not match its content",
            f"the file was changed after it was written: {_RECOMPILE}",
        )
    return stated


def _kernel(part: Fields) -> Kernel:
    stated = _check_hash(part)
    encoding = part.fields("encoding")
    found = (encoding.text("name"), encoding.integer("version"), encoding.sha256("sha256"))
    numerics = part.integer("numerics")
    if found != ENCODING or numerics != NUMERICS:
        raise BundleError(
            f"the kernel has weight encoding {found[0]} version {found[1]} and numerics version"
            f" {numerics}; this runtime knows {ENCODING[0]} version {ENCODING[1]} and numerics {NUMERICS}",
            "use the runtime of the tritloom that compiled the bundle",
        )
    limits = part.fields("limits")
    names = [field.name for field in dataclasses.fields(Limits)]
    kernel = Kernel(
        hash=stated,
        vlnv=part.text("vlnv"),
        board=part.text("board"),
        part=part.text("part"),
        family=part.choice("family", ("zynq", "zynqmp", "alveo")),
        clock_mhz=part.number("clock_mhz"),
        limits=Limits(*(limits.integer(name, low=1, high=2**31) for name in names)),
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


def _check_kernel(kernel: Kernel) -> None:
    if kernel.vlnv != VLNV:
        raise BundleError(
            f"the kernel is {kernel.vlnv}; this runtime drives {VLNV}",
            "use the runtime of the tritloom that compiled the bundle",
        )
    if not 0 < kernel.clock_mhz < 10_000 or not math.isfinite(kernel.clock_mhz):
        raise BundleError(f"manifest.json: a clock of {kernel.clock_mhz} MHz", _RECOMPILE)
    if kernel.limits.ports > 32 or kernel.limits.port_bits % 128:
        raise BundleError("manifest.json: `kernel.limits` has impossible ports", _RECOMPILE)
    found = {(arg.name, arg.kind, arg.bits) for arg in kernel.args}
    wanted = {(arg.name, arg.kind, arg.bits) for arg in kernel_arguments(kernel.limits.ports)}
    if found != wanted or len(kernel.args) != len(wanted):
        names = sorted({name for name, _, _ in found ^ wanted}) or ["(one is there twice)"]
        raise BundleError(
            "manifest.json: `kernel.args` are not those of the engine kernel: " + ", ".join(names),
            _RECOMPILE,
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


def _program(part: Fields, kernel: Kernel) -> Program:
    stated = _check_hash(part)
    limits = kernel.limits
    states = tuple(
        StateTensor(item.text("input"), item.text("output"), item.shape("shape"), item.integer("offset"))
        for item in part.items("states")
        if item.choice("initial", ("zeros",))
    )
    program = Program(
        hash=stated,
        kernel=part.sha256("kernel"),
        kind=part.choice("kind", ("lm",)),
        name=part.text("name"),
        vocab=part.integer("vocab", low=1, high=2**31),
        inputs=_tensors(part, "inputs"),
        outputs=_tensors(part, "outputs"),
        states=states,
        state_words=part.integer("state_words", high=limits.state_words),
        instructions=part.integer("instructions", low=1, high=limits.program_max),
        port_beats=part.integer("port_beats", high=2**32 - 1),
        gain_beats=part.integer("gain_beats", high=2**32 - 1),
        logits_stride=part.integer("logits_stride", low=4, high=2**31),
        images=_images(part),
        max_batch=part.integer("max_batch", low=1, high=limits.batch),
        contiguous_bytes=part.integer("contiguous_bytes"),
        tokenizer=_tokenizer(part.optional_fields("tokenizer")),
        cycles_per_token=_cycles(part.optional_fields("estimate")),
    )
    _check_program(program, kernel, part.fields("embedding"))
    return program


def _tensors(part: Fields, key: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(item.text("name"), item.text("dtype"), item.shape("shape")) for item in part.items(key))


def _images(part: Fields) -> tuple[Image, ...]:
    return tuple(
        Image(item.text("name"), item.text("file"), item.integer("bytes"), item.sha256("sha256"))
        for item in part.items("images")
    )


def _tokenizer(part: Fields | None) -> TokenizerFile | None:
    if part is None:
        return None
    bos, eos = part.optional_integer("bos"), part.optional_integer("eos")
    return TokenizerFile(part.text("file"), part.sha256("sha256"), bos, eos)


def _cycles(part: Fields | None) -> float:
    return 0.0 if part is None else max(0.0, part.number("cycles_per_token"))


def _check_program(program: Program, kernel: Kernel, embedding: Fields) -> None:
    if program.kernel != kernel.hash:
        raise BundleError(
            f"the program was compiled for kernel {program.kernel[:12]}, the bundle's kernel is {kernel.hash[:12]}",
            "compile the model for this kernel: `tritloom compile --overlay DIR`",
        )
    rows = embedding.integer("rows", low=1, high=2**31)
    row_bytes = embedding.integer("row_bytes", low=16, high=2**24)
    needed = {
        "gains": program.gain_beats * 16,
        "embedding": rows * row_bytes,
        "program": program.instructions * 64,
    }
    port_bytes = program.port_beats * kernel.limits.port_bits // 8
    needed |= {f"port{p}": port_bytes for p in range(kernel.limits.ports)}
    sizes = {image.name: image.bytes for image in program.images}
    if sizes.keys() != needed.keys() or len(program.images) != len(sizes):
        raise BundleError("manifest.json: the images should be " + ", ".join(sorted(needed)), _RECOMPILE)
    for name, size in needed.items():
        if sizes[name] < max(size, 1):
            raise BundleError(f"manifest.json: image `{name}` has {sizes[name]} bytes, {size} are needed", _RECOMPILE)
    for state in program.states:
        if state.offset + state.size > program.state_words:
            raise BundleError(f"manifest.json: state `{state.input}` lies outside the state", _RECOMPILE)
    if program.logits_stride < program.vocab or program.logits_stride % 4 or row_bytes % 16:
        raise BundleError("manifest.json: logits_stride or row_bytes is impossible", _RECOMPILE)
    if len(program.inputs) != 1 or len(program.outputs) != 1 or rows < program.vocab:
        raise BundleError(
            "manifest.json: a language model has one input, one output and a row of the embedding for each token",
            _RECOMPILE,
        )
