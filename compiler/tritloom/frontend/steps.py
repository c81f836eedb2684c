"""`to_step`: a model of another form, as the decoding step that it is.

What compares the compiled model with the original (`tritloom verify`) runs this form in onnxruntime, too: a step whose
states have inputs and outputs of their own.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from .loops import inline_loops, is_loop
from .stacked import unstack

__all__ = ["is_loop", "step_of", "to_step"]


def to_step(model: ir.Model) -> bool:
    """Take loops over positions and stacked states apart, in place. Returns whether anything changed."""
    inlined = inline_loops(model)
    return unstack(model) or inlined


def step_of(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The step form of a model; the model itself where it is one."""
    loops = any(not node.domain and node.op_type in ("Scan", "Loop") for node in proto.graph.node)
    stacks = any(sum(dim.dim_value > 1 for dim in value.type.tensor_type.shape.dim) > 1 for value in proto.graph.input)
    if not loops and not stacks:
        return proto
    model = ir.from_proto(proto)
    return ir.to_proto(model) if to_step(model) else proto
