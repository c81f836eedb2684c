"""What judges a net: onnxruntime, or qonnx's executor where the graph has operators that onnxruntime lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from ..errors import InputError
from .reference import open_exposed, read_graph

Array = NDArray[Any]

_KNOWN: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
_INTEGER: Final = frozenset({"MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm"})
_BATCH: Final = 64
_NEAR: Final = 1e-3
"""How near to an integer a value divided by its scale must be to count as a code."""


class NetReference(Protocol):
    """An evaluation of the ONNX file that is not ours."""

    name: str
    most: int
    """Frames that it is asked for: it may be slow."""

    def run(self, values: Array, tensors: Sequence[str]) -> dict[str, Array]:
        """Outputs and other tensors [frames, ...] in ONNX's layout, by name."""
        ...


def foreign_domains(model: onnx.ModelProto) -> list[str]:
    """Operator domains of a graph that onnxruntime does not know."""
    return sorted({node.domain for node in model.graph.node} - _KNOWN)


def has_integer_layers(model: onnx.ModelProto) -> bool:
    """Whether the graph computes in integers itself."""
    return any(node.op_type in _INTEGER for node in model.graph.node)


def net_reference(path: Path) -> tuple[NetReference | None, str]:
    """What evaluates a file, or None and the reason why nothing does.

    Raises:
        InputError: the file cannot be read.
    """
    domains = foreign_domains(read_graph(path))
    if not domains:
        return OnnxRuntime(path), ""
    if importlib.util.find_spec("qonnx") is None:
        what = f"onnxruntime has no operators of {', '.join(domains)}, and the package qonnx is not installed"
        return None, f"{what} (pip install 'tritloom[qonnx]')"
    return Qonnx(path), ""


def _joined(parts: Iterable[dict[str, Array]]) -> dict[str, Array]:
    found = list(parts)
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


class OnnxRuntime:
    """onnxruntime, graph optimisations off."""

    def __init__(self, path: Path) -> None:
        self.name = f"onnxruntime {ort.__version__}"
        self.most = 1 << 30
        self._path = path
        self._session: Any = None
        self._tensors: tuple[str, ...] = ()

    def run(self, values: Array, tensors: Sequence[str]) -> dict[str, Array]:
        """See `NetReference`.

        Raises:
            InputError: onnxruntime refuses the model.
        """
        if self._session is None or self._tensors != tuple(tensors):
            self._session, self._tensors = open_exposed(self._path, tensors), tuple(tensors)
        session = self._session
        source = session.get_inputs()[0]
        size = source.shape[0] if isinstance(source.shape[0], int) else _BATCH
        names = [output.name for output in session.get_outputs()]
        parts = (values[at : at + size] for at in range(0, len(values), size))
        return _joined(dict(zip(names, session.run(names, {source.name: part}), strict=True)) for part in parts)


class Qonnx:
    """The executor of the package qonnx, a frame at a time."""

    def __init__(self, path: Path) -> None:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes

        self.name = f"qonnx {importlib.metadata.version('qonnx')}"
        self.most = 32
        self._model = ModelWrapper(str(path)).transform(InferShapes())
        graph = self._model.graph
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._constants: dict[str, Array] = constants
        self._producers = {output: node for node in graph.node for output in node.output}
        self._input = next(value.name for value in graph.input if value.name not in constants)
        self._outputs = [value.name for value in graph.output]

    def run(self, values: Array, tensors: Sequence[str]) -> dict[str, Array]:
        """See `NetReference`. What a quantiser gives comes as codes."""
        from qonnx.core.onnx_exec import execute_onnx

        def frame(part: Array) -> dict[str, Array]:
            context = execute_onnx(self._model, {self._input: part}, return_full_exec_context=True)
            outputs = {name: np.asarray(context[name]) for name in self._outputs}
            return outputs | {name: self._codes(name, np.asarray(context[name])) for name in tensors}

        return _joined(frame(values[at : at + 1]) for at in range(len(values)))

    def _codes(self, tensor: str, values: Array) -> Array:
        """`values / scale + zero` of a Quant; values that are codes already as they are."""
        node = self._producers.get(tensor)
        if node is None or node.op_type not in ("Quant", "IntQuant", "BipolarQuant"):
            return values
        scale = self._constants.get(node.input[1], np.float32(1)).astype(np.float64)
        zero = self._constants.get(node.input[2], np.float32(0)) if len(node.input) > 2 else np.float32(0)
        codes = values.astype(np.float64) / scale + zero.astype(np.float64)
        if np.abs(codes - np.rint(codes)).max(initial=0) > _NEAR:
            raise InputError(f"qonnx gives values of '{tensor}' that are no codes", "check the model's scales")
        return np.asarray(np.rint(codes))
