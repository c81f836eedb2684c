"""What the bundle holds in memory images, decoded and compared with the ONNX file's weights and with the IR."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend.images import gain_values
from ..ir import engine, tern
from ..ir.encoding import InvalidCode, pack_linear, unpack_linear
from ..ir.instruction import INSTRUCTION_BYTES, Instruction
from ..ir.kernel import KernelLimits
from ..ir.mlir import ModuleOp
from ..ir.store import WeightStore
from ..runtime import Bundle
from .local import label
from .report import Check

Array = NDArray[Any]

_NAMES = {"eps0": "epsilon of the first norm (eps0)", "eps1": "epsilon of the second norm (eps1)", "scale": "scale"}
_SHOWN_FACTOR = 0.5


@dataclass(frozen=True)
class Program:
    """A scheduled module, its weights, and the images that a bundle has for it."""

    module: ModuleOp
    store: WeightStore
    limits: KernelLimits
    bundle: Bundle

    def image(self, name: str) -> NDArray[np.uint8]:
        """Bytes of an image of the bundle."""
        return self.bundle.image(self.bundle.program.image(name))

    def entries(self) -> list[engine.ProgramEntry]:
        """Instructions with their operations."""
        return engine.assemble(self.module)


@dataclass(frozen=True)
class PortRun:
    """The bytes of one product in every port's image, and the trits they should hold [rows, K]."""

    op: engine.LinearOp
    name: str
    images: list[bytes]
    trits: NDArray[np.int8]
    offset: int


def _port_runs(program: Program) -> Iterator[PortRun]:
    ports = [program.image(f"port{port}") for port in range(program.limits.ports)]
    at = 0
    for entry in program.entries():
        if not isinstance(entry.op, engine.LinearOp):
            continue
        name = entry.op.weight.root_reference.data
        trits = program.store.matrix(program.module, name)
        size = engine.port_beats(entry.op, program.limits.slices) * program.limits.port_bits // 8
        yield PortRun(entry.op, name, [port[at : at + size].tobytes() for port in ports], trits, at)
        at += size


def _rows_in_order(run: PortRun) -> NDArray[np.int64]:
    """Row of the weight that each row of the image holds: with *swiglu*, u and v in turn."""
    rows = np.arange(len(run.trits))
    return rows.reshape(2, -1).T.reshape(-1) if run.op.kind is engine.EpilogueKind.SWIGLU else rows


def check_ports(program: Program) -> Check:
    """Decode every port image and compare its trits with the ONNX file's."""
    findings: list[str] = []
    weights = trits = 0
    for run in _port_runs(program):
        weights += 1
        trits += run.trits.size
        if finding := _check_run(run, program.limits):
            findings.append(finding)
    figures = {"weights": weights, "trits": trits, "wrong": len(findings)}
    detail = f"{trits:,} trits of {weights} weights on {program.limits.ports} ports"
    if findings:
        return Check("weight images", False, f"{len(findings)} of {weights} weights differ", figures, findings)
    return Check("weight images", True, f"{detail} are the ONNX file's", figures)


def _check_run(run: PortRun, limits: KernelLimits) -> str | None:
    order = _rows_in_order(run)
    wanted = pack_linear(run.trits[order], limits.slices, limits.ports)
    if run.images == wanted:
        return None
    where = f"@{run.name} ({label(run.op)})"
    if run.op.kind is engine.EpilogueKind.SWIGLU:
        turned = np.concatenate(np.split(run.trits, 2)[::-1])
        if run.images == pack_linear(turned[order], limits.slices, limits.ports):
            return f"{where}: u and v are swapped: row by row, the second half comes first"
    if moved := [
        f"port{at} holds what belongs to port{wanted.index(image)}"
        for at, image in enumerate(run.images)
        if image != wanted[at] and image in wanted
    ]:
        return f"{where}: {', '.join(moved)}"
    try:
        decoded = unpack_linear(run.images, len(run.trits), run.trits.shape[1], limits.slices)
    except InvalidCode as error:
        return f"{where}: {error}"
    except ValueError:
        return f"{where}: the port images end before it"
    found = np.empty_like(decoded)
    found[order] = decoded
    return f"{where}: {_differing_trits(run, found, order, limits)}"


def _differing_trits(run: PortRun, found: NDArray[np.int8], order: NDArray[np.int64], limits: KernelLimits) -> str:
    differs = found != run.trits
    if not differs.any():
        wanted = pack_linear(run.trits[order], limits.slices, limits.ports)
        port = next(at for at, image in enumerate(run.images) if image != wanted[at])
        return f"padding of port{port} is not zero"
    row, column = (int(index[0]) for index in np.nonzero(differs))
    place = int(np.flatnonzero(order == row)[0])
    port = place % limits.slices // (limits.slices // limits.ports)
    return (
        f"row {row}, column {column} on port{port}: image {int(found[row, column])}, "
        f"ONNX file {int(run.trits[row, column])}; {np.count_nonzero(differs)} of {differs.size} trits differ"
    )


def _words(vector: Array, lanes: int) -> Array:
    return np.pad(vector, (0, -len(vector) % lanes)).reshape(-1, lanes)


