"""`quantise`: an ONNX model with trits in the place of float weights, and absmax codes in that of float activations.

The result is an ONNX model like those that training with quantisation gives, so all that compiles and verifies those
holds for it; onnxruntime runs it. What to replace, the importer says: the matrices that it found not to be
ternary, and the products whose activations it found to be float.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import InputError
from ..frontend import Imported, import_model
from ..frontend.constants import constant_of
from ..frontend.contrib import STANDARD, lower_contrib, unique_names
from ..frontend.not_ternary import NotTernary
from ..frontend.problems import NotImported
from ..frontend.reader import read_model
from ..frontend.source import is_step, takes_a_vector
from ..frontend.steps import to_step
from .ternary import METHODS, Grid, distance

_EXTERNAL_OVER: Final = 64 << 20
"""Bytes of constants beyond which they lie in a file of their own."""
_FLOOR: Final = 1e-5


@dataclass(frozen=True)
class Matrix:
    """A float matrix that became trits: how many are zero, its scale, and its relative rms distance from them."""

    name: str
    shape: tuple[int, ...]
    zeros: float
    scale: float
    rms: float


@dataclass(frozen=True)
class Rewritten:
    """A quantised model, what was replaced in it, and its import."""

    model: ir.Model
    matrices: list[Matrix]
    products: list[str]
    """Outputs of the products that got a quantiser in front."""
    imported: Imported


@dataclass
class _Edits:
    """What to replace."""

    matrices: dict[str, None] = field(default_factory=dict)
    products: dict[str, None] = field(default_factory=dict)


def quantise(path: Path, method: str | None, activations: bool) -> Rewritten:
    """Quantise what keeps a model from being imported: weights by `method` (a key of METHODS), and with `activations`
    the inputs of products. A net of one vector whose activations are float becomes a step thereby.

    Raises:
        InputError: something else keeps it from being imported.
    """
    edits = _Edits()
    as_step: NotImported | None = None
    while True:
        model = read_model(path)
        matrices = _apply(model, edits, method)
        try:
            imported = import_model(model, as_step is not None)
        except NotImported as error:
            if _more(edits, error, method is not None, activations):
                continue
            if as_step is None and activations and not is_step(model) and takes_a_vector(model):
                as_step = error  # no net, but with absmax quantisers a step
                continue
            raise
        if as_step is not None and not edits.products:
            raise as_step
        model = read_model(path)
        _apply(model, edits, method)
        return Rewritten(model, matrices, list(edits.products), imported)


def _more(edits: _Edits, error: NotImported, weights: bool, activations: bool) -> bool:
    """Add what the importer found; whether there was anything new."""
    before = len(edits.matrices) + len(edits.products)
    if weights:
        edits.matrices |= {one.tensor: None for one in error.errors if isinstance(one, NotTernary)}
    if activations:
        products = [one.node for one in error.refusals if one.blames is not None]
        edits.products |= {node.outputs[0].name or "": None for node in products}
    return len(edits.matrices) + len(edits.products) > before


def _apply(model: ir.Model, edits: _Edits, method: str | None) -> list[Matrix]:
    if is_step(model):
        to_step(model)
    lower_contrib(model, STANDARD)
    unique_names(model)
    matrices = [_ternarise(model, name, method) for name in edits.matrices if method is not None]
    for node in list(model.graph):
        if node.outputs and node.outputs[0].name in edits.products:
            _quantise_input(model, node)
    return matrices


def _insert(
    model: ir.Model, before: ir.Node, kind: str, inputs: list[ir.Value], name: str, **attributes: Any
) -> ir.Value:
    node = ir.node(kind, inputs, attributes, name=name)
    node.outputs[0].name = name
    model.graph.insert_before(before, node)
    return node.outputs[0]


def _stored(model: ir.Model, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    value = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
    )
    model.graph.register_initializer(value)
    return value


def _ternarise(model: ir.Model, name: str, method: str) -> Matrix:
    """`W` becomes `Cast(trits) * scale` wherever it is no table that rows are gathered from."""
    old = model.graph.initializers.get(name)
    tensor = old.const_value if old is not None else None
    if old is None or tensor is None or not tensor.dtype.is_floating_point():
        raise InputError(
            f"tensor '{name}' cannot be made ternary: it is no initialiser of floats",
            "quantise the float model, before its weights are converted to integers",
        )
    constant = constant_of(name, tensor)
    grid = METHODS[method](constant.load())
    lazy = ir.LazyTensor(
        partial(_trits, constant.load, grid),
        dtype=ir.DataType.INT8,
        shape=ir.Shape(constant.shape),
        name=f"{name}.trits",
    )
    first = next(iter(model.graph))
    uses = [(node, index) for node, index in old.uses() if node.op_type != "Gather"]
    trits = _stored(model, f"{name}.trits", lazy)
    scale = _stored(model, f"{name}.scale", ir.tensor(np.float32(grid.scale), name=f"{name}.scale"))
    floats = _insert(model, first, "Cast", [trits], f"{name}.float", to=ir.DataType.FLOAT)
    new = _insert(model, first, "Mul", [floats, scale], f"{name}.ternary")
    new.shape, new.type = ir.Shape(constant.shape), ir.TensorType(ir.DataType.FLOAT)
    for node, index in uses:
        node.replace_input_with(index, new)
    if not old.uses():
        model.graph.initializers.pop(name)
    zeros = 1.0 - np.count_nonzero(lazy.numpy()) / max(constant.size, 1)
    return Matrix(name, constant.shape, float(zeros), grid.scale, distance(constant.load(), grid))


def _trits(load: Callable[[], NDArray[Any]], grid: Grid) -> ir.TensorProtocol:
    return ir.tensor(grid.trits(load()))


def _quantise_input(model: ir.Model, node: ir.Node) -> None:
    """Codes of max|x| = 127, and back, in front of a product: what BitLinear has there."""
    x = node.inputs[0]
    if x is None:
        return
    name = f"{node.outputs[0].name}.absmax"

    def constant(suffix: str, value: float | list[int]) -> ir.Value:
        array = np.asarray(value, np.float32 if isinstance(value, float) else np.int64)
        return _stored(model, f"{name}.{suffix}", ir.tensor(array, name=f"{name}.{suffix}"))

    def add(kind: str, suffix: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        return _insert(model, node, kind, list(inputs), f"{name}.{suffix}", **attributes)

    magnitude = add("Abs", "abs", x)
    if model.opset_imports.get("", 0) < 18:
        largest = add("ReduceMax", "max", magnitude, axes=[-1], keepdims=1)
    else:
        largest = add("ReduceMax", "max", magnitude, constant("axes", [-1]), keepdims=1)
    floored = add("Max", "floored", largest, constant("floor", _FLOOR))
    step = add("Div", "step", constant("levels", 127.0), floored)
    codes = add("Round", "codes", add("Mul", "scaled", x, step))
    node.replace_input_with(0, add("Div", "value", codes, step))


def write(model: ir.Model, path: Path, force: bool) -> None:
    """Write a model, large ones with external data: in a folder beside `path` first, then moved.

    Raises:
        InputError: it exists and `force` is not given, or cannot be written.
    """
    data = f"{path.name}.data"
    constants = (value.const_value for value in model.graph.initializers.values())
    large = sum(tensor.nbytes for tensor in constants if tensor is not None) > _EXTERNAL_OVER
    names = [data, path.name] if large else [path.name]
    for name in names:
        if path.with_name(name).exists() and not force:
            raise InputError(f"{path.with_name(name)} exists", "choose another name, or replace it with --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            ir.save(model, Path(folder) / path.name, format="protobuf", external_data=data if large else None)
            for name in names:
                (Path(folder) / name).replace(path.with_name(name))
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}", "is the disk full? -o names another place"
        ) from error
