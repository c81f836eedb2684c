"""Writing the ONNX file and its external data: one tensor at a time, beside the output, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import numpy as np
import onnx_ir as ir

from .. import __version__
from ..errors import InputError
from .graph import Initializer
from .step import Step

OPSET: Final = 20
IR_VERSION: Final = 10
EXTERNAL_OVER: Final = 64 << 20
"""Bytes of constants beyond which they lie in a file of their own."""
_SMALL: Final = 4096
"""Constants below this many bytes lie in the model file in any case."""
_PAGE: Final = 4096

Progress = Callable[[str], None]


@dataclass
class Output:
    """The files that an export makes: where each is written, and what it is called in the end."""

    model: Path
    force: bool
    files: dict[Path, Path] = field(default_factory=dict)

    def take(self, final: Path) -> Path:
        """Where to write a file that will be `final`.

        Raises:
            InputError: it exists, and `force` is not given.
        """
        if final.is_dir():
            raise InputError(f"{final} is a folder", "give the name of a file: -o model.onnx")
        if final.exists() and not self.force:
            raise InputError(f"{final} exists", "choose another name, or replace it with --force")
        self.files[final] = final.with_name(f".{final.name}.{os.getpid()}")
        return self.files[final]

    def commit(self) -> None:
        """Give every file its name; the model last, when what it points to is there."""
        for final, written in sorted(self.files.items(), key=lambda pair: pair[0] == self.model):
            written.replace(final)


@contextmanager
def writing(model: Path, force: bool) -> Iterator[Output]:
    """Files that appear together when all is written, and not at all if anything fails.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    output = Output(model, force)
    try:
        model.parent.mkdir(parents=True, exist_ok=True)
        yield output
        output.commit()
    except OSError as error:
        where = error.filename or model
        raise InputError(
            f"cannot write {where}: {error.strerror}", "is the disk full? -o names another place"
        ) from error
    finally:
        for written in output.files.values():
            written.unlink(missing_ok=True)


def data_path(model: Path) -> Path:
    """The file of external data of a model."""
    return model.with_name(f"{model.name}.data")


def write_model(
    output: Output, step: Step, metadata: Mapping[str, str], external: bool | None, progress: Progress
) -> None:
    """Write the model, and its external data: where `external` says so, or where it is None and there is much."""
    constants = list(step.builder.initializers.values())
    if external is None:
        external = sum(constant.nbytes for constant in constants) > EXTERNAL_OVER
    large = [constant for constant in constants if external and constant.nbytes >= _SMALL]
    model = output.take(output.model)
    if large:
        _write_data(output, large, progress)
    for constant in constants:
        if constant.value.const_value is None:
            progress(constant.name)
            constant.value.const_value = _embedded(constant)
    ir.save(_model(step, [constant.value for constant in constants], metadata), model, format="protobuf")


def _write_data(output: Output, constants: Sequence[Initializer], progress: Progress) -> None:
    final = data_path(output.model)
    with output.take(final).open("wb") as file:
        for constant in constants:
            progress(constant.name)
            file.seek(-(-file.tell() // _PAGE) * _PAGE)
            offset = file.tell()
            _copy(constant, file)
            constant.value.const_value = ir.ExternalTensor(
                final.name,
                offset,
                constant.nbytes,
                constant.dtype,
                shape=ir.Shape(list(constant.shape)),
                name=constant.name,
            )


def _copy(constant: Initializer, file: IO[bytes]) -> None:
    written = sum(file.write(np.ascontiguousarray(chunk).data) for chunk in constant.chunks())
    if written != constant.nbytes:
        raise ValueError(f"{constant.name}: {written} bytes of {constant.nbytes}")


def _embedded(constant: Initializer) -> ir.TensorProtocol:
    data = b"".join(np.ascontiguousarray(chunk).tobytes() for chunk in constant.chunks())
    values = np.frombuffer(data, constant.dtype.numpy()).reshape(constant.shape)
    return ir.Tensor(values, dtype=constant.dtype, name=constant.name)


def _model(step: Step, initializers: Sequence[ir.Value], metadata: Mapping[str, str]) -> ir.Model:
    graph = ir.Graph(
        step.inputs,
        step.outputs,
        nodes=step.builder.nodes,
        initializers=initializers,
        opset_imports={"": OPSET},
        name="decoding_step",
    )
    return ir.Model(
        graph,
        ir_version=IR_VERSION,
        producer_name="tritloom",
        producer_version=__version__,
        metadata_props=dict(metadata),
    )


def copy_beside(output: Output, source: Path, name: str) -> None:
    """Copy a file beside the model; one with the same content may be there already."""
    final = output.model.with_name(name)
    if final.is_file() and final.read_bytes() == source.read_bytes():
        return
    shutil.copyfile(source, output.take(final))
