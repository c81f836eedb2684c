"""Which ONNX tensor a value of the IR stands for, kept through the passes so that every operation can be compared
with onnxruntime at its own inputs and outputs.

The binding is the discardable attribute `onnx` of an operation: one string a result, empty where no tensor of the
graph holds that value. A quantiser's scale A is bound to the tensor of its step 127/A.
"""

from __future__ import annotations

from collections.abc import Sequence

from .mlir import ArrayAttr, BlockArgument, Operation, OpResult, SSAValue, StringAttr
from .tern import ModelOp, StateType

_KEY = "onnx"


def bind(op: Operation, tensors: Sequence[str]) -> None:
    """Bind the results of `op`, in order; without tensors, to none."""
    op.attributes.pop(_KEY, None)
    if any(tensors):
        op.attributes[_KEY] = ArrayAttr([StringAttr(tensor) for tensor in tensors])


def bound_tensor(value: SSAValue) -> str | None:
    """The ONNX tensor that `value` stands for, if there is one. A state argument is its ONNX input."""
    if isinstance(value, OpResult):
        names = value.op.attributes.get(_KEY)
        if isinstance(names, ArrayAttr) and isinstance(name := names.data[value.index], StringAttr):
            return name.data or None
    if isinstance(value, BlockArgument):
        if isinstance(value.type, StateType):
            return value.type.input.data
        model = value.block.parent_op()
        if isinstance(model, ModelOp):
            return model.source
    return None


def inherit_bindings(new: Operation, replaced: Sequence[SSAValue | None]) -> None:
    """Bind each result of `new` as the value that it replaces."""
    bind(new, [(bound_tensor(value) or "") if value is not None else "" for value in replaced])
