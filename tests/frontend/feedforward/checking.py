"""An imported net against onnxruntime: every code, and the scores."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from tritloom.errors import InputError
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.bindings import bound_tensor
from tritloom.ir.interpreter.net import NetInterpreter
from tritloom.ir.mlir import Operation, SSAValue, TensorType, f32
from tritloom.ir.tern import QuantizeOp, RequantizeOp, ReturnOp, TopKOp, element_of, range_of

Array = NDArray[Any]
QUANTISERS = (QuantizeOp, RequantizeOp)
TIE = Fraction(1, 100_000)
"""Codes may differ where the exact value lies this near to a step, in steps."""
SCORES = 1e-6
"""Scores may differ by this share of their range."""


@dataclass
class Compared:
    """What a comparison found."""

    imported: Imported
    codes: int = 0
    ties: int = 0
    scores: dict[str, Array] = field(default_factory=dict)
    expected: dict[str, Array] = field(default_factory=dict)


def import_model(model: onnx.ModelProto, folder: Path) -> Imported:
    """The import of a model, through a file."""
    path = folder / "net.onnx"
    onnx.save(model, str(path))
    return import_onnx(path)


def refusal(model: onnx.ModelProto, folder: Path) -> InputError:
    """The error that the import of a model ends in."""
    with pytest.raises(InputError) as caught:
        import_model(model, folder)
    assert caught.value.hint
    return caught.value


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """onnxruntime, its graph optimisations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def reference(model: onnx.ModelProto, x: Array, tensors: list[str]) -> dict[str, Array]:
    """Outputs of the model and other tensors of it, by name, frames joined."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    declared = {output.name for output in model.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in declared)
    names = [*sorted(declared), *(name for name in tensors if name not in declared)]
    running = session(exposed)
    (source,) = running.get_inputs()
    size = source.shape[0] if isinstance(source.shape[0], int) else len(x)
    parts = [running.run(names, {source.name: x[i : i + size]}) for i in range(0, len(x), size)]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}


def channels_last(values: Array) -> Array:
    """[frames, H, W, C], [frames, 1, L, C] or [frames, K] of an array in ONNX's layout."""
    if values.ndim == 4:
        return values.transpose(0, 2, 3, 1)
    return values.transpose(0, 2, 1)[:, np.newaxis] if values.ndim == 3 else values


def check(model: onnx.ModelProto, x: Array, folder: Path, exact: bool = False) -> Compared:
    """Compare the codes of every quantiser that stands in the graph, and the scores.

    `exact`: nothing may differ. Otherwise codes may at ties. Each layer is fed onnxruntime's own codes.
    """
    found = Compared(import_model(model, folder))
    module = found.imported.module
    (returned,) = (op for op in module.walk() if isinstance(op, ReturnOp))
    best = {value.owner for value in returned.values if isinstance(value.owner, TopKOp)}
    ranked = {op.ranks.tensor.data for op in module.walk() if isinstance(op, TopKOp) and op.ranks is not None}
    interpreter = NetInterpreter(found.imported.module, found.imported.store)
    port = interpreter.net.input_ports[0]
    quantisers = {op: bound_tensor(op.results[0]) for op in interpreter.net.walk() if isinstance(op, QUANTISERS)}
    truth = reference(model, x, [*ranked, *(name for name in quantisers.values() if name)])
    values: dict[SSAValue, Array] = {interpreter.net.body.block.args[0]: channels_last(x)}

    def observe(op: Operation, results: list[Array]) -> None:
        values[op.results[0]] = ours = results[0]
        if isinstance(op.results[0].type, TensorType) and op.results[0].type.element_type != f32:
            low, high = range_of(element_of(op.results[0]))
            assert low <= ours.min() <= ours.max() <= high, op
        if not (name := quantisers.get(op)):
            return
        theirs = channels_last(truth[name]).reshape(ours.shape).astype(np.int64)
        differ = np.argwhere(ours != theirs)
        assert not (exact and len(differ)), f"{name}: {len(differ)} codes differ"
        for place in map(tuple, differ):
            assert distance(found.imported, op, place, values) < TIE, f"{name} at {place}"
        found.codes += ours.size
        found.ties += len(differ)
        ours[...] = theirs

    found.scores = interpreter.run({port.tensor.data: x}, observe)
    found.expected = {name: truth[name] for name in found.scores}
    span = max(float(np.ptp(truth[name])) for name in [*ranked, *found.scores]) if ranked else None
    for (name, values_), value in zip(found.scores.items(), returned.values, strict=True):
        assert (values_.dtype, values_.shape) == (truth[name].dtype, truth[name].shape)
        if value.owner in best:
            check_indices(values_, truth[name], value.owner, truth, exact)
        else:
            check_scores(values_, truth[name], exact, span)
    return found


def distance(imported: Imported, op: Operation, place: tuple[int, ...], values: dict[SSAValue, Array]) -> Fraction:
    """How far the exact value of an element lies from the nearest step, in steps."""
    assert isinstance(op, QUANTISERS)
    function = imported.store.steps(imported.module, op.function.root_reference.data).at_channel(place[-1])
    total = function.offset[0]
    for (scale,), operand in zip(function.scales, op.operands, strict=True):
        source = values[operand]
        total += scale * Fraction(source.reshape(len(source), *values[op.results[0]].shape[1:])[place].item())
    places = [boundary.at for boundary in function.boundaries[0]]
    width = min((b - a for a, b in itertools.pairwise(places) if b > a), default=Fraction(1))
    return min(abs(total - at) for at in places) / width


def check_indices(ours: Array, theirs: Array, op: TopKOp, truth: dict[str, Array], exact: bool) -> None:
    """The same indices, but where the values of theirs that are ranked differ by next to nothing."""
    assert op.ranks is not None
    values = truth[op.ranks.tensor.data]
    axis = 1 + op.ranks.order[-1]
    values = np.moveaxis(values, axis, -1)
    shape = (*values.shape[:-1], -1)
    a, b = (
        np.moveaxis(x, axis, -1).reshape(shape) if x.ndim > values.ndim - 1 else x.reshape(shape)
        for x in (ours, theirs)
    )
    gap = np.abs(np.take_along_axis(values, a.astype(int), -1) - np.take_along_axis(values, b.astype(int), -1))
    assert gap.max() <= (0 if exact else SCORES * np.ptp(values))
    if exact:
        np.testing.assert_array_equal(ours, theirs)


def check_scores(ours: Array, theirs: Array, exact: bool, span: float | None = None) -> None:
    """Scores within 1e-6 of their range; the same classes, but where two scores of theirs are that near."""
    if exact:
        np.testing.assert_array_equal(ours, theirs)
        return
    span = span or max(float(np.ptp(theirs)), 1e-30)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=SCORES * span)
    if theirs.ndim == 2 and theirs.shape[1] > 1:
        chosen = np.take_along_axis(theirs, ours.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
        assert (theirs.max(axis=1) - chosen <= SCORES * span).all()
