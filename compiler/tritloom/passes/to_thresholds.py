"""Choose, for every requantiser, the integer form that costs less, and prove it equal to its step function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..analysis.dataflow_area import requantize, thresholds
from ..errors import InputError
from ..ir import tern
from ..ir.locations import onnx_names
from ..ir.mlir import (
    Context,
    IntegerAttr,
    ModuleOp,
    ModulePass,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    i64,
    op_type_rewrite_pattern,
)
from ..ir.requantize import MultiplyShift, multiply_shift
from ..ir.steps import StepFunction
from ..ir.store import WeightStore
from ..targets import Target
from .context import compiler_context
from .rewriting import replace
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


def _choose(layer: tern.RequantizeOp, function: StepFunction, worth: float) -> bool:
    """Give a requantiser its form; whether there is one."""
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


class SumFirst(RewritePattern):
    """`requantize a, b @f` -> `requantize (sum p*a + q*b) @f.sum` where the scales of a and b are as p to q.

    One multiplier less; and on scales of powers of two the only way: such sums have ties at every other code, and half
    to even makes of them a staircase that no multiplication gives.
    """

    def __init__(self, module: ModuleOp, store: WeightStore) -> None:
        self.module, self.store = module, store

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: tern.RequantizeOp, rewriter: PatternRewriter) -> None:
        function = self.store.steps(self.module, op.function.root_reference.data)
        if function.small_ratio is None:
            return
        total = tern.SumOp(op.inputs[0], op.inputs[1], function.small_ratio)
        total.location = op.location
        rewriter.insert(total)
        new = tern.RequantizeOp([total.result], self._of_sum(op, function.of_sum), tern.element_of(op.result))
        new.result.name_hint = op.result.name_hint
        replace(rewriter, op, new)

    def _of_sum(self, op: tern.RequantizeOp, function: StepFunction) -> str:
        """Symbol of the function of the sum, declared if it is not yet there."""
        two = tern.steps(op, op.function)
        for symbol in self.module.ops:
            if isinstance(symbol, tern.StepsOp) and symbol.sum_of == op.function:
                return symbol.sym_name.data
        numbers = (function.channels, 1, function.low, function.step, function.levels)
        declared = tern.StepsOp(f"{two.sym_name.data}.sum", *numbers, function.digest, sum_of=two.sym_name.data)
        self.module.body.block.insert_op_after(declared, two)
        return declared.sym_name.data


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
        PatternRewriteWalker(SumFirst(op, context.store)).rewrite_module(op)
        for layer in net.body.block.ops:
            if isinstance(layer, tern.RequantizeOp):
                function = context.store.steps(op, layer.function.root_reference.data)
                if not _choose(layer, function, worth):
                    refused.append(_refusal(layer))
        if refused:
            raise InputError(
                "these quantisers have no integer form:\n  " + "\n  ".join(refused),
                "Quantise each branch of the sum to at most 8 bits, with one scale for the tensor.",
            )
