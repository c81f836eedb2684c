"""What a decoding step is fed with: an integer token, or a vector of floats; and whether a model is a step at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from .contrib import MICROSOFT
from .problems import shape_text
from .reach import distances
from .stacked import STATES_KEY

_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.INT16, ir.DataType.UINT8)
_GATHERS = frozenset({"Gather", "GatherElements", "GatherND", "GatherBlockQuantized"})
_ACCEPTED = "a step takes one integer token ([1] or [1, 1]) and float32 states ([d], [1, d] or [1, 1, d])"
VECTOR_ACCEPTED = "a step takes one vector of floats, [d], [1, d] or [1, 1, d], and states of such shapes"
_IMAGES = frozenset(
    {"Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "MaxPool", "AveragePool"}
    | {"GlobalAveragePool", "GlobalMaxPool", "BatchNormalization"}
)
_RECURRENT = frozenset({"GRU", "LSTM", "RNN", "Scan", "Loop"})
_OF_EACH_INPUT = frozenset(
    {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    | {"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"}
    | {"SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "ReduceSumSquare", "ReduceL2"}
)
"""Quantisers and norms that compute a scale from each input, in one node."""


def describe(values: Sequence[ir.Value]) -> str:
    """Values by name, type and shape."""
    return ", ".join(
        f"'{value.name}' {value.dtype.name if value.dtype is not None else '?'} {shape_text(value)}" for value in values
    )


def inputs_of(model: ir.Model) -> list[ir.Value]:
    """The graph's inputs without its constants."""
    initializers = set(model.graph.initializers.values())
    return [value for value in model.graph.inputs if value not in initializers]


def find_token(model: ir.Model) -> ir.Value | None:
    """The integer input; None where the step is fed with a vector: which of its inputs that is, `states` finds out.

    Raises:
        InputError: there is no input, or there are several tokens, or inputs of other types.
    """
    inputs = inputs_of(model)
    tokens = [value for value in inputs if value.dtype in _INTEGERS]
    others = [value for value in inputs if value not in tokens and value.dtype != ir.DataType.FLOAT]
    if others or len(tokens) > 1:
        raise InputError(
            f"the model takes more than a token and states: {describe(others or tokens)}",
            f"{_ACCEPTED}; fold positions, masks and half-precision states away when exporting",
        )
    if not inputs:
        raise InputError("the model has no input: neither a token nor a vector", f"{_ACCEPTED}; {VECTOR_ACCEPTED}")
    return tokens[0] if tokens else None


def is_step(model: ir.Model) -> bool:
    """Whether a model is a decoding step: its metadata names states, it takes a token, or it takes a vector of floats
    and holds what no feed-forward net can: a state, or scales that are computed from each input.

    Other models of float32, uint8 or int8 inputs are feed-forward nets; a uint8 input that picks rows of a table is a
    token.
    """
    if STATES_KEY in model.metadata_props:
        return True
    wide = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.INT16)
    if any(value.dtype in wide or _picks_rows(value) for value in inputs_of(model)):
        return True
    return takes_a_vector(model) and (_is_recurrent(model) or _computes_scales(model))


def takes_a_vector(model: ir.Model) -> bool:
    """Whether a step could be fed with one of a model's inputs: they are floats, one of them a vector, and the model
    has no images."""
    inputs = inputs_of(model)
    floats = bool(inputs) and all(value.dtype == ir.DataType.FLOAT for value in inputs)
    return floats and any(map(_is_vector, inputs)) and not any(node.op_type in _IMAGES for node in model.graph)


def _is_vector(value: ir.Value) -> bool:
    dims = list(value.shape) if value.shape is not None else []
    return bool(dims) and isinstance(dims[-1], int) and all(not isinstance(dim, int) or dim == 1 for dim in dims[:-1])


def _is_recurrent(model: ir.Model) -> bool:
    """Whether a model has loops or recurrent operators; or several inputs and outputs, one of which is an input's new
    value: as long, and computed from it element by element."""
    if any(not node.domain and node.op_type in _RECURRENT for node in model.graph):
        return True
    if len(inputs_of(model)) < 2 or len(model.graph.outputs) < 2:
        return False
    reach = ((output, value) for output in model.graph.outputs for value in distances(output))
    return any(value.dtype == ir.DataType.FLOAT and _length(value) == _length(output) for output, value in reach)


def _length(value: ir.Value) -> int | None:
    dims = list(value.shape) if value.shape is not None else []
    return dims[-1] if dims and isinstance(dims[-1], int) else None


