"""Choose, for every requantiser, the integer form that costs less, and prove it equal to its step function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..analysis.dataflow_area import requantize, thresholds
from ..errors import InputError
from ..ir import tern
from ..ir.bindings import inherit_bindings
from ..ir.locations import onnx_names
from ..ir.mlir import Context, IntegerAttr, ModuleOp, ModulePass, i64
from ..ir.requantize import MultiplyShift, multiply_shift
from ..ir.steps import StepFunction
from ..ir.store import SUM
from ..targets import Target
from .context import CompilerContext, compiler_context
from .rewriting import module_of
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


def _choose(layer: tern.RequantizeOp, context: CompilerContext, worth: float) -> bool:
    """Give a requantiser its form; whether there is one."""
    function = context.store.steps(layer.function.root_reference.data)
    form = multiply_shift(function, [tern.range_of(tern.element_of(value)) for value in layer.inputs])
    if function.operands == 1 and (form is None or _thresholds_cost_less(layer, function, form, worth)):
        layer.properties["form"] = tern.FormAttr(tern.Form.THRESHOLDS)
        for name in ("shift", "multiplier_bits"):
            layer.properties.pop(name, None)
        return True
    if form is None:
        return False
    layer.properties["form"] = tern.FormAttr(tern.Form.MULTIPLY_SHIFT)
    layer.properties["shift"] = IntegerAttr(form.shift, i64)
    layer.properties["multiplier_bits"] = IntegerAttr(form.multiplier_bits, i64)
    return True


def _summed(op: tern.RequantizeOp, function: StepFunction) -> tern.RequantizeOp | None:
    """The requantiser of the integer sum of two operands, in front of the old one's place; None where the scales differ
    too oddly. A sum of codes on scales of powers of two has ties at every other code, and half to even makes a
    staircase of them that no multiplication gives: thresholds do."""
    if (ratio := function.small_ratio) is None:
        return None
    joined = function.of_sum()
    old = tern.steps(op, op.function)
    name = old.sym_name.data + SUM
    module = module_of(op)
    if all(symbol.sym_name.data != name for symbol in module.ops if isinstance(symbol, tern.StepsOp)):
        numbers = (joined.channels, 1, joined.low, joined.step, joined.levels)
        module.body.block.insert_op_after(tern.StepsOp(name, *numbers, joined.digest), old)
    total = tern.SumOp(op.inputs[0], op.inputs[1], ratio)
    new = tern.RequantizeOp([total.result], name, tern.element_of(op.result))
    for made in (total, new):
        made.location = op.location
    inherit_bindings(new, [op.result])
    block = op.parent_block()
    if block is None:
        raise ValueError(f"{op.name} stands in no block")
    block.insert_ops_before([total, new], op)
    new.result.name_hint = op.result.name_hint
    op.result.replace_all_uses_with(new.result)
    block.erase_op(op)
    return new


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
        for layer in list(net.body.block.ops):
            if isinstance(layer, tern.RequantizeOp) and not _choose(layer, context, worth):
                function = context.store.steps(layer.function.root_reference.data)
                summed = _summed(layer, function)
                if summed is None or not _choose(summed, context, worth):
                    refused.append(_refusal(layer))
        if refused:
            raise InputError(
                "these quantisers have no integer form:\n  " + "\n  ".join(refused),
                "Quantise each branch of the sum to at most 8 bits, with one scale for the tensor.",
            )
