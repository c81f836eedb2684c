"""Compute the depth of every FIFO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..analysis.stream_depths import depths
from ..ir import flow
from ..ir.mlir import Context, ModuleOp, ModulePass, Operation, SSAValue
from .refold import rebuild, set_depth, with_results
from .stages import flow_stages, need_stages


@dataclass(frozen=True)
class SizeFifos(ModulePass):
    """Compute the depth of every stream from the schedules of the stages, in closed form.

    Where the branches of a fork meet again, the shorter one holds what the longer one has taken in before it delivers.

    Before:
        %a, %b = flow.fork %x : ... -> ..., !flow.stream<tensor<8x8x8xui2>, lanes = 1, depth = 2>
    After:
        %a, %b = flow.fork %x : ... -> ..., !flow.stream<tensor<8x8x8xui2>, lanes = 1, depth = 145>
    """

    name: ClassVar[str] = "size-fifos"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        net = need_stages(op, self.name)
        found = depths(flow_stages(net))

        def make(old: Operation, operands: list[SSAValue]) -> list[Operation]:
            types = [
                set_depth(result, found[result].words) if isinstance(result.type, flow.StreamType) else result.type
                for result in old.results
            ]
            return [with_results(old, operands, types)]

        rebuild(net, make)
