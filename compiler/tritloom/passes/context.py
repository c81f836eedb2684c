"""What a pass may ask for besides the module: weights, board, limits of an existing kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from ..analysis.stage_cost import Weights
from ..errors import InputError
from ..ir.kernel import KernelLimits
from ..ir.mlir import Context, ModuleOp
from ..ir.store import WeightStore
from ..ir.text import load_dialects
from ..targets import Target


@dataclass
class CompilerContext(Context):
    """An xDSL context with tritloom's dialects, the weight store and the board."""

    store: WeightStore = field(default_factory=WeightStore)
    target: Target | None = None
    overlay: KernelLimits | None = None
    """Limits of the kernel that the program must run on, if there is one already."""
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        load_dialects(self)

    def need_target(self, pass_name: str) -> Target:
        """The board.

        Raises:
            InputError: no board was given.
        """
        if self.target is None:
            raise InputError(
                f"pass '{pass_name}' needs a board", "Give one with --board; `tritloom boards` lists them."
            )
        return self.target

    def weights(self, module: ModuleOp) -> Weights | None:
        """The trits of a module's weights; None where the IR came without its model."""
        return partial(self.store.matrix, module) if self.store.loaders else None


def compiler_context(context: Context) -> CompilerContext:
    """The context that a pass was given, which must be ours."""
    if not isinstance(context, CompilerContext):
        raise TypeError("tritloom's passes run in a CompilerContext")
    return context
