"""What the kernel reads from memory: port images, gain image, embedding table, program (docs/encoding.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import TritloomError
from ..ir import engine, tern
from ..ir.encoding import ZERO_BYTE, pack_linear, pad_page
from ..ir.kernel import KernelLimits
from ..ir.mlir import ModuleOp, Operation
from ..ir.store import WeightStore

_IO_BYTES = 16
_GOLDEN_RATIO = 0x9E3779B1
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class Images:
    """Images by name, padded to whole pages, and the beats that the kernel streams of them."""

    data: dict[str, bytes]
    port_beats: int
    gain_beats: int
    embedding_format: str
    embedding_rows: int
    embedding_row_bytes: int


def interleave_halves(rows: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Rows u_0, v_0, u_1, v_1, ... of a matrix or vector that holds u's rows and then v's: what *swiglu* takes."""
    u, v = np.split(rows, 2)
    return np.stack([u, v], axis=1).reshape(rows.shape)


def gain_values(
    op: Operation, module: ModuleOp, store: WeightStore
) -> list[tuple[engine.GainVector, NDArray[np.float32]]]:
    """The vectors that an instruction takes from the gain image. Sums of trits are int32, seen as float32."""
    found = []
    for vector in engine.gain_vectors(op):
        if vector.kind is engine.GainKind.ROW_SUMS:
            values = store.matrix(module, vector.symbol).sum(axis=1, dtype=np.int32).view(np.float32)
        else:
            values = store.vector(module, vector.symbol)
        if isinstance(op, engine.LinearOp) and op.kind is engine.EpilogueKind.SWIGLU:
            values = interleave_halves(values)
        found.append((vector, values))
    return found


def _port_images(
    entries: list[engine.ProgramEntry], module: ModuleOp, store: WeightStore, limits: KernelLimits
) -> list[bytes]:
    runs: list[list[bytes]] = [[] for _ in range(limits.ports)]
    for entry in entries:
        if not isinstance(entry.op, engine.LinearOp):
            continue
        trits = store.matrix(module, entry.op.weight.root_reference.data)
        if entry.op.kind is engine.EpilogueKind.SWIGLU:
            trits = interleave_halves(trits)
        for run, image in zip(runs, pack_linear(trits, limits.slices, limits.ports), strict=True):
            run.append(image)
    return [b"".join(run) for run in runs]


def _words(vector: NDArray[np.float32], lanes: int) -> NDArray[np.float32]:
    """A vector zero padded to whole words [words, lanes]."""
    return np.pad(vector, (0, -len(vector) % lanes)).reshape(-1, lanes)


def _gain_image(entries: list[engine.ProgramEntry], module: ModuleOp, store: WeightStore, lanes: int) -> bytes:
    parts = []
    for entry in entries:
        vectors = [_words(values, lanes) for _, values in gain_values(entry.op, module, store)]
        if vectors:
            parts.append(np.stack(vectors, axis=1).astype("<f4").tobytes())
    return b"".join(parts)


def _embedding(module: ModuleOp, store: WeightStore) -> tuple[str, NDArray[np.uint8]]:
    """Format and rows of the memory that a step's token picks a row of: the embedding table, or what vectors are fed
    through."""
    received = next((op for op in engine.instruction_ops(module) if isinstance(op, engine.ReceiveOp)), None)
    if received is None:
        table = next(op for op in module.ops if isinstance(op, tern.TableOp))
        form, values = table.format.data, np.ascontiguousarray(store.table(table.sym_name.data))
    else:
        form, values = "f32", _example_rows(received.rows.value.data, engine.engine_length(received.result))
    rows = values.view(np.uint8).reshape(len(values), -1)
    return form, np.pad(rows, ((0, 0), (0, -rows.shape[1] % _IO_BYTES)))


def _example_rows(rows: int, length: int) -> NDArray[np.float32]:
    """Vectors from -2 to 2 for the C simulation, the same everywhere; the runtime writes its own over them."""
    numbers = np.arange(rows * length, dtype=np.uint32) * np.uint32(_GOLDEN_RATIO)
    return (numbers.view(np.int32).astype(np.float32) * np.float32(2.0**-30)).reshape(rows, length)


def _check_lengths(entries: list[engine.ProgramEntry], ports: list[bytes], gains: bytes, limits: KernelLimits) -> None:
    """The images must be as long as what the program takes of them: the kernel would hang otherwise.

    Raises:
        TritloomError: they are not, a fault of the compiler.
    """
    beats = sum(engine.port_beats(entry.op, limits.slices) for entry in entries)
    words = sum(engine.gain_words(entry.op, limits.lanes) for entry in entries)
    wanted = [beats * limits.port_bits // 8] * limits.ports + [words * limits.lanes * 4]
    if (made := [len(image) for image in [*ports, gains]]) != wanted:
        raise TritloomError(f"images of {made} bytes for a program that takes {wanted}", "Report this with the model.")


def build_images(module: ModuleOp, store: WeightStore, limits: KernelLimits) -> Images:
    """All images of a scheduled module.

    Raises:
        TritloomError: an image is not as long as what the program takes of it.
    """
    entries = engine.assemble(module)
    ports = _port_images(entries, module, store, limits)
    gains = _gain_image(entries, module, store, limits.lanes)
    _check_lengths(entries, ports, gains, limits)
    form, embedding = _embedding(module, store)
    data = {f"port{index}": pad_page(image, ZERO_BYTE) for index, image in enumerate(ports)}
    data["gains"] = pad_page(gains, 0)
    data["embedding"] = pad_page(embedding.tobytes(), 0)
    data["program"] = pad_page(b"".join(entry.instruction.encode() for entry in entries), 0)
    return Images(
        data,
        port_beats=len(ports[0]) * 8 // limits.port_bits,
        gain_beats=len(gains) // _IO_BYTES,
        embedding_format=form,
        embedding_rows=embedding.shape[0],
        embedding_row_bytes=embedding.shape[1],
    )
