"""Choose, for every requantiser, the integer form that costs less, and prove it equal to its step function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..analysis.dataflow_area import requantize, thresholds
from ..errors import InputError
from ..ir import tern
from ..ir.locations import onnx_names
from ..ir.mlir import Context, IntegerAttr, ModuleOp, ModulePass, i64
from ..ir.requantize import MultiplyShift, multiply_shift
from ..ir.steps import StepFunction
from ..targets import Target
from .context import compiler_context
from .stages import need_layers


def _worth_of_a_dsp(target: Target | None) -> float:
    """LUTs that a DSP counts for: the board's ratio."""
    return target.resources.lut / target.resources.dsp if target is not None else 200.0


def _thresholds_cost_less(op: tern.RequantizeOp, function: StepFunction, form: MultiplyShift, worth: float) -> bool:
    bits = tern.element_of(op.inputs[0]).width.data
    channels = function.channels
    compare = thresholds(bits, function.levels, channels, 1)
    multiply = requantize(bits, form.multiplier_bits, channels, output_bits=tern.element_of(op.result).width.data)
    return compare.lut + 200 * compare.bram36 <= multiply.lut + 200 * multiply.bram36 + worth * multiply.dsp


def _refusal(op: tern.RequantizeOp) -> str:
    nodes = ", ".join(onnx_names(op)) or "no ONNX node"
    if len(op.inputs) > 2:
        return f"{op.name} ({nodes}): a sum of {len(op.inputs)} tensors of different scales"
    bits = " and ".join(str(tern.element_of(value).width.data) for value in op.inputs)
    return f"{op.name} ({nodes}): no multiplication and shift equals it, for operands of {bits} bits"


@dataclass(frozen=True)
class ToThresholds(ModulePass):
    """Choose how each step function is computed: thresholds, or a multiplication and a shift.

    The form is proved equal to the exact function over the whole range of the operands.

    Before:
        %q = tern.requantize %sums @act
    After:
        %q = tern.requantize %sums @act {form = #tern<form multiply_shift>, shift = 14, ...}
    """

    name: ClassVar[str] = "to-thresholds"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        net = need_layers(op, self.name)
        context = compiler_context(ctx)
        worth = _worth_of_a_dsp(context.target)
        refused = []
        for layer in net.body.block.ops:
            if not isinstance(layer, tern.RequantizeOp):
                continue
            function = context.store.steps(layer.function.root_reference.data)
            ranges = [tern.range_of(tern.element_of(value)) for value in layer.inputs]
            form = multiply_shift(function, ranges)
            if function.operands == 1 and (form is None or _thresholds_cost_less(layer, function, form, worth)):
                layer.properties["form"] = tern.FormAttr(tern.Form.THRESHOLDS)
                for name in ("shift", "multiplier_bits"):
                    layer.properties.pop(name, None)
            elif form is not None:
                layer.properties["form"] = tern.FormAttr(tern.Form.MULTIPLY_SHIFT)
                layer.properties["shift"] = IntegerAttr(form.shift, i64)
                layer.properties["multiplier_bits"] = IntegerAttr(form.multiplier_bits, i64)
            else:
                refused.append(_refusal(layer))
        if refused:
            raise InputError(
                "these quantisers have no integer form:\n  " + "\n  ".join(refused),
                "Quantise each branch of the sum to at most 8 bits, with one scale for the tensor.",
            )
