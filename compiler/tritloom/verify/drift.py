"""The global test: how far we drift from onnxruntime over a text, beside how far two correct evaluations drift.

A float that is rounded otherwise moves a code where the value lies near a tie, and a recurrent model carries that on:
two correct evaluations differ, too. So the distance is compared with that of a control (docs/verification.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FACTOR: Final = 1.5
"""Our distance may be this much larger than the control's."""
SINGLE: Final = math.sqrt(2.0)
"""Of two float32 evaluations both round; beside float64 only onnxruntime does, so that control is this much nearer."""
ENOUGH: Final = 512
"""Fewer tokens hold too few codes near a tie for a comparison of distances."""
_SIGMAS: Final = 3.0
_FLOOR: Final = {"rms": 3.5e-3, "bits": 5e-3}
"""What a few codes on the other side of a tie amount to; the control may happen to have none."""
_COARSE: Final = {"rms": 0.05, "bits": 0.1}
"""The same over few tokens, or without a control."""
_COARSE_SHARE: Final = 0.05


@dataclass(frozen=True)
class Distance:
    """Logits [T, V] against onnxruntime's."""

    tokens: int
    disagreements: int
    """Positions whose largest logit is another."""
    rms: float
    """Root of the mean squared difference, relative to that of onnxruntime's logits."""
    bits: float
    """Mean magnitude of the difference of a token's code length, in bits."""
    bits_per_token: float

    @property
    def agreement(self) -> float:
        """Share of positions whose largest logit is the same."""
        return 1.0 - self.disagreements / max(self.tokens, 1)

    def text(self, following: bool = True) -> str:
        """The distance in words; code lengths only where tokens follow."""
        bits = f", bits per token off by {self.bits:.2e}" if following else ""
        return f"argmax {self.agreement:.2%} ({self.disagreements} differ), logits {self.rms:.2e} rms{bits}"


@dataclass(frozen=True)
class Drift:
    """Our distance, the control's, and which limits are exceeded."""

    ours: Distance
    control: Distance | None
    reference_bits: float
    limits: dict[str, float]
    exceeded: tuple[str, ...]
    coarse: str
    """Why the limits are coarse; empty where they are not."""
    following: bool
    """Whether tokens follow, which a code length can be taken of."""

    @property
    def passed(self) -> bool:
        """Whether we are as near as a correct evaluation is."""
        return not self.exceeded


def code_lengths(logits: Array, following: Sequence[int]) -> Array:
    """Bits that each following token costs, float64; logits [T, V], one following token a row."""
    wide = logits[: len(following)].astype(np.float64)
    largest = wide.max(axis=-1, keepdims=True)
    total = np.log(np.exp(wide - largest).sum(axis=-1)) + largest[:, 0]
    chosen = wide[np.arange(len(following)), np.asarray(following, np.int64)]
    return np.asarray((total - chosen) / math.log(2.0))


def distance(logits: Array, reference: Array, following: Sequence[int]) -> Distance:
    """How far logits [T, V] are from onnxruntime's; `following` holds the token after each position."""
    wanted = reference.astype(np.float64)
    error = logits.astype(np.float64) - wanted
    scale = math.sqrt(float((wanted**2).mean()))
    ours, theirs = code_lengths(logits, following), code_lengths(reference, following)
    return Distance(
        tokens=len(logits),
        disagreements=int(np.count_nonzero(logits.argmax(axis=-1) != reference.argmax(axis=-1))),
        rms=math.sqrt(float((error**2).mean())) / (scale or 1.0),
        bits=float(np.abs(ours - theirs).mean()) if len(following) else 0.0,
        bits_per_token=float(ours.mean()) if len(following) else 0.0,
    )


def coarseness(control: Distance | None, tokens: int) -> str:
    """Why limits are coarse, in words; empty where they are not."""
    reasons = [f"fewer than {ENOUGH} tokens"] if tokens < ENOUGH else []
    return " and ".join(reasons + (["no control"] if control is None else []))


def limits(control: Distance | None, tokens: int, double: bool = False) -> dict[str, float]:
    """Largest distances allowed: 1.5 times the control's, or more where that is less than chance.

    `double` says that the control is a float64 evaluation. A count c of rare disagreements varies by its own root: it
    is granted three of these, and a control of 0 allows 3.
    """
    few = bool(coarseness(control, tokens))
    floor = _COARSE if few else _FLOOR
    count = control.disagreements if control is not None else 0
    factor = FACTOR * (SINGLE if double else 1.0)
    by_chance = max(factor * count, count + _SIGMAS * math.sqrt(max(count, 1)))
    return {
        "disagreements": max(by_chance, _COARSE_SHARE * tokens) if few else by_chance,
        "rms": max(factor * control.rms if control is not None else 0.0, floor["rms"]),
        "bits": max(factor * control.bits if control is not None else 0.0, floor["bits"]),
    }


def measure(logits: Array, reference: Array, control: Array | None, following: Sequence[int]) -> Drift:
    """Compare our distance from onnxruntime with the control's, which is float64 or another float32 evaluation."""
    ours = distance(logits, reference, following)
    other = distance(control, reference, following) if control is not None else None
    allowed = limits(other, ours.tokens, control is not None and control.dtype == np.float64)
    found = {"disagreements": float(ours.disagreements), "rms": ours.rms, "bits": ours.bits}
    exceeded = tuple(
        f"{name} {value:.3g} exceeds {allowed[name]:.3g}" for name, value in found.items() if not value <= allowed[name]
    )
    bits = float(code_lengths(reference, following).mean()) if len(following) else 0.0
    return Drift(ours, other, bits, allowed, exceeded, coarseness(other, ours.tokens), bool(following))
