"""Number the instructions: the last form of the IR, from which program, images and C++ are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir import engine
from ..ir.mlir import Context, IntegerAttr, ModuleOp, ModulePass, i64
from .stages import need_kernel, need_program


@dataclass(frozen=True)
class LowerToHls(ModulePass):
    """Number the instructions, and note how many beats of each port and words of gains each takes.

    Before:
        %y = engine.linear %codes {weight = @o_proj, address = 0 : i64}
    After:
        %y = engine.linear %codes {weight = @o_proj, address = 0 : i64, instruction = 7 : i64, port_beats = 480 : i64}
    """

    name: ClassVar[str] = "lower-to-hls"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        program, limits = need_program(op, self.name), need_kernel(op, self.name)
        for index, entry in enumerate(program):
            entry.op.attributes["instruction"] = IntegerAttr(index, i64)
            for name, amount in (
                ("port_beats", engine.port_beats(entry.op, limits.slices)),
                ("gain_words", engine.gain_words(entry.op, limits.lanes)),
            ):
                if amount:
                    entry.op.attributes[name] = IntegerAttr(amount, i64)
