"""Decide how each weight lies in memory, and check that the store still holds the trits the IR was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import TritloomError
from ..ir import engine, tern
from ..ir.encoding import SLICE_TRITS
from ..ir.mlir import ArrayAttr, Context, IntAttr, IntegerAttr, ModuleOp, ModulePass, i64
from ..ir.store import trits_hash
from .context import compiler_context
from .stages import need_kernel


def rows_per_port(rows: int, ports: int, slices: int) -> list[int]:
    """Rows of a matrix that each port carries: groups of `slices` rows go round the ports."""
    share = slices // ports
    return [sum(1 for row in range(rows) if row % slices // share == port) for port in range(ports)]


@dataclass(frozen=True)
class PackWeights(ModulePass):
    """Set the layout of every weight: five trits a byte, rows sliced over the ports.

    Before:
        tern.weight "o_proj" {rows = 384, cols = 384, ...}
    After:
        tern.weight "o_proj" {rows = 384, ..., layout = #engine.packed<escape5, slice = 80, ports = [96, 96, 96, 96]>}
    """

    name: ClassVar[str] = "pack-weights"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = compiler_context(ctx)
        limits = need_kernel(op, self.name)
        for found in op.ops:
            if not isinstance(found, tern.WeightOp):
                continue
            name = found.sym_name.data
            if trits_hash(context.store.matrix(op, name)) != found.hash.data:
                raise TritloomError(
                    f"weight @{name}: the ONNX file's trits are not those the IR was made from",
                    "Import the model again.",
                )
            rows = rows_per_port(found.rows.value.data, limits.ports, limits.slices)
            ports = ArrayAttr([IntegerAttr(count, i64) for count in rows])
            found.properties["layout"] = engine.PackedAttr(IntAttr(SLICE_TRITS), ports)