def _computes_scales(model: ir.Model) -> bool:
    """Whether quantisers or norms compute a scale from each input."""
    at_run_time = set(inputs_of(model))
    for node in model.graph:
        if not any(value in at_run_time for value in node.inputs):
            continue
        at_run_time.update(node.outputs)
        known = not node.domain or node.domain == MICROSOFT
        if known and (node.op_type in _OF_EACH_INPUT or _is_absmax(node) or _is_mean_square(node)):
            return True
    return False


def _operand(node: ir.Node) -> ir.Value | None:
    return node.inputs[0] if node.inputs else None


def _is_absmax(node: ir.Node) -> bool:
    """The largest of magnitudes, or the smallest of an input: no pooling takes these."""
    operand = _operand(node)
    inner = operand.producer() if operand is not None else None
    return node.op_type == "ReduceMin" or (node.op_type == "ReduceMax" and inner is not None and inner.op_type == "Abs")


def _is_mean_square(node: ir.Node) -> bool:
    """The mean or the sum of squares."""
    operand = _operand(node)
    inner = operand.producer() if operand is not None else None
    if node.op_type not in ("ReduceMean", "ReduceSum") or inner is None:
        return False
    return inner.op_type == "Pow" or (inner.op_type == "Mul" and inner.inputs[0] is inner.inputs[1])


def _picks_rows(value: ir.Value) -> bool:
    """Whether a value goes, cast or reshaped, into the indices of a Gather."""
    queue, seen = [value], {value}
    while queue:
        for node, index in queue.pop().uses():
            if node.op_type in _GATHERS and index == 1:
                return True
            if node.op_type in ("Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Clip"):
                queue += [output for output in node.outputs if output not in seen]  # an invalid graph may be a cycle
                seen.update(node.outputs)
    return False


def _positions(value: ir.Value) -> InputError:
    empty = value.shape is not None and 0 in value.shape
    return InputError(
        f"input '{value.name}' has shape {shape_text(value)}:"
        f" {'it is empty' if empty else 'several positions at once are not accepted'}",
        f"export one decoding step, which the host runs once a token: {_ACCEPTED}",
    )


def check_positions(model: ir.Model) -> None:
    """Tell a model of several positions, before onnx says in which node their number does not fit.

    Raises:
        InputError: an integer input has several elements.
    """
    if not is_step(model):
        return
    initializers = set(model.graph.initializers.values())
    for value in model.graph.inputs:
        dims = list(value.shape) if value.shape is not None else []
        if value.dtype in _INTEGERS and value not in initializers and any(isinstance(d, int) and d != 1 for d in dims):
            raise _positions(value)


def pin_dimensions(model: ir.Model, token: ir.Value | None) -> bool:
    """Give every input one position: symbolic dimensions in front of the last (all of the token's) become 1.

    Returns whether there were any, so that shapes must be inferred again.

    Raises:
        InputError: a length stays unknown, or the step takes several tokens.
    """
    changed = False
    unresolved: list[str] = []
    for value in model.graph.inputs:
        shape = list(value.shape) if value.shape is not None else []
        free = len(shape) if value is token else len(shape) - 1
        if value.shape is None or any(not isinstance(dim, int) for dim in shape[free:]):
            unresolved.append(f"{shape_text(value)} of input '{value.name}'")
            continue
        pinned = [1 if not isinstance(dim, int) else dim for dim in shape]
        if value is not token and 0 not in pinned and sum(dim != 1 for dim in pinned) > 1:
            count = int(np.prod(pinned[:-1]))
            if token is None and len(inputs_of(model)) == 1:
                raise InputError(
                    f"input '{value.name}' {shape_text(value)} holds {count:,} vectors",
                    f"{VECTOR_ACCEPTED}: export one position",
                )
            raise InputError(
                f"input '{value.name}' {shape_text(value)} stacks {count:,} states in one tensor",
                f"give each layer a state of its own, an input and an output [1, {pinned[-1]}] (in PyTorch: pass"
                " state.unbind(0), return a list instead of torch.stack), and export again",
            )
        if any(dim != 1 for dim in pinned[:free]) or 0 in pinned:
            raise _positions(value)
        if pinned != shape:
            value.shape, changed = ir.Shape(pinned), True
    if unresolved:
        raise InputError(
            f"dynamic dimensions that cannot be resolved: {'; '.join(unresolved)}",
            "only the batch and position dimensions may be symbolic (they become 1); give states a fixed length",
        )
    return changed


def forget_shapes(model: ir.Model) -> None:
    """Drop shapes that the exporter computed for other dimensions, so that they are inferred again."""
    for node in model.graph:
        for output in node.outputs:
            if output.shape is not None and any(not isinstance(dim, int) for dim in output.shape):
                output.shape = None
