"""Merge ternary products that read the same codes into one: fewer instructions, fewer padded rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..ir.bindings import bind, bound_tensor
from ..ir.locations import fused_location
from ..ir.mlir import Context, ModuleOp, ModulePass, SSAValue
from ..ir.store import WeightStore, trits_hash
from ..ir.tern import LinearOp, SliceOp, WeightOp, length_of, weight
from .context import compiler_context
from .rewriting import erase_dead, model_of, module_of


def _joined_weight(linears: Sequence[LinearOp], store: WeightStore) -> WeightOp:
    """Declare the weight whose rows are those of all `linears`, behind the last of theirs."""
    weights = [weight(op, op.weight) for op in linears]
    names = tuple(op.sym_name.data for op in weights)
    module = module_of(linears[0])
    trits = np.concatenate([store.matrix(module, name) for name in names])
    first = weights[0]
    joined = WeightOp(".and.".join(names), *trits.shape, first.scale.value.data, trits_hash(trits), parts=names)
    module.body.block.insert_op_after(joined, weights[-1])
    return joined


def _merge(linears: Sequence[LinearOp], store: WeightStore) -> None:
    joined = _joined_weight(linears, store)
    first = linears[0]
    block = first.parent_block()
    if block is None:
        return
    merged = LinearOp(first.codes, first.scale, joined.sym_name.data, joined.rows.value.data)
    merged.location = fused_location(*linears) or merged.location
    block.insert_op_before(merged, first)
    offset = 0
    for op in linears:
        part = SliceOp(merged.result, offset, length_of(op.result))
        bind(part, [bound_tensor(op.result) or ""])
        block.insert_op_before(part, first)
        op.result.replace_all_uses_with(part.result)
        offset += length_of(op.result)


@dataclass(frozen=True)
class MergeLinears(ModulePass):
    """Merge products of the same codes whose weights have the same scale.

    Before:
        %u = tern.linear %codes, %scale {weight = @up}
        %v = tern.linear %codes, %scale {weight = @gate}
    After:
        %uv = tern.linear %codes, %scale {weight = @up.and.gate}
        %u = tern.slice %uv {offset = 0 : i64}
        %v = tern.slice %uv {offset = 1024 : i64}
    """

    name: ClassVar[str] = "merge-linears"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        groups: dict[tuple[SSAValue, SSAValue, object], list[LinearOp]] = defaultdict(list)
        for found in model_of(op).body.block.ops:
            if isinstance(found, LinearOp):
                groups[(found.codes, found.scale, weight(found, found.weight).scale)].append(found)
        for linears in groups.values():
            if len(linears) > 1:
                _merge(linears, compiler_context(ctx).store)
        erase_dead(op)
