"""The models that the local test runs on: the ONNX file as it is, and the same graph with small gains.

A trained norm sees vectors so large that its epsilon is lost in their rounding: one that is missing changes nothing
that a test could see. With every gain multiplied by 2^-6 activations become small, and each epsilon counts. Some become
smaller than the floor of the graph's quantisers, which ours drop: the variant lowers it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

from ..frontend import Imported, import_onnx
from ..ir import tern
from ..ir.bindings import bound_tensor
from ..ir.interpreter import Fed
from ..ir.mlir import ModuleOp
from .floors import lower_floors
from .local import LocalResult, check_local, needed_tensors
from .reference import LARGEST, Interface, Recording, Reference
from .weights import CachedStore, WeightsResult, constant

GAIN_FACTOR: Final = 2.0**-6


@dataclass(frozen=True)
class LocalTest:
    """An imported model, what onnxruntime computes of it, and its weights as onnxruntime has them."""

    name: str
    imported: Imported
    reference: Reference
    recording: Recording
    store: CachedStore
    tokens: Fed

    def check(self) -> LocalResult:
        """Test the module as it now is."""
        module = self.imported.module
        return check_local(module, self.store, self.recording.values, self.tokens, self.reference)


def local_test(name: str, imported: Imported, reference: Reference, weights: WeightsResult, tokens: Fed) -> LocalTest:
    """The local test of an imported model that no pass has changed yet."""
    recording = reference.run(tokens, needed_tensors(imported.module, reference))
    return LocalTest(name, imported, reference, recording, CachedStore(imported.store, weights.judged), tokens)


def small_gains(module: ModuleOp, reference: Reference, weights: WeightsResult, tokens: Fed) -> LocalTest | None:
    """The local test of the same graph with small gains; None where it has no gains, or is too large to be copied."""
    names = gain_names(module, reference)
    if not names or reference.weight_bytes > LARGEST:
        return None
    model = onnx.load(reference.path)
    for tensor in model.graph.initializer:
        if tensor.name in names:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(values * values.dtype.type(GAIN_FACTOR), tensor.name))
    lower_floors(model.graph)
    with tempfile.TemporaryDirectory(prefix="tritloom-verify-") as folder:
        file = Path(folder) / reference.path.name
        onnx.save(model, file)
        imported = import_onnx(file)
        _load_all(imported)
        changed = Reference(file, Interface.of(next(op for op in module.ops if isinstance(op, tern.ModelOp))))
        return local_test("small gains", imported, changed, weights, tokens)


def gain_names(module: ModuleOp, reference: Reference) -> set[str]:
    """Constants of the ONNX file that are gains of norms."""
    constants = {tensor.name: tensor for tensor in reference.graph.initializer}
    names = set()
    for op in next(op for op in module.ops if isinstance(op, tern.ModelOp)).body.block.ops:
        tensor = bound_tensor(op.results[0]) if isinstance(op, tern.RmsNormOp) else None
        node = reference.producer(tensor) if tensor is not None else None
        for name in node.input if node is not None else ():
            if name in constants and np.prod(constants[name].dims) > 1:
                names.add(name)
    return names


def _load_all(imported: Imported) -> None:
    """Keep the vectors, which the variant's file, soon gone, holds; its matrices are small enough to be kept too."""
    for name, loader in list(imported.store.loaders.items()):
        imported.store.add(name, constant(loader()))
