"""`to_step`: a model of another form, as the decoding step that it is.

What compares the compiled model with the original (`tritloom verify`) runs this form in onnxruntime, too: a step whose
states have inputs and outputs of their own.
"""

from __future__ import annotations

from typing import Final

import onnx
import onnx_ir as ir

from .contrib import WRITTEN_OUT, lower_contrib, unique_names
from .gru import expose_gru_states
from .loops import inline_loops, is_loop
from .source import find_token, is_step
from .stacked import unstack
from .unrolled import positions_axis, roll_up

_TOKENS: Final = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.INT16, onnx.TensorProto.UINT8)

__all__ = ["is_loop", "step_of", "to_step"]


def to_step(model: ir.Model) -> bool:
    """Take sequences of a fixed length, loops over positions, stacked states and composed operators of a step apart, in
    place; whether anything changed.

    Raises:
        InputError: the positions of a sequence are not the same step.
    """
    written = any(node.op_type in WRITTEN_OUT for node in model.graph)
    lower_contrib(model, WRITTEN_OUT)
    changed = _roll_up(model)
    changed |= expose_gru_states(model)
    changed |= inline_loops(model)
    changed |= unstack(model)
    return changed or written


def _roll_up(model: ir.Model) -> bool:
    token = find_token(model)
    axis = positions_axis(token) if token is not None else None
    if token is None or axis is None:
        return False
    roll_up(model, token, axis)
    return True


def step_of(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The step form of a model; the model itself where it is one."""
    if not _may_change(proto.graph):
        return proto
    model = ir.from_proto(proto)
    if not is_step(model) or not to_step(model):
        return proto
    unique_names(model)
    return ir.to_proto(model)


def _may_change(graph: onnx.GraphProto) -> bool:
    """Whether a model may be of another form: a cheap look, since most are steps."""
    loops = any(not node.domain and node.op_type in ("Scan", "Loop", "GRU") for node in graph.node)
    written = any(node.op_type in WRITTEN_OUT for node in graph.node)
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input]
    stacks = any(sum(dim > 1 for dim in shape) > 1 for shape in shapes)
    integers = [value.type.tensor_type.elem_type in _TOKENS for value in graph.input]
    several = any(integer and max(shape, default=1) > 1 for integer, shape in zip(integers, shapes, strict=True))
    return loops or written or stacks or several
