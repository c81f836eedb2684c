"""Whether the stages of a net fit a board, and what to say where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import InputError
from ..targets import Target, list_targets
from .dataflow_area import Resources

NAMES: Final = ("lut", "ff", "bram36", "uram", "dsp")
BRAM36_BITS: Final = 36 * 1024


def fits(used: Resources, target: Target, shares: Mapping[str, float] | None = None) -> bool:
    """Whether logic stays within (a share of) the board's."""
    have = target.resources
    return all(getattr(used, name) <= getattr(have, name) * (shares[name] if shares else 1.0) for name in NAMES)


def check_fits(
    stages: Mapping[str, Resources], used: Mapping[str, float], target: Target, cycles: int, hint: str
) -> None:
    """Refuse a design that is larger than the board; `stages` has the logic of each, `used` that of the streams too.

    Raises:
        InputError: with the binding resource, by how much it is exceeded, and the stage that takes most of it.
    """
    have = target.resources
    worst = max(NAMES, key=lambda name: used[name] / max(getattr(have, name), 0.5))
    need, given = used[worst], getattr(have, worst)
    if need <= given:
        return
    largest = max(stages, key=lambda name: float(getattr(stages[name], worst)))
    over = f", {(need - given) * BRAM36_BITS:,.0f} bits too many" if worst == "bram36" else ""
    raise InputError(
        f"does not fit {target.name}: {worst.upper()} {need:,.0f} of {given:,}{over} (estimated, {cycles:,} cycles a"
        f" frame); {largest} takes {getattr(stages[largest], worst):,.0f}",
        hint,
    )


def boards_that_hold(used: Resources) -> str:
    """A sentence on the boards that have room for so much logic, the smallest first."""
    names = [target.name for target in sorted(list_targets(), key=_size) if fits(used, target)]
    if not names:
        return (
            "No board that tritloom knows holds it on chip: make its layers smaller. (Weights in DDR, the engine"
            " mapping, would hold it; that takes decoding steps only.)"
        )
    more = f" or {names[1]}" if len(names) > 1 else ""
    return (
        f"No folding needs less. Compile for a board that holds it: {names[0]}{more}, or make its layers smaller."
        " (Weights in DDR, the engine mapping, would hold it; that takes decoding steps only.)"
    )


def _size(target: Target) -> tuple[int, str]:
    return target.resources.lut, target.name
