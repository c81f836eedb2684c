"""Small helpers that the rewrite patterns share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..errors import InputError
from ..ir.bindings import inherit_bindings
from ..ir.locations import fused_location
from ..ir.mlir import (
    GreedyRewritePatternApplier,
    ModuleOp,
    Operation,
    OpResult,
    PatternRewriter,
    PatternRewriteWalker,
    Pure,
    RewritePattern,
    SSAValue,
)
from ..ir.tern import ModelOp, VectorOp

_Op = TypeVar("_Op", bound=Operation)


def model_of(module: ModuleOp) -> ModelOp:
    """The model of a module.

    Raises:
        InputError: there is none.
    """
    model = next((op for op in module.ops if isinstance(op, ModelOp)), None)
    if model is None:
        raise InputError("the module has no tern.model", "Give the IR of a whole model.")
    return model


def module_of(op: Operation) -> ModuleOp:
    """The module around an operation."""
    parent: Operation | None = op
    while parent is not None and not isinstance(parent, ModuleOp):
        parent = parent.parent_op()
    if parent is None:
        raise ValueError(f"{op.name} is not inside a module")
    return parent


def replace(
    rewriter: PatternRewriter,
    op: Operation,
    new: Operation,
    results: Sequence[SSAValue | None] | None = None,
    fused: Sequence[Operation] = (),
) -> None:
    """Replace `op` by `new`, which also stands for the operations `fused`; keep locations and ONNX bindings.

    `results` gives, for each result of `op`, the value that takes its place (default: the results of `new`).
    """
    location = fused_location(*fused, op)
    if location is not None:
        new.location = location
    replacements = list(results) if results is not None else list(new.results)
    replaced: list[SSAValue | None] = [None] * len(new.results)
    for old, value in zip(op.results, replacements, strict=True):
        if isinstance(value, OpResult) and value.op is new:
            replaced[value.index] = old
    inherit_bindings(new, replaced)
    rewriter.replace(op, new, replacements)


def single_user(value: SSAValue) -> Operation | None:
    """The only operation that uses `value`, once; None if there are others."""
    uses = list(value.uses)
    return uses[0].operation if len(uses) == 1 else None


def apply_patterns(module: ModuleOp, *patterns: RewritePattern) -> None:
    """Apply patterns until none matches, then remove operations without uses."""
    PatternRewriteWalker(GreedyRewritePatternApplier(list(patterns))).rewrite_module(module)
    erase_dead(module)


def erase_dead(module: ModuleOp) -> None:
    """Erase pure operations whose results nobody uses."""
    block = model_of(module).body.block
    for op in reversed(list(block.ops)):
        if op.has_trait(Pure) and not any(result.uses for result in op.results):
            block.erase_op(op)


def product_vector(op: Operation, names: Sequence[str]) -> str:
    """Symbol of the elementwise product of vectors, declared in the module of `op` if it is not yet there."""
    module = module_of(op)
    symbol = ".times.".join(names)
    vectors = {found.sym_name.data: found for found in module.ops if isinstance(found, VectorOp)}
    if symbol not in vectors:
        last = last_declared([vectors[name] for name in names])
        product = VectorOp(symbol, last.length.value.data, tuple(names))
        module.body.block.insert_op_after(product, last)
    return symbol


def last_declared(ops: Sequence[_Op]) -> _Op:
    """The one of several operations of a block that stands below the others."""
    last = ops[0]
    for op in ops[1:]:
        if last.is_before_in_block(op):
            last = op
    return last


def splat_vector(op: Operation, value: float, length: int) -> str:
    """Symbol of a vector of one value, declared in the module of `op` if it is not yet there."""
    module = module_of(op)
    symbol = f"splat.{value:g}.{length}"
    if not any(isinstance(found, VectorOp) and found.sym_name.data == symbol for found in module.ops):
        first = module.body.block.first_op
        declaration = VectorOp(symbol, length, splat=value)
        if first is None:
            module.body.block.add_op(declaration)
        else:
            module.body.block.insert_op_before(declaration, first)
    return symbol
