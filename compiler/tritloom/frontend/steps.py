"""`to_step`: a model of another form, as the decoding step that it is.

What compares the compiled model with the original (`tritloom verify`) runs this form in onnxruntime, too: a step whose
states have inputs and outputs of their own.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from .contrib import WRITTEN_OUT, lower_contrib, unique_names
from .loops import inline_loops, is_loop
from .stacked import unstack

__all__ = ["is_loop", "step_of", "to_step"]


def to_step(model: ir.Model) -> bool:
    """Take loops over positions, stacked states and composed operators apart, in place; whether anything changed."""
    written = any(node.op_type in WRITTEN_OUT for node in model.graph)
    lower_contrib(model, WRITTEN_OUT)
    inlined = inline_loops(model)
    return unstack(model) or inlined or written


def step_of(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The step form of a model; the model itself where it is one."""
    loops = any(not node.domain and node.op_type in ("Scan", "Loop") for node in proto.graph.node)
    stacks = any(sum(dim.dim_value > 1 for dim in value.type.tensor_type.shape.dim) > 1 for value in proto.graph.input)
    written = any(node.op_type in WRITTEN_OUT for node in proto.graph.node)
    if not loops and not stacks and not written:
        return proto
    model = ir.from_proto(proto)
    if not to_step(model):
        return proto
    unique_names(model)
    return ir.to_proto(model)
