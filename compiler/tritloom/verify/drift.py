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
_RMS_FLOOR: Final = 1e-6
_BITS_FLOOR: Final = 1e-5
"""Below these, distances are float32 rounding: of the logits themselves, of a token's code length."""
_SIGMAS: Final = 3.0
_UNCONTROLLED: Final = {"rms": 0.02, "bits": 0.05, "disagreements": 0.03}


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

    def text(self) -> str:
        """The distance in words."""
        return (
            f"argmax {self.agreement:.2%} ({self.disagreements} differ), logits {self.rms:.2e} rms, "
            f"bits per token off by {self.bits:.2e}"
        )


@dataclass(frozen=True)
class Drift:
    """Our distance, the control's, and which limits are exceeded."""

    ours: Distance
    control: Distance | None
    reference_bits: float
    exceeded: tuple[str, ...]

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


def limits(control: Distance | None, tokens: int) -> dict[str, float]:
    """Largest distances allowed: 1.5 times the control's, or more where that is less than chance or rounding.

    A count c of rare disagreements varies by its own root, so it is granted three of these; a control of 0 allows 3.
    """
    if control is None:
        return {**_UNCONTROLLED, "disagreements": _UNCONTROLLED["disagreements"] * tokens}
    count = control.disagreements
    return {
        "disagreements": max(FACTOR * count, count + _SIGMAS * math.sqrt(max(count, 1))),
        "rms": max(FACTOR * control.rms, _RMS_FLOOR),
        "bits": max(FACTOR * control.bits, _BITS_FLOOR),
    }


def measure(logits: Array, reference: Array, control: Array | None, following: Sequence[int]) -> Drift:
    """Compare our distance from onnxruntime with the control's."""
    ours = distance(logits, reference, following)
    other = distance(control, reference, following) if control is not None else None
    allowed = limits(other, ours.tokens)
    found = {"disagreements": float(ours.disagreements), "rms": ours.rms, "bits": ours.bits}
    exceeded = tuple(
        f"{name} {value:.3g} exceeds {allowed[name]:.3g}" for name, value in found.items() if not value <= allowed[name]
    )
    bits = float(code_lengths(reference, following).mean()) if len(following) else 0.0
    return Drift(ours, other, bits, exceeded)
