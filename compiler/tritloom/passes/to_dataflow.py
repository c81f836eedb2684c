"""Map a feed-forward net to stages that streams connect: one process a layer, weights on chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from ..errors import InputError
from ..ir import flow, tern
from ..ir.bindings import bind, bound_tensor
from ..ir.mlir import Context, ModuleOp, ModulePass, Operation, SSAValue, TensorType, Use, f32
from .refold import with_results
from .stages import need_layers

_INPUT_BITS = 8


@dataclass
class Dataflow:
    """Translation of one net: each tern value has a stream for every use."""

    net: tern.NetOp
    streams: dict[SSAValue, list[SSAValue]] = field(default_factory=dict)
    stored: dict[SSAValue, SSAValue] = field(default_factory=dict)
    """What the host has: tensors in memory, and what it makes of them."""
    new_ops: list[Operation] = field(default_factory=list)

    def emit(self, new: Operation, source: Operation | None) -> SSAValue:
        """Append an operation that stands for `source`; its first result."""
        if source is not None:
            new.location = source.location
        self.new_ops.append(new)
        return new.results[0]

    def result(self, old: SSAValue, new: SSAValue) -> None:
        """`new` is the stream of `old`; several users get copies."""
        new.name_hint = old.name_hint
        if isinstance(new.owner, Operation) and (tensor := bound_tensor(old)):
            bind(new.owner, [tensor])
        # Of the layers, not of what they become; the host takes it once.
        uses = sum(use.operation.parent is not None and not _is_host(use) for use in old.uses)
        uses += any(map(_is_host, old.uses))
        if uses > 1:
            fork = flow.ForkOp(new, uses)
            self.emit(fork, new.owner if isinstance(new.owner, Operation) else None)
            self.streams[old] = list(fork.copies)
        else:
            self.streams[old] = [new]

    def take(self, value: SSAValue) -> SSAValue:
        """The stream for the next use of a value."""
        return self.streams[value].pop(0)


def _quantize(design: Dataflow, op: tern.QuantizeOp) -> None:
    new = flow.QuantizeOp(design.take(op.operand), op.function, op.result.type)
    design.result(op.result, design.emit(new, op))


def _requantize(design: Dataflow, op: tern.RequantizeOp) -> None:
    if op.form is None:
        raise InputError("pass 'to-dataflow' needs the integer form of every requantiser", "Run 'to-thresholds' first.")
    operands = [design.take(value) for value in op.inputs]
    new = flow.RequantizeOp(operands, op)
    design.result(op.result, design.emit(new, op))


def _windows(design: Dataflow, op: tern.Conv2dOp | tern.PoolOp, pad_code: int, groups: int) -> SSAValue:
    """The stream of an operation's windows; the image itself where each window is one pixel."""
    window, stream = op.window(), design.take(op.operand)
    if window.taps == 1 and window.strides == [1, 1] and not window.padded:
        return stream
    return design.emit(flow.WindowOp(stream, window, pad_code, groups), op)


def _conv2d(design: Dataflow, op: tern.Conv2dOp) -> None:
    groups = op.groups.value.data
    stream = _windows(design, op, op.pad_code.value.data, groups)
    design.result(op.result, design.emit(flow.MvauOp(stream, op.weight, op.result.type, groups), op))


def _dense(design: Dataflow, op: tern.DenseOp) -> None:
    new = flow.MvauOp(design.take(op.operand), op.weight, op.result.type)
    design.result(op.result, design.emit(new, op))


def _pool(design: Dataflow, op: tern.PoolOp) -> None:
    window, shape = op.window(), tern.shape_of(op.operand)
    kind = op.kind.data
    if tuple(window.kernel) == shape[:2] and not window.padded:
        whole = flow.GlobalPoolOp(design.take(op.operand), kind, op.result.type)
        design.result(op.result, design.emit(whole, op))
        return
    lowest = tern.range_of(tern.element_of(op.operand))[0]
    stream = _windows(design, op, lowest if kind == tern.Pooling.MAX else 0, shape[2])
    design.result(op.result, design.emit(flow.PoolOp(stream, kind, op.result.type), op))


def _sum(design: Dataflow, op: tern.SumOp) -> None:
    new = flow.AddOp(design.take(op.lhs), design.take(op.rhs), op.multiples, op.result.type)
    design.result(op.result, design.emit(new, op))


