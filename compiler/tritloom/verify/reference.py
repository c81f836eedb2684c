"""onnxruntime as the judge: one step at a time, graph optimisations off, any tensor of the graph made an output."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..errors import InputError
from ..frontend.steps import step_of
from ..ir.interpreter import Fed
from ..ir.tern import ModelOp
from .doubled import doubled
from .hoisting import hoisted
from .saturation import unsaturated

Array = NDArray[Any]

_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
REFUSALS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotFound,
    ort_errors.NotImplemented,
    ort_errors.NoSuchFile,
    ort_errors.RuntimeException,
)
DTYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


@dataclass(frozen=True)
class Interface:
    """Names of a decoding step: its token or vector, its first output, and its states as (input, output)."""

    source: str
    output: str
    states: tuple[tuple[str, str], ...]

    @staticmethod
    def of(model: ModelOp) -> Interface:
        """The interface of an imported model."""
        states = tuple((state.input.data, state.output.data) for state in model.states)
        return Interface(model.source, model.output_names[0], states)


@dataclass
class Recording:
    """Tensors [T, n] by name, states before each position among them, and the states afterwards [n]."""

    values: dict[str, Array]
    states: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Factor:
    """The matrix of a product: its tensor, whether it is [in, out], and its zero point's tensor."""

    tensor: str
    transposed: bool
    zero: str | None = None


