"""The canonical form of a module: the same text for every spelling of a model, up to the last digits of scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .bindings import bind
from .mlir import ArrayAttr, Attribute, ModuleOp, StringAttr, SymbolRefAttr
from .tern import StepsOp, TableOp, VectorOp, WeightOp

_LETTERS = {WeightOp: "w", VectorOp: "v", TableOp: "t", StepsOp: "s"}


def canonical(module: ModuleOp) -> ModuleOp:
    """A copy whose symbols are numbered in their order, and which knows no names of ONNX nodes and tensors but those
    of its inputs, outputs and states."""
    copy = module.clone()
    count: Counter[str] = Counter()
    names: dict[str, str] = {}
    for op in copy.ops:
        if isinstance(op, WeightOp | VectorOp | TableOp | StepsOp):
            letter = _LETTERS[type(op)]
            names[op.sym_name.data] = f"{letter}{count[letter]}"
            count[letter] += 1
            op.properties["sym_name"] = StringAttr(names[op.sym_name.data])
    for op in copy.walk():
        op.properties.update({key: _renamed(value, names) for key, value in op.properties.items()})
        bind(op, ())
        for result in op.results:
            result.name_hint = None
    return copy


def _renamed(value: Attribute, names: Mapping[str, str]) -> Attribute:
    if isinstance(value, SymbolRefAttr):
        return SymbolRefAttr(names.get(value.root_reference.data, value.root_reference.data))
    if isinstance(value, ArrayAttr):
        return ArrayAttr([_renamed(item, names) for item in value])
    return value
