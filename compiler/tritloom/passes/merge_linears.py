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
from .epilogues import epilogue_of, gives_logits
from .rewriting import erase_dead, last_declared, model_of, module_of
from .stages import need_tern


def _joined_weight(linears: Sequence[LinearOp], store: WeightStore) -> WeightOp:
    """Declare the weight whose rows are those of all `linears`, behind the last of theirs."""
    weights = [weight(op, op.weight) for op in linears]
    names = tuple(op.sym_name.data for op in weights)
    module = module_of(linears[0])
    trits = np.concatenate([store.matrix(module, name) for name in names])
    rows, cols = trits.shape
    joined = WeightOp(".and.".join(names), rows, cols, weights[0].scale.value.data, trits_hash(trits), parts=names)
    module.body.block.insert_op_after(joined, last_declared(weights))
    return joined


def _mergeable(linears: Sequence[LinearOp]) -> list[LinearOp]:
    """Those of `linears` to merge: none that has an epilogue, scales of rows or a bias, or gives the logits, and each
    part but the last a multiple of 16 long, so that every part begins where a view may."""
    plain = [
        op
        for op in linears
        if epilogue_of(op) is None and not gives_logits(op) and op.row_scales is None and op.bias is None
    ]
    whole = [op for op in plain if length_of(op.result) % 16 == 0]
    rest = [op for op in plain if length_of(op.result) % 16]
    return whole + rest[:1]


def _merge(linears: Sequence[LinearOp], store: WeightStore) -> None:
    joined = _joined_weight(linears, store)
    first = linears[0]
    block = first.parent_block()
    if block is None:
        return
    above = min(linears, key=lambda op: block.get_operation_index(op))
    merged = LinearOp(first.codes, first.scale, joined.sym_name.data, joined.rows.value.data)
    merged.location = fused_location(*linears) or merged.location
    block.insert_op_before(merged, above)
    offset = 0
    for op in linears:
        part = SliceOp(merged.result, offset, length_of(op.result))
        bind(part, [bound_tensor(op.result) or ""])
        block.insert_op_before(part, above)
        op.result.replace_all_uses_with(part.result)
        offset += length_of(op.result)


@dataclass(frozen=True)
class MergeLinears(ModulePass):
    """Merge products of the same codes whose weights have the same scale, and which have no epilogue.

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
        need_tern(op, self.name)
        groups: dict[tuple[SSAValue, SSAValue, object], list[LinearOp]] = defaultdict(list)
        for found in model_of(op).body.block.ops:
            if isinstance(found, LinearOp):
                groups[(found.codes, found.scale, weight(found, found.weight).scale)].append(found)
        for group in groups.values():
            if len(linears := _mergeable(group)) > 1:
                _merge(linears, compiler_context(ctx).store)
        erase_dead(op)