class Reference:
    """An ONNX file in onnxruntime, or its float64 version.

    Raises:
        InputError: the file cannot be read, or onnxruntime refuses it.
    """

    def __init__(self, path: Path, interface: Interface, double: bool = False) -> None:
        self.path = path
        self.interface = interface
        self.graph = _read(path, with_weights=False).graph
        self._double = double
        self._producers: dict[str, onnx.NodeProto] = {
            output: node for node in self.graph.node for output in node.output
        }

    def run(self, fed: Fed, tensors: Iterable[str] = (), states: Mapping[str, Array] | None = None) -> Recording:
        """Feed tokens or vectors one by one, the states going round; record the output and `tensors`."""
        wanted = list(dict.fromkeys([self.interface.output, *tensors]))
        session = self._session(wanted)
        inputs = {arg.name: arg for arg in session.get_inputs()}
        current = {name: zeros(inputs[name]) for name, _ in self.interface.states}
        for name, value in (states or {}).items():
            current[name] = value.reshape(current[name].shape).astype(current[name].dtype)
        following = [name for _, name in self.interface.states]
        fetched = list(dict.fromkeys([*wanted, *following]))
        rows: dict[str, list[Array]] = {name: [] for name in [*fetched, *current]}
        source = inputs[self.interface.source]
        shape, dtype = _shape(source), DTYPES[source.type]
        for one in fed:
            for name, value in current.items():
                rows[name].append(value.reshape(-1))
            feeds = {source.name: np.asarray(one, dtype).reshape(shape), **current}
            outputs = dict(zip(fetched, session.run(fetched, feeds), strict=True))
            for name, value in outputs.items():
                rows[name].append(np.asarray(value).reshape(-1))
            current = {name: outputs[out].reshape(current[name].shape) for name, out in self.interface.states}
        values = {name: np.stack(found) for name, found in rows.items() if found}
        values[source.name] = np.asarray(fed, np.int64 if source.type.startswith("tensor(int") else np.float32)
        values[source.name] = values[source.name].reshape(len(fed), -1)
        return Recording(values, {name: value.reshape(-1) for name, value in current.items()})

    def matrices(self, names: Sequence[str]) -> dict[str, Array]:
        """Tensors of the first step in their own shapes: what the graph computes from weights alone."""
        session = self._session(names, once=True)
        feeds = {arg.name: zeros(arg) for arg in session.get_inputs()}
        return dict(zip(names, map(np.asarray, session.run(list(names), feeds)), strict=True))

    def _session(self, wanted: Sequence[str], once: bool = False) -> Any:
        """A session that gives `wanted`; for a single step (`once`), or for many: with constants computed once."""
        try:
            if not self._double and (once or self.weight_bytes > LARGEST):
                return _open(_with_outputs(_read(self.path, with_weights=False), wanted), self.path.parent)
            model = _read(self.path, with_weights=True)
            if self._double:
                model = doubled(model)
            model = _with_outputs(model, wanted)
            return open_saved(model if once else unsaturated(hoisted(model, _run_once)))
        except REFUSALS as error:
            raise refusal(self.path, error) from error

    # -- the graph

    @property
    def weight_bytes(self) -> int:
        """Bytes of the constants, as float32."""
        return sum(4 * math.prod(tensor.dims) for tensor in self.graph.initializer)

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that computes a tensor."""
        return self._producers.get(tensor)

    def rounded(self, tensor: str) -> str | None:
        """The tensor that goes into the Round behind `tensor`, looked for through casts, clamps and scalings."""
        name = tensor
        for _ in range(_DEPTH):
            node = self.producer(name)
            if node is None or node.op_type not in _BEHIND_ROUND:
                return None
            name = str(node.input[0])
            if node.op_type == "Round":
                return name
        return None

    def matrix(self, tensor: str) -> Factor | None:
        """The matrix of the product that `tensor` is a rescaled result of."""
        names = [tensor]
        for _ in range(_DEPTH):
            nodes = [node for node in map(self.producer, names) if node is not None]
            for node in nodes:
                if node.op_type in ("Gemm", "MatMul", "MatMulInteger"):
                    flag = next((a.i for a in node.attribute if a.name == "transB"), 0)
                    zero = str(node.input[3]) if len(node.input) > 3 else ""
                    return Factor(str(node.input[1]), not flag, zero or None)
            names = [name for node in nodes if node.op_type in _SCALINGS for name in node.input]
        return None


def read_graph(path: Path) -> onnx.ModelProto:
    """An ONNX file without its external data.

    Raises:
        InputError: it cannot be read.
    """
    return _read(path, with_weights=False)


def open_exposed(path: Path, wanted: Iterable[str]) -> Any:
    """A session of an ONNX file that gives its outputs and the tensors `wanted`.

    Raises:
        InputError: the file cannot be read, or onnxruntime refuses it.
    """
    try:
        return open_saved(_with_outputs(unsaturated(_read(path, with_weights=True)), wanted))
    except REFUSALS as error:
        raise refusal(path, error) from error


def refusal(path: Path, error: Exception) -> InputError:
    """The error for a file that onnxruntime refuses."""
    return InputError(f"onnxruntime {ort.__version__} refuses {path.name}: {_reason(error)}", _hint(error))


LARGEST = 1 << 30
"""Bytes of constants; a graph with more is run as it is, from its own file."""
_DEPTH = 8
_SCALINGS = frozenset({"Mul", "Div", "Add", "Cast", "Reshape", "Squeeze", "Identity"})
_BEHIND_ROUND = frozenset({"Round", "Clip", "Min", "Max", "Cast", "Mul", "Div", "Identity", "Transpose"})


def _read(path: Path, with_weights: bool) -> onnx.ModelProto:
    """The model, in the form of a step: onnxruntime runs what was compiled."""
    try:
        return step_of(onnx.load(path, load_external_data=with_weights))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "Give the model with --model.") from error
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(f"{path} is no ONNX file: {error}", "Give the model with --model.") from error


def _with_outputs(model: onnx.ModelProto, wanted: Iterable[str]) -> onnx.ModelProto:
    """Make tensors graph outputs; onnxruntime infers their types."""
    there = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in there)
    return model


def _options() -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_prepacking", "1")  # which would sum in another order
    return options


def _open(model: onnx.ModelProto, folder: Path) -> Any:
    """A session of a model whose external data lie in `folder`."""
    options = _options()
    options.add_session_config_entry(_EXTERNAL_FOLDER, str(folder.resolve()))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def open_saved(model: onnx.ModelProto) -> Any:
    """A session of a model with its weights; in a file of their own, since protobuf ends at 2 GB."""
    with tempfile.TemporaryDirectory(prefix="tritloom-verify-") as folder:
        file = Path(folder) / "model.onnx"
        onnx.save(model, file, save_as_external_data=True, location="weights", size_threshold=1024)
        return ort.InferenceSession(str(file), _options(), providers=["CPUExecutionProvider"])


def _run_once(model: onnx.ModelProto) -> list[Array]:
    """The outputs of a model without inputs."""
    return [np.asarray(value) for value in open_saved(model).run(None, {})]


def _reason(error: Exception) -> str:
    """The first line of onnxruntime's message, without the place in its sources."""
    line = next(iter(str(error).splitlines()), "it gives no reason")
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    line = re.sub(r"^Load model from \S+ failed: ?", "", line)
    return re.sub(r"^/\S+:\d+ .*?\) (?:const )?(?=\S)", "", line)


def _hint(error: Exception) -> str:
    if re.search(r"\bopset\b|IR version", str(error), re.IGNORECASE):
        return "export the model with an opset that this onnxruntime knows (18 is), or install a newer onnxruntime"
    return "check that the file runs in onnxruntime as it is"


def _shape(arg: Any) -> list[int]:
    """Dimensions of an input of one decoding step: those left open are 1."""
    return [dim if isinstance(dim, int) and dim > 0 else 1 for dim in arg.shape]


def zeros(arg: Any) -> Array:
    """What an input of a step starts with."""
    return np.zeros(_shape(arg), DTYPES[arg.type])
