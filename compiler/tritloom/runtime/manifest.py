"""The manifest of a bundle (docs/bundle.md) as typed, checked records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import BundleError
from .fields import Fields
from .kernel_manifest import Kernel, Limits, check_hash, read_kernel
from .net_manifest import NetProgram, read_net

SCHEMA = 1
_RECOMPILE = "compile the bundle again"


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
class Embedding:
    """The rows that tokens are the numbers of: the embedding table, or what vectors are fed through."""

    rows: int
    row_bytes: int


@dataclass(frozen=True)
class Program:
    """A step compiled for one kernel: a language model (kind lm), or one that is fed with vectors of floats."""

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
    embedding: Embedding
    max_batch: int
    contiguous_bytes: int
    tokenizer: TokenizerFile | None
    cycles_per_token: float
    """Estimated."""

    @property
    def vector(self) -> int | None:
        """Floats of the vector that feeds the step; None where a token does."""
        return math.prod(self.inputs[0].shape) if self.kind == "vectors" else None

    def image(self, name: str) -> Image:
        """The image of that name; `Manifest.parse` has checked that every argument has one."""
        return next(image for image in self.images if image.name == name)


@dataclass(frozen=True)
class Manifest:
    """A whole manifest.json; `files` maps relative paths to sha256."""

    generator: str
    kernel: Kernel
    model: Program | NetProgram
    files: Mapping[str, str]

    @property
    def program(self) -> Program:
        """The program of a language model.

        Raises:
            BundleError: the model is a feed-forward net.
        """
        if isinstance(self.model, NetProgram):
            raise BundleError(f"{self.model.name} is a feed-forward net, no language model", "use `tritloom run`")
        return self.model

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
        kernel = read_kernel(root.fields("kernel"))
        model: Program | NetProgram
        if kernel.limits is None:
            part = root.fields("program")
            model = read_net(part, check_hash(part), kernel.hash)
        else:
            model = _program(root.fields("program"), kernel, kernel.limits)
        files = root.fields("files")
        hashes = {name: files.sha256(name) for name in files.raw}
        return Manifest(root.text("generator"), kernel, model, hashes)


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


def _program(part: Fields, kernel: Kernel, limits: Limits) -> Program:
    stated = check_hash(part)
    states = tuple(
        StateTensor(item.text("input"), item.text("output"), item.shape("shape"), item.integer("offset"))
        for item in part.items("states")
        if item.choice("initial", ("zeros",))
    )
    program = Program(
        hash=stated,
        kernel=part.sha256("kernel"),
        kind=part.choice("kind", ("lm", "vectors")),
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
        embedding=_embedding(part.fields("embedding")),
        max_batch=part.integer("max_batch", low=1, high=limits.batch),
        contiguous_bytes=part.integer("contiguous_bytes"),
        tokenizer=_tokenizer(part.optional_fields("tokenizer")),
        cycles_per_token=_cycles(part.optional_fields("estimate")),
    )
    _check_program(program, kernel, limits)
    return program


def _tensors(part: Fields, key: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(item.text("name"), item.text("dtype"), item.shape("shape")) for item in part.items(key))


def _embedding(part: Fields) -> Embedding:
    return Embedding(part.integer("rows", low=1, high=2**31), part.integer("row_bytes", low=16, high=2**24))


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


def _check_program(program: Program, kernel: Kernel, limits: Limits) -> None:
    if program.kernel != kernel.hash:
        raise BundleError(
            f"the program was compiled for kernel {program.kernel[:12]}, the bundle's kernel is {kernel.hash[:12]}",
            "compile the model for this kernel: `tritloom compile --overlay DIR`",
        )
    rows, row_bytes = program.embedding.rows, program.embedding.row_bytes
    needed = {
        "gains": program.gain_beats * 16,
        "embedding": rows * row_bytes,
        "program": program.instructions * 64,
    }
    port_bytes = program.port_beats * limits.port_bits // 8
    needed |= {f"port{p}": port_bytes for p in range(limits.ports)}
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
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise BundleError("manifest.json: a step has one input and one output", _RECOMPILE)
    if program.kind == "lm" and rows < program.vocab:
        raise BundleError("manifest.json: a language model has a row of the embedding for each token", _RECOMPILE)
    source = program.inputs[0]
    if program.kind == "vectors" and (source.dtype != "float32" or row_bytes != -(-math.prod(source.shape) // 4) * 16):
        raise BundleError("manifest.json: a row holds the vector of floats that is the input", _RECOMPILE)
