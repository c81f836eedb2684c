"""The pass pipeline, on one page: the table of passes, their order, and how they are run and watched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..errors import InputError
from ..ir.mlir import ArgSpecParseError, ModuleOp, ModulePass, ParseError, VerifyException, parse_pipeline
from ..ir.text import ir_text
from .absorb_scales import AbsorbScales
from .choose_mapping import ChooseMapping
from .context import CompilerContext
from .fold import Fold
from .fuse_gates import FuseGates
from .fuse_norm import FuseNorm
from .fuse_quantize_linear import FuseQuantizeLinear
from .lower_to_hls import LowerToHls
from .merge_linears import MergeLinears
from .pack_weights import PackWeights
from .plan_memory import PlanMemory
from .schedule import Schedule
from .size_fifos import SizeFifos
from .tile import Tile
from .to_dataflow import ToDataflow
from .to_thresholds import ToThresholds
from .verify_schedule import VerifySchedule

PIPELINE: Final[tuple[type[ModulePass], ...]] = (
    FuseNorm,
    FuseQuantizeLinear,
    FuseGates,
    MergeLinears,
    AbsorbScales,
    ChooseMapping,
    Schedule,
    Tile,
    PackWeights,
    PlanMemory,
    VerifySchedule,
    LowerToHls,
)
"""Every pass of a decoding step, in the order of `tritloom compile`. The order of instructions (schedule) decides what
lives when and how weights lie in memory, so it stands before tile, pack-weights and plan-memory."""

NET_PIPELINE: Final[tuple[type[ModulePass], ...]] = (ToThresholds, ToDataflow, Fold, SizeFifos)
"""Every pass of a feed-forward net, in the order of `tritloom compile`."""

PASSES: Final[dict[str, type[ModulePass]]] = {cls.name: cls for cls in (*PIPELINE, *NET_PIPELINE)}


class PassObserver(Protocol):
    """Sees the module before and after every pass."""

    def before(self, pass_name: str, module: ModuleOp) -> None: ...

    def after(self, pass_name: str, module: ModuleOp, changed: bool) -> None: ...


@dataclass(frozen=True)
class PassRecord:
    """What one pass did."""

    name: str
    ops_before: int
    ops_after: int
    seconds: float
    changed: bool
    text: str = ""
    """The IR after the pass."""


def op_count(module: ModuleOp) -> int:
    """Operations of a module, the module itself not counted."""
    return sum(1 for _ in module.walk()) - 1


def parse_passes(text: str) -> list[ModulePass]:
    """Passes of a pipeline such as ``fuse-norm,tile{lanes=8}``.

    Raises:
        InputError: a syntax error, an unknown pass (with the known ones), or an unknown option.
    """
    try:
        specs = list(parse_pipeline(text))
    except (ArgSpecParseError, ParseError) as error:
        raise InputError(
            f"the pipeline '{text}' does not parse: {error}", "Example: fuse-norm,tile{lanes=8}"
        ) from error
    passes = []
    for spec in specs:
        if spec.name not in PASSES:
            raise InputError(f"there is no pass '{spec.name}'", f"Passes: {', '.join(PASSES)}.")
        try:
            passes.append(PASSES[spec.name].from_spec(spec))
        except (ValueError, TypeError) as error:
            raise InputError(f"pass '{spec.name}': {error}", f"See `tritloom passes {spec.name}`.") from error
    return passes


def default_passes(lanes: int | None = None, batch: int | None = None) -> list[ModulePass]:
    """The passes of `tritloom compile` for a decoding step."""
    return [Tile(lanes=lanes, batch=batch) if cls is Tile else cls() for cls in PIPELINE]


def net_passes(fps: int | None = None) -> list[ModulePass]:
    """The passes of `tritloom compile` for a feed-forward net, at a frame rate or as fast as fits."""
    return [Fold(fps=fps) if cls is Fold else cls() for cls in NET_PIPELINE]


def run_passes(
    module: ModuleOp,
    passes: Sequence[ModulePass],
    context: CompilerContext,
    observers: Sequence[PassObserver] = (),
) -> list[PassRecord]:
    """Run passes in place, verifying the module after each.

    Raises:
        VerifyException: a pass left the module invalid; the message names the pass.
    """
    records = []
    text = ir_text(module)
    for current in passes:
        for observer in observers:
            observer.before(current.name, module)
        before, count, start = text, op_count(module), time.perf_counter()
        current.apply(context, module)
        try:
            module.verify()
        except VerifyException as error:
            raise VerifyException(f"after pass {current.name}: {error}") from error
        seconds = time.perf_counter() - start
        text = ir_text(module)
        changed = text != before
        records.append(PassRecord(current.name, count, op_count(module), seconds, changed, text))
        for observer in observers:
            observer.after(current.name, module, changed)
    return records
