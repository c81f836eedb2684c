"""Scores and classes of a net against the reference, end to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .report import Check, Figure

Array = NDArray[Any]

SCORES: Final = 1e-6
"""Scores may differ by this share of their range."""


@dataclass
class ScoreCheck:
    """Gathers scores, portion by portion.

    A frame in which a code differs at a tie goes another way from there on. So it is compared by its scores from the
    reference's own codes, and what it gives end to end is told.
    """

    output: str
    labels: Array | None
    ours: list[Array] = field(default_factory=list)
    """End to end."""
    local: list[Array] = field(default_factory=list)
    """From the reference's codes."""
    truth: list[Array] = field(default_factory=list)
    tied: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, ours: Array, local: Array, truth: Array, tied: NDArray[np.bool_]) -> None:
        """Scores [frames, ...] of further frames, and which frames hold a code at a tie."""
        for into, values in ((self.ours, ours), (self.local, local), (self.truth, truth.reshape(ours.shape))):
            into.append(values.reshape(len(values), -1))
        self.tied.append(tied)

    def uncompared(self, ours: Array, why: str) -> Check:
        """The check where there is no reference."""
        figures: dict[str, Figure] = {"frames": 0}
        return Check("scores", True, f"not compared: {why}{self._accuracy(ours, figures)}", figures, skipped=True)

    def check(self, all_ours: Array, name: str) -> Check:
        """Compare. `all_ours`: our scores of all frames, for the accuracy."""
        ours, local, truth = (np.concatenate(parts) for parts in (self.ours, self.local, self.truth))
        tied = np.concatenate(self.tied)
        span = max(float(np.ptp(truth)), float(np.finfo(np.float32).tiny))
        compared = np.where(tied[:, np.newaxis], local, ours)
        distance = np.abs(compared.astype(np.float64) - truth) / span
        figures: dict[str, Figure] = {
            "frames": len(truth),
            "ties": int(tied.sum()),
            "largest": float(distance.max(initial=0)),
            "limit": SCORES,
        }
        findings, notes = _far(compared, truth, distance), []
        same = ours.argmax(axis=1) == truth.argmax(axis=1)
        for frame in np.flatnonzero(~same):
            text = f"frame {frame}: class {ours[frame].argmax()}, {name} has {truth[frame].argmax()}"
            gap = float(truth[frame].max() - truth[frame, ours[frame].argmax()])
            if gap <= SCORES * span:
                notes.append(f"{text}, whose scores of the two differ by {gap:.1e}")
            elif tied[frame]:
                notes.append(f"{text}: a code of it is at a tie")
            else:
                findings.append(text)
        figures["classes_equal"] = int(same.sum())
        if tied.any():
            notes.append(f"{int(tied.sum())} frames hold a code at a tie: compared from {name}'s codes")
        accuracy = self._accuracy(all_ours, figures)
        if findings:
            return Check("scores", False, f"scores or classes are not {name}'s{accuracy}", figures, [*findings, *notes])
        tie = f", {len(same) - int(same.sum())} at a tie" if not same.all() else ""
        equal = f"{int(same.sum()):,} of {len(same):,} classes equal{tie}"
        detail = f"{equal}, scores within {distance.max():.1e} of their range (limit {SCORES:g}){accuracy}"
        return Check("scores", True, detail, figures, notes)

    def _accuracy(self, ours: Array, figures: dict[str, Figure]) -> str:
        """What share of the labelled frames is classified rightly, as text; also into `figures`."""
        if self.labels is None:
            return ""
        rows = ours[: len(self.labels)].reshape(len(self.labels), -1)
        share = float(np.mean(rows.argmax(axis=1) == self.labels))
        figures["accuracy"] = share
        return f"; accuracy {share:.1%} over {len(self.labels)} labelled frames"


def _far(ours: Array, truth: Array, distance: Array) -> list[str]:
    places = np.argwhere(~(distance <= SCORES))
    if not len(places):
        return []
    frame, score = map(int, places[0])
    values = f"{ours[frame, score]:.9g}, reference {truth[frame, score]:.9g}"
    return [f"frame {frame}, score {score}: {values}; {len(np.unique(places[:, 0]))} of {len(truth)} frames differ"]