def check_gains(program: Program) -> Check:
    """Compare the gain image with the ONNX file's gains and bounds, bit for bit."""
    image = program.image("gains").view("<f4")
    lanes = program.limits.lanes
    findings: list[str] = []
    at = vectors = 0
    for entry in program.entries():
        wanted = gain_values(entry.op, program.module, program.store)
        if not wanted:
            continue
        size = sum(len(_words(values, lanes)) for _, values in wanted) * lanes
        words = image[at : at + size].reshape(-1, len(wanted), lanes)
        at += size
        for which, (vector, values) in enumerate(wanted):
            vectors += 1
            found = words[:, which].reshape(-1)[: len(values)]
            integers = vector.kind is engine.GainKind.ROW_SUMS
            if finding := _vector_finding(found, values, integers):
                findings.append(f"{vector.kind} @{vector.symbol} ({label(entry.op)}): {finding}")
    figures = {"vectors": vectors, "floats": at, "wrong": len(findings)}
    if findings:
        return Check("gain image", False, f"{len(findings)} of {vectors} vectors differ", figures, findings)
    return Check("gain image", True, f"{vectors} gains and bounds are the ONNX file's", figures)


def _vector_finding(found: Array, wanted: Array, integers: bool) -> str | None:
    found, wanted = (np.ascontiguousarray(values).view(np.int32) for values in (found, wanted))
    differs = found != wanted
    if not differs.any():
        return None
    if not integers:
        found, wanted = found.view(np.float32), wanted.view(np.float32)
    first = int(np.flatnonzero(differs)[0])
    a, b = float(found[first]), float(wanted[first])
    return f"element {first}: image {a:.9g}, ONNX file {b:.9g} ({a - b:+.3g}); {differs.sum()} of {differs.size} differ"


def check_embedding(program: Program) -> Check:
    """Compare the embedding image with the ONNX file's table, bit for bit. Where vectors are fed there is none, but a
    row for each that a start takes."""
    if (received := next((e.op for e in program.entries() if isinstance(e.op, engine.ReceiveOp)), None)) is not None:
        wanted_rows, rows_there = received.rows.value.data, program.bundle.program.embedding.rows
        detail = f"{rows_there:,} rows of memory for the vectors of a start"
        return Check("embedding image", wanted_rows == rows_there, detail, {"rows": rows_there})
    table = next(op for op in program.module.ops if isinstance(op, tern.TableOp))
    name = table.sym_name.data
    wanted = np.ascontiguousarray(program.store.table(name))
    rows = wanted.view(np.uint8).reshape(len(wanted), -1)
    stride = -(-rows.shape[1] // 16) * 16
    image = program.image("embedding")
    if len(image) < len(rows) * stride:
        return Check("embedding image", False, f"@{name}: {len(image):,} bytes for {len(rows):,} rows")
    found = image[: len(rows) * stride].reshape(len(rows), stride)[:, : rows.shape[1]]
    wrong = np.flatnonzero((found != rows).any(axis=1))
    figures = {"rows": len(rows), "wrong": len(wrong)}
    if len(wrong):
        column = int(np.flatnonzero(found[wrong[0]] != rows[wrong[0]])[0]) // wanted.itemsize
        where = f"@{name}: row {int(wrong[0])}, element {column} is the first that differs"
        return Check("embedding image", False, f"{len(wrong):,} of {len(rows):,} rows differ", figures, [where])
    return Check("embedding image", True, f"{len(rows):,} rows of @{name} are the ONNX file's", figures)


def check_program(program: Program) -> Check:
    """Compare program.bin with the instructions of the IR, field by field."""
    data = program.image("program").tobytes()
    entries = program.entries()
    stated = program.bundle.program.instructions
    findings: list[str] = []
    if stated != len(entries):
        findings.append(f"the bundle has {stated} instructions, the compiled model {len(entries)}")
    for number, entry in enumerate(entries[:stated]):
        code = data[number * INSTRUCTION_BYTES : (number + 1) * INSTRUCTION_BYTES]
        if code == entry.instruction.encode():
            continue
        where = f"instruction {number}, {label(entry.op)}"
        try:
            findings += [f"{where}: {text}" for text in _fields(Instruction.decode(code), entry.instruction)]
        except ValueError as error:
            findings.append(f"{where}: {error}")
    figures = {"instructions": len(entries), "wrong": len(findings)}
    if findings:
        return Check("program", False, f"{len(findings)} fields differ from the IR", figures, findings)
    return Check("program", True, f"{len(entries)} instructions are the IR's", figures)


def _fields(found: Instruction, wanted: Instruction) -> Iterator[str]:
    wanted = Instruction.decode(wanted.encode())  # its floats rounded to float32
    for item in dataclasses.fields(Instruction):
        a, b = getattr(found, item.name), getattr(wanted, item.name)
        if a == b:
            continue
        name = _NAMES.get(item.name, item.name)
        if not isinstance(b, float):
            yield f"{name} is {a}, not {b}"
        elif a == 0.0:
            yield f"{name} is missing: 0, not {b:.9g}"
        else:
            factor = f" (x{a / b:.6g})" if b and abs(a / b - 1.0) < _SHOWN_FACTOR else ""
            yield f"{name} is {a:.9g}, not {b:.9g}{factor}"


def check_images(program: Program) -> list[Check]:
    """Every image of the bundle."""
    return [check_ports(program), check_gains(program), check_embedding(program), check_program(program)]