def _concat(design: Dataflow, op: tern.ConcatOp) -> None:
    joined = design.take(op.inputs[0])
    for value in list(op.inputs)[1:]:
        joined = design.emit(flow.ConcatOp(joined, design.take(value)), op)
    design.result(op.result, joined)


HOST: Final = (tern.ScoresOp, tern.TopKOp, tern.ScoresAtOp, tern.TakeOp, tern.ActivationOp, tern.ReturnOp)
"""What stands behind the last sums: the host's part, except where the fabric ranks them."""


def _is_host(use: Use) -> bool:
    return isinstance(use.operation, HOST)


def _host(design: Dataflow, op: Operation) -> None:
    """The same operation, on what the kernel has stored."""
    new = with_results(op, [design.stored[value] for value in op.operands], [result.type for result in op.results])
    design.new_ops.append(new)
    design.stored.update(zip(op.results, new.results, strict=True))


def _store(design: Dataflow, value: SSAValue) -> None:
    """The last stages: the sums leave the chip, or what a ranking keeps of them where nothing else takes them."""
    users = [use.operation for use in value.uses if _is_host(use)]
    ranks = users[0] if len(users) == 1 else None
    if not isinstance(ranks, tern.TopKOp):
        design.stored[value] = design.emit(flow.StoreOp(design.take(value)), users[0])
        return
    pairs = any(ranks.sums.uses)
    kept = design.emit(flow.TopKOp(design.take(value), ranks, pairs), ranks)
    memory = design.emit(flow.StoreOp(kept), ranks)
    if not pairs:
        design.stored[ranks.indices] = memory
        return
    unpaired = tern.UnpairOp(memory, ranks.indices.type, ranks.sums.type)
    design.emit(unpaired, ranks)
    design.stored.update(zip(ranks.results, unpaired.results, strict=True))


_TRANSLATE: dict[type[Operation], Callable[..., None]] = {
    tern.QuantizeOp: _quantize,
    tern.RequantizeOp: _requantize,
    tern.Conv2dOp: _conv2d,
    tern.DenseOp: _dense,
    tern.PoolOp: _pool,
    tern.SumOp: _sum,
    tern.ConcatOp: _concat,
}


def _load(design: Dataflow) -> None:
    arguments = design.net.body.block.args
    if len(arguments) != 1:
        raise InputError(f"the net has {len(arguments)} inputs, the kernel reads one", "Join them to one tensor.")
    (argument,) = arguments
    floats = isinstance(argument.type, TensorType) and argument.type.element_type == f32
    if not floats and tern.element_of(argument).width.data != _INPUT_BITS:
        raise InputError(
            f"the input is {argument.type}: the kernel reads float32, uint8 or int8", "Cast it in the model."
        )
    design.result(argument, design.emit(flow.LoadOp(argument), None))


def _last_sums(net: tern.NetOp) -> SSAValue:
    """The tensor that all outputs are made of.

    Raises:
        InputError: there are several.
    """
    behind = [op for op in net.body.block.ops if isinstance(op, HOST)]
    made = {result for op in behind for result in op.results}
    taken = list(dict.fromkeys(value for op in behind for value in op.operands if value not in made))
    if len(taken) != 1:
        names = ", ".join(repr(port.tensor.data) for port in net.output_ports)
        raise InputError(
            f"the net's outputs, {names}, are made of {len(taken)} tensors; the kernel writes one",
            "Keep those in the ONNX file's outputs that are made of the same scores.",
        )
    return taken[0]


@dataclass(frozen=True)
class ToDataflow(ModulePass):
    """Map every layer to a stage; values with several users pass a fork. Behind the store stands what the host does.

    A ranking becomes a stage where no other output needs the sums.

    Before:
        %s = tern.conv2d %x @conv {kernel = [3, 3], ...}
    After:
        %w = flow.window %x {kernel = [3, 3], ...}
        %s = flow.mvau %w @conv
    """

    name: ClassVar[str] = "to-dataflow"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        net = need_layers(op, self.name)
        design = Dataflow(net)
        _load(design)
        last = _last_sums(net)
        for layer in net.body.block.ops:
            if not isinstance(layer, HOST):
                _TRANSLATE[type(layer)](design, layer)
                continue
            if not design.stored:
                _store(design, last)
            if not any(result in design.stored for result in layer.results):
                _host(design, layer)
        block = net.body.block
        for old in reversed(list(block.ops)):
            block.erase_op(old, safe_erase=False)
        block.add_ops(design.new_ops)
