"""Choose the kernel: how many ports, lanes and positions a pass, and how large its memories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..analysis import ModelNeeds, default_limits
from ..errors import InputError
from ..ir import engine
from ..ir.engine import instruction_count
from ..ir.kernel import KernelLimits
from ..ir.mlir import Context, ModuleOp, ModulePass
from ..targets import Target
from .context import compiler_context
from .liveness import first_fit, lifetimes, peak
from .plan_memory import state_words
from .rewriting import model_of
from .stages import need_instructions, need_no_places


def model_needs(module: ModuleOp) -> ModelNeeds:
    """What a model asks of a kernel."""
    vectors = lifetimes(module, engine.VectorType)
    codes = [buffer.value for buffer in lifetimes(module, engine.CodesType)]
    return ModelNeeds(
        longest_k=max((engine.engine_length(value) for value in codes), default=1),
        vector_words=peak(vectors, first_fit(vectors)),
        state_words=state_words(model_of(module)),
        instructions=instruction_count(module),
    )


def code_slots(module: ModuleOp) -> int:
    """Code vectors that live at one time."""
    codes = lifetimes(module, engine.CodesType)
    return peak(codes, first_fit(codes))


def _check_overlay(needs: ModelNeeds, slots: int, limits: KernelLimits) -> None:
    """The model must stay within an existing kernel."""
    exceeded = [
        f"{name} {need} > {limit}"
        for name, need, limit in (
            ("k_max", needs.longest_k, limits.k_max),
            ("code_slots", slots, limits.code_slots),
            ("vector_words", needs.vector_words, limits.vector_words),
            ("state_words", needs.state_words, limits.state_words),
            ("program_max", needs.instructions, limits.program_max),
        )
        if need > limit
    ]
    if exceeded:
        raise InputError(
            f"the model exceeds the kernel's limits: {', '.join(exceeded)}",
            "Compile it without --overlay, for a kernel of its own.",
        )


@dataclass(frozen=True)
class Tile(ModulePass):
    """Choose the kernel's limits for the board and the model (or check them against an existing kernel).

    Before:
        (no engine.kernel)
    After:
        engine.kernel "kv260" {limits = {batch = 4 : i64, k_max = 1040 : i64, lanes = 8 : i64, ports = 4 : i64, ...}}
    """

    lanes: int | None = None
    batch: int | None = None

    name: ClassVar[str] = "tile"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = compiler_context(ctx)
        target = context.need_target(self.name)
        need_instructions(op, self.name)
        need_no_places(op, self.name)
        needs = model_needs(op)
        if context.overlay is not None:
            _check_overlay(needs, code_slots(op), context.overlay)
            limits = context.overlay
        else:
            limits = self._limits(target, needs, code_slots(op))
        kernel = engine.KernelOp(target.name, limits)
        if (old := engine.kernel_of(op)) is not None:
            op.body.block.erase_op(old)
        first = op.body.block.first_op
        if first is not None:
            op.body.block.insert_op_before(kernel, first)

    def _limits(self, target: Target, needs: ModelNeeds, slots: int) -> KernelLimits:
        kernel = target.kernel.model_copy(update={"code_slots": max(slots, target.kernel.code_slots)})
        if self.lanes is not None:
            kernel = kernel.model_copy(update={"lanes": self.lanes})
        if self.batch is not None:
            kernel = kernel.model_copy(update={"batch": self.batch})
        try:
            limits = default_limits(target.model_copy(update={"kernel": kernel}), needs)
        except ValueError as error:
            raise InputError(str(error), "See `tritloom boards show` for what the board takes.") from error
        if self.batch is not None and limits.batch != self.batch:
            raise InputError(
                f"a batch of {self.batch} does not fit {target.name}",
                f"The largest of its halves that fits is {limits.batch}; without --batch the compiler chooses.",
            )
        return limits
